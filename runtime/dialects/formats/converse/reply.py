"""A buffered answer as a canonical completion.

Calls of tools that the vendor runs itself, and their results, are kept to the letter: nobody is to answer them. So are
citations, whose texts are text besides. What a guardrail found (`trace`) is kept with the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ....canon import Choice, Completion, FinishReason, Opaque, Part, Text, Thinking, ToolCall
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from . import FORMAT
from .faults import in_stream, malformed
from .usage import read_usage

__all__ = ["FINISHES", "from_object", "is_callers", "read"]

FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
"""The vendor's words for why an answer ended; what is not listed is `other`."""


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for one that failed, and for what is no answer at all."""
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise VendorFault(malformed(f"the answer is not JSON: {error}")) from error
    if not isinstance(raw, dict):
        raise VendorFault(malformed("the answer is not a JSON object"))
    return from_object(raw)


def from_object(raw: dict[str, Any]) -> Completion:
    """As `read`, for a body that has been parsed."""
    output = raw.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict):
        said = raw.get("message", raw.get("Message"))
        if isinstance(said, str) and said:
            raise VendorFault(in_stream(str(raw.get("__type") or ""), msgspec.json.encode(raw)))
        raise VendorFault(malformed("the answer has no message"))
    word = raw.get("stopReason")
    word = None if word is None else str(word)
    choice = Choice(
        parts=[part for block in _objects(message.get("content")) for part in _parts(block)],
        finish=None if word is None else FINISHES.get(word, "other"),
        vendor_finish=word,
    )
    trace = raw.get("trace")
    return Completion(
        choices=[choice],
        usage=read_usage(raw.get("usage")),
        format=FORMAT,
        extra={FORMAT: {"trace": trace}} if trace else None,
    )


def is_callers(call: dict[str, Any]) -> bool:
    """Whether a call is for the caller to answer, and not of a tool that the vendor runs."""
    return call.get("type") != "server_tool_use"


def _parts(block: dict[str, Any]) -> Iterator[Part]:
    text, call, thought = block.get("text"), block.get("toolUse"), block.get("reasoningContent")
    cited = block.get("citationsContent")
    if isinstance(text, str):
        yield Text(text)
    elif isinstance(call, dict) and is_callers(call):
        arguments = msgspec.json.encode(call.get("input") or {}).decode()
        yield ToolCall(str(call.get("toolUseId") or ""), str(call.get("name") or ""), arguments)
    elif isinstance(thought, dict):
        yield _thinking(thought)
    elif isinstance(cited, dict):
        for piece in _objects(cited.get("content")):
            if isinstance(piece.get("text"), str):
                yield Text(piece["text"])
        for citation in _objects(cited.get("citations")):
            yield Opaque(FORMAT, {"citation": citation})
    elif block:
        yield Opaque(FORMAT, block)


def _thinking(raw: dict[str, Any]) -> Thinking:
    told = raw.get("reasoningText")
    redacted = raw.get("redactedContent")
    told = told if isinstance(told, dict) else {}
    signature = told.get("signature")
    return Thinking(
        str(told.get("text") or ""),
        signature if isinstance(signature, str) else None,
        redacted if isinstance(redacted, str) else None,
        FORMAT,
    )


def _objects(raw: Any) -> list[dict[str, Any]]:
    return [each for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []
