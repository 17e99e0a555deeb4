"""A whole answer in the messages format, in and out."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import (
    Choice,
    Completion,
    Event,
    Fault,
    Finished,
    FinishReason,
    Opaque,
    OpaqueDelta,
    Opened,
    Part,
    Refusal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from . import FORMAT
from .beside import call_fields, citation, collect, ending_of, next_text, payload_of, told_at_end
from .blocks import own_fields
from .faults import in_stream
from .usage import beside_counts, read_usage, write_usage

__all__ = ["FINISHES", "events_of", "from_object", "read", "read_block", "stop_reason", "write"]

FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "compaction": "pause",
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
    return from_object(raw)


def from_object(raw: dict[str, Any]) -> Completion:
    """As `read`, for a body that has been parsed."""
    if raw.get("type") == "error" or raw.get("error"):
        raise VendorFault(in_stream(raw.get("error")))
    content, usage, stop = raw.get("content"), raw.get("usage"), raw.get("stop_reason")
    if not isinstance(content, list):
        raise _malformed("the answer has no content")
    rest = {name: value for name, value in raw.items() if name not in _TOP and value is not None}
    beside = beside_counts(usage)
    if beside:
        rest["usage"] = beside
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
    match block:
        case {"type": "text", "text": str(text)}:
            return Text(text, extra=_rest(block, "text"))
        case {"type": "thinking", "thinking": str(text)}:
            signature = block.get("signature")
            return Thinking(
                text,
                signature if isinstance(signature, str) and signature else None,
                format=FORMAT,
                extra=_rest(block, "thinking", "signature"),
            )
        case {"type": "redacted_thinking", "data": str(data)}:
            return Thinking(redacted=data, format=FORMAT, extra=_rest(block, "data"))
        case {"type": "tool_use", "id": str(id), "name": str(name)} if isinstance(
            block.get("input") or {}, dict
        ):
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            return ToolCall(id, name, arguments, extra=_rest(block, "id", "name", "input"))
        case _:
            return Opaque(FORMAT, block)


def _rest(block: dict[str, Any], *known: str) -> dict[str, Any] | None:
    rest = {
        name: value
        for name, value in block.items()
        if name not in known and name != "type" and value is not None
    }
    return {FORMAT: rest} if rest else None


def _malformed(message: str) -> VendorFault:
    return VendorFault(Fault(kind=FaultClass.MALFORMED, message=message))


def events_of(answer: Completion) -> list[Event]:
    """A whole answer as the events of a stream, for a vendor that does not stream though it was asked to."""
    choice = answer.choices[0]
    events: list[Event] = [Opened(answer.id, answer.model)]
    if answer.usage is not None:
        events.append(UsageReported(answer.usage))
    calls = 0
    before: Part | None = None
    for at, part in enumerate(choice.parts):
        if isinstance(part, Text):
            if isinstance(before, Text):
                events.append(next_text(at))
            events += _text_events(part, at)
        elif isinstance(part, Thinking):
            if part.text or part.signature or part.redacted:
                events.append(ThinkingDelta(part.text, 0, part.signature, part.redacted, FORMAT, at))
        elif isinstance(part, ToolCall):
            further = call_fields(at, part.id, own_fields(part.extra))
            events += [further] if further is not None else []
            events.append(ToolCallDelta(calls, part.id, part.name, part.arguments))
            calls += 1
        elif isinstance(part, Opaque):
            events.append(OpaqueDelta(FORMAT, part.payload))
        before = part
    told = ending_of(own_fields(answer.extra))
    if told is not None:
        events.append(told)
    events.append(Finished(choice.finish or "other", vendor_reason=choice.vendor_finish))
    return events


def _text_events(part: Text, at: int) -> list[Event]:
    events: list[Event] = [TextDelta(part.text)] if part.text else []
    cited = own_fields(part.extra).get("citations")
    return events + [citation(at, each) for each in cited] if isinstance(cited, list) else events


# --- out ----------------------------------------------------------------------------------------

_STOPS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
    "other": "end_turn",
}
"""The words that clients of the format know."""


def stop_reason(
    finish: FinishReason | None, vendor_finish: str | None, *, own: bool, called: bool, refused: bool
) -> str:
    """Why the answer ended, for a client: a vendor of this format in its own words, others translated.

    Some vendors end an answer with calls, or one in which the model declines, like any other; here each has
    a reason of its own.
    """
    if own and vendor_finish is not None:
        return vendor_finish
    if finish == "stop" and refused:
        return "refusal"
    if finish == "stop" and called:
        return "tool_use"
    return _STOPS[finish or "other"]


def write(completion: Completion, *, id: str, model: str) -> dict[str, Any]:
    """A `message` object for a client, whatever format the completion came in.

    `id` and `model` are for completions that do not say; ids of other formats are not told. The seals that
    other vendors put on thoughts are not told either: sent back as ours, they would be refused. Of several
    answers the first is told.

    Raises `VendorFault` for a call whose arguments are not a JSON object, since the format cannot say it. In an
    answer that was cut off by its bound such a call has an empty input, and the reason says so.
    """
    own = completion.format == FORMAT
    choice = completion.choices[0] if completion.choices else Choice()
    fields = dict(own_fields(completion.extra)) if own else {}
    fields |= told_at_end([payload for part in choice.parts if (payload := payload_of(part))])
    counts = write_usage(completion.usage or Usage())
    return {
        "id": completion.id if own and completion.id else id,
        "type": "message",
        "role": "assistant",
        "model": completion.model or model,
        "content": collect(choice.parts, lambda part: _write_block(part, cut=choice.finish == "length")),
        "stop_reason": stop_reason(
            choice.finish,
            choice.vendor_finish,
            own=own,
            called=bool(choice.tool_calls),
            refused=choice.refusal is not None,
        ),
        "stop_sequence": None,
        **fields,
        "usage": {**(fields.get("usage") or {}), **counts},
    }


def _write_block(part: Part, *, cut: bool) -> dict[str, Any] | None:
    """A block for a client; None for a part of which it is not told."""
    match part:
        case Text():
            return {"type": "text", "text": part.text, **own_fields(part.extra)} if part.text else None
        case Refusal():
            return {"type": "text", "text": part.text}
        case Thinking():
            return _write_thinking(part)
        case ToolCall():
            block = {"type": "tool_use", "id": part.id, "name": part.name}
            return {**block, "input": _input(part, cut=cut), **own_fields(part.extra)}
        case Opaque(format=format, payload=payload) if format == FORMAT:
            return payload
    return None


def _write_thinking(part: Thinking) -> dict[str, Any] | None:
    own = part.format == FORMAT
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted, **own_fields(part.extra)} if own else None
    if not part.text and not (own and part.signature):
        return None
    signature = part.signature or "" if own else ""
    return {"type": "thinking", "thinking": part.text, "signature": signature, **own_fields(part.extra)}


def _input(call: ToolCall, *, cut: bool) -> dict[str, Any]:
    try:
        found = read_json(call.arguments.strip().encode() or b"{}")
    except (Unreadable, UnicodeError):
        found = None
    if isinstance(found, dict):
        return found
    if cut:
        return {}
    raise _malformed(f"the arguments of {call.name!r} are not a JSON object")
