"""A whole answer in the messages format."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Choice, Completion, Fault, FinishReason, Opaque, Part, Text, Thinking, ToolCall
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from . import FORMAT
from .faults import in_stream
from .usage import read_usage

__all__ = ["FINISHES", "read", "read_block"]

FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
"""Anthropic's `stop_reason`; what is not listed is `other`."""

_TOP: Final = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage"})


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise _malformed(f"the answer is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _malformed("the answer is not a JSON object")
    if raw.get("type") == "error" or raw.get("error"):
        raise VendorFault(in_stream(raw.get("error")))
    content, usage, stop = raw.get("content"), raw.get("usage"), raw.get("stop_reason")
    if not isinstance(content, list):
        raise _malformed("the answer has no content")
    rest = {name: value for name, value in raw.items() if name not in _TOP and value is not None}
    return Completion(
        id=str(raw.get("id") or ""),
        model=str(raw.get("model") or ""),
        choices=[
            Choice(
                parts=[read_block(block) for block in content if isinstance(block, dict)],
                finish=None if stop is None else FINISHES.get(str(stop), "other"),
                vendor_finish=None if stop is None else str(stop),
            )
        ],
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        format=FORMAT,
        extra={FORMAT: rest} if rest else None,
    )


def read_block(block: dict[str, Any]) -> Part:
    """One block of content; what has no canonical word is kept whole."""
    kind = block.get("type")
    if kind == "text":
        extra = {name: value for name, value in block.items() if name not in ("type", "text") and value}
        return Text(str(block.get("text") or ""), extra={FORMAT: extra} if extra else None)
    if kind == "thinking":
        signature = block.get("signature")
        sealed = signature if isinstance(signature, str) and signature else None
        return Thinking(str(block.get("thinking") or ""), sealed, format=FORMAT)
    if kind == "redacted_thinking":
        return Thinking(redacted=str(block.get("data") or ""), format=FORMAT)
    if kind == "tool_use":
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        extra = {key: block[key] for key in block if key not in ("type", "id", "name", "input")}
        return ToolCall(
            str(block.get("id") or ""),
            str(block.get("name") or ""),
            arguments,
            extra={FORMAT: extra} if extra else None,
        )
    return Opaque(FORMAT, block)


def _malformed(message: str) -> VendorFault:
    return VendorFault(Fault(kind=FaultClass.MALFORMED, message=message))
