"""A buffered answer as a canonical completion.

The plan that models write before they call tools (`tool_plan`) is a thought. Citations come after the text, one part
each, as they do in a stream.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import Choice, Completion, FinishReason, Opaque, Part, Text, Thinking, ToolCall
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from . import FORMAT
from .faults import FAILED, failed_ending, in_stream, malformed
from .usage import read_usage

__all__ = ["FINISHES", "from_object", "read"]

FINISHES: Final[dict[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
}
"""The vendor's words for why an answer ended; what is not listed is `other`, or a fault (`faults.FAILED`)."""


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
    reason, message = raw.get("finish_reason"), raw.get("message")
    word = None if reason is None else str(reason)
    if word in FAILED:
        raise VendorFault(failed_ending(str(word), raw.get("error")))
    if not isinstance(message, dict):
        # A refusal in disguise: there `message` is its text.
        refused = isinstance(message, str) and message
        raise VendorFault(in_stream(raw) if refused else malformed("the answer has no message"))
    choice = Choice(
        parts=_parts(message),
        finish=None if word is None else FINISHES.get(word, "other"),
        vendor_finish=word,
        logprobs=raw.get("logprobs"),
    )
    return Completion(
        id=str(raw.get("id") or ""), choices=[choice], usage=read_usage(raw.get("usage")), format=FORMAT
    )


def _parts(message: dict[str, Any]) -> list[Part]:
    parts = _content(message.get("content"))
    plan = message.get("tool_plan")
    if isinstance(plan, str) and plan:
        parts.append(Thinking(plan, format=FORMAT))
    parts += [Opaque(FORMAT, {"citation": each}) for each in _objects(message.get("citations"))]
    parts += [_call(each) for each in _objects(message.get("tool_calls"))]
    return parts


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for piece in _objects(content):
        if piece.get("type") == "text":
            parts.append(Text(str(piece.get("text") or "")))
        elif piece.get("type") == "thinking":
            parts.append(Thinking(str(piece.get("thinking") or ""), format=FORMAT))
        else:
            parts.append(Opaque(FORMAT, piece))
    return parts


def _call(raw: dict[str, Any]) -> ToolCall:
    function = raw.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    return ToolCall(
        str(raw.get("id") or ""),
        str(function.get("name") or ""),
        arguments if isinstance(arguments, str) and arguments else "{}",
    )


def _objects(raw: Any) -> list[dict[str, Any]]:
    return [each for each in raw if isinstance(each, dict)] if isinstance(raw, list) else []
