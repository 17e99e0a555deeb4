"""A streamed answer in the chat-completions format: `Reader` from bytes to events, `Writer` back.

When is a stream complete? At `[DONE]`. A vendor whose streams do not end so (`Quirks.done_marker`) is done
when the body ends after every choice has said why it finished. A body that ends in any other way was cut,
however plausible its last sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from .....actors.faults import FaultClass
from ....canon import (
    Choice,
    Completion,
    Event,
    Failed,
    Fault,
    Finished,
    Opaque,
    OpaqueDelta,
    Opened,
    Refusal,
    RefusalDelta,
    Restarted,
    Seam,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from ....wire.sse import OversizedEvent, SSEDecoder
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, reader_of
from . import FORMAT
from .faults import in_stream
from .quirks import Quirks
from .reply import FINISHES, MOST_CHOICES, OUTGOING_FINISHES, from_object, read_content
from .usage import read_usage, write_usage

__all__ = ["Reader", "Writer"]


_MOST_CALLS = 1024
"""Tool calls of one answer."""
_LONGEST_ID = 1024
"""Characters of a call's id: ids are remembered as long as the stream lasts."""


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class _Call(Struct):
    index: Annotated[int, Meta(ge=0, lt=_MOST_CALLS)] | None = None
    id: Annotated[str, Meta(max_length=_LONGEST_ID)] | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    annotations: Any = None
    audio: Any = None
    reasoning_details: Any = None


class _Choice(Struct):
    index: Annotated[int, Meta(ge=0, lt=MOST_CHOICES)] = 0
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None
    content_filter_results: Any = None


class _Chunk(Struct):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


_read = reader_of(_Chunk)
_BLANKS = b" \t\r\n"
_MOST_JSON = 64 * 2**20


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._sse = SSEDecoder()
        self._started = False
        self._json: list[bytes] | None = None
        self._json_size = 0
        self._opened = False
        self._finished = False
        self._open_choices: set[int] = set()
        self._ended_choices: set[int] = set()
        self._calls: dict[int, list[str]] = {}
        self._most_calls = _MOST_CALLS

    @property
    def finished(self) -> bool:
        """Whether `[DONE]`, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        if self._finished:
            return []
        if not self._started:
            data = data.lstrip(_BLANKS)
            if not data:
                return []
            self._started = True
            if data[:1] == b"{":
                # Asked for a stream, answered with one object: an error, or the whole answer.
                self._json = []
        if self._json is not None:
            return self._collect(data)
        events: list[Event] = []
        try:
            for sse in self._sse.feed(data):
                if sse.data == b"[DONE]":
                    self._finished = True
                    break
                if not self._chunk(sse.data, sse.event, events):
                    break
        except OversizedEvent as error:
            self._fail(events, FaultClass.OVERSIZED, str(error))
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        if self._finished:
            return []
        events: list[Event] = []
        if self._json is not None:
            self._whole(b"".join(self._json), events)
        elif self._quirks.done_marker or not self._ended_choices or self._open_choices - self._ended_choices:
            self._fail(
                events, FaultClass.TRUNCATED, "the stream ended before the vendor had finished its answer"
            )
        self._finished = True
        return events

    def _chunk(self, data: bytes, name: str | None, events: list[Event]) -> bool:
        """Add the events of one chunk; False when it ends the stream."""
        try:
            return not data or self._read_chunk(data, name, events)
        except Unreadable as error:
            self._fail(events, FaultClass.MALFORMED, f"a chunk cannot be read: {error}")
            return False

    def _read_chunk(self, data: bytes, name: str | None, events: list[Event]) -> bool:
        chunk = _read(data)
        error = chunk.error or (read_json(data) if name == "error" else None)
        if error or name == "error":
            self._finished = True
            events.append(Failed(in_stream(error)))
            return False
        if not self._opened and (chunk.choices or chunk.usage):
            self._opened = True
            events.append(Opened(chunk.id or "", chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.error:
                self._finished = True
                events.append(Failed(in_stream(choice.error)))
                return False
            self._choice(choice, events)
        usage = read_usage(chunk.usage)
        if usage is None and isinstance(chunk.x_groq, dict):
            usage = read_usage(chunk.x_groq.get("usage"))
        if usage is not None:
            events.append(UsageReported(usage))
        return True

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        index = choice.index
        self._open_choices.add(index)
        if choice.delta is not None:
            self._delta(choice.delta, index, events)
        elif choice.text:
            # A text completion: the framing is the same.
            events.append(TextDelta(choice.text, index))
        if choice.logprobs:
            events.append(_about("logprobs", index, logprobs=choice.logprobs))
        if choice.content_filter_results:
            events.append(_about("choice", index, content_filter_results=choice.content_filter_results))
        if choice.finish_reason and index not in self._ended_choices:
            self._ended_choices.add(index)
            reason = FINISHES.get(choice.finish_reason, "other")
            events.append(Finished(reason, index, choice.finish_reason))

    def _delta(self, delta: _Delta, index: int, events: list[Event]) -> None:
        thinking = delta.reasoning_content or delta.reasoning
        if thinking:
            events.append(ThinkingDelta(thinking, index))
        content = delta.content
        if content:
            if isinstance(content, str):
                events.append(TextDelta(content, index))
            else:
                events += _as_events(Choice(index=index, parts=read_content(content)))
        if delta.refusal:
            events.append(RefusalDelta(delta.refusal, index))
        for call in delta.tool_calls or ():
            self._call(call, index, events)
        if delta.function_call is not None:
            self._call(_Call(0, None, delta.function_call), index, events)
        if delta.annotations or delta.audio or delta.reasoning_details:
            beside = {
                "annotations": delta.annotations,
                "audio": delta.audio,
                "reasoning_details": delta.reasoning_details,
            }
            told = {name: value for name, value in beside.items() if value}
            events.append(OpaqueDelta(FORMAT, told, index, content=bool(delta.audio), about="message"))

    def _call(self, call: _Call, index: int, events: list[Event]) -> None:
        """One piece of a call. Without an index, a new id or name begins a new call."""
        known = self._calls.setdefault(index, [])
        function = call.function or _Function()
        number = call.index
        if number is None:
            begins = bool(call.id) or bool(function.name) or not known
            number = len(known) if begins and call.id not in known else max(0, len(known) - 1)
        first = number >= len(known)
        if first:
            self._most_calls -= number + 1 - len(known)
            if self._most_calls < 0:
                raise Unreadable(f"more than {_MOST_CALLS} tool calls")
            known += [""] * (number - len(known)) + [call.id or f"call_{index}_{number}"]
        arguments = function.arguments
        if not isinstance(arguments, str):
            arguments = "" if arguments is None else msgspec.json.encode(arguments).decode()
        events.append(
            ToolCallDelta(
                number,
                known[number] if first else None,
                (function.name or "") if first else None,
                arguments,
                index,
            )
        )

    def _collect(self, data: bytes) -> list[Event]:
        pieces = self._json
        if pieces is None:
            return []
        self._json_size += len(data)
        if self._json_size > _MOST_JSON:
            events: list[Event] = []
            self._fail(events, FaultClass.OVERSIZED, f"the answer is larger than {_MOST_JSON} bytes")
            return events
        pieces.append(data)
        return []

    def _whole(self, body: bytes, events: list[Event]) -> None:
        """A whole answer where a stream was asked for."""
        try:
            raw = read_json(body)
            completion = from_object(raw if isinstance(raw, dict) else {})
        except VendorFault as refusal:
            events.append(Failed(refusal.fault))
        except Unreadable as error:
            self._fail(events, FaultClass.TRUNCATED, f"the answer cannot be read: {error}")
        else:
            events += events_of(completion)

    def _fail(self, events: list[Event], kind: FaultClass, message: str) -> None:
        self._finished = True
        events.append(Failed(Fault(kind=kind, message=message)))


def _about(what: Literal["choice", "logprobs"], index: int, **fields: Any) -> OpaqueDelta:
    return OpaqueDelta(FORMAT, fields, index, content=False, about=what)


def events_of(completion: Completion) -> list[Event]:
    """A whole answer as the events of a stream."""
    events: list[Event] = [Opened(completion.id, completion.model, completion.created)]
    for choice in completion.choices:
        events += _as_events(choice)
        if choice.finish is not None:
            events.append(Finished(choice.finish, choice.index, choice.vendor_finish))
    if completion.usage is not None:
        events.append(UsageReported(completion.usage))
    return events


def _as_events(choice: Choice) -> Iterable[Event]:
    calls = 0
    for part in choice.parts:
        if isinstance(part, Text):
            yield TextDelta(part.text, choice.index, part.signature)
        elif isinstance(part, Thinking):
            yield ThinkingDelta(part.text, choice.index)
        elif isinstance(part, Refusal):
            yield RefusalDelta(part.text, choice.index)
        elif isinstance(part, ToolCall):
            yield ToolCallDelta(calls, part.id, part.name, part.arguments, choice.index)
            calls += 1
        elif isinstance(part, Opaque):
            yield OpaqueDelta(FORMAT, part.payload, choice.index)


# --- out ----------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


class Writer:
    """Events to the chunks that a client of the format expects, each a whole server-sent event.

    `include_usage`: the client asked for a last chunk with the usage.
    """

    def __init__(self, *, id: str, model: str, created: int, include_usage: bool) -> None:
        self._opening = (
            b'data: {"id":'
            + _encode(id)
            + b',"object":"chat.completion.chunk","created":'
            + str(created).encode()
            + b',"model":'
        )
        self._include_usage = include_usage
        self._begin(model)

    def _begin(self, model: str) -> None:
        self._head = self._opening + _encode(model) + b',"choices":['
        self._usage: Usage | None = None
        self._begun: set[int] = set()
        self._called: set[int] = set()

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty for one that clients are not told of."""
        if type(event) is TextDelta:
            return self._delta(event.index, b'"content":' + _encode(event.text)) if event.text else b""
        if type(event) is ThinkingDelta:
            return (
                self._delta(event.index, b'"reasoning_content":' + _encode(event.text)) if event.text else b""
            )
        if type(event) is ToolCallDelta:
            return self._call(event)
        if type(event) is RefusalDelta:
            return self._delta(event.index, b'"refusal":' + _encode(event.text))
        if type(event) is Finished:
            return self._finish(event)
        if type(event) is UsageReported:
            self._usage = event.usage
        elif type(event) is OpaqueDelta and event.format == FORMAT:
            return self._opaque(event)
        elif isinstance(event, Seam | Restarted):
            return self._takeover(event)
        return b""

    def close(self) -> bytes:
        """The end: the usage if it was asked for, and `[DONE]`."""
        end = b"data: [DONE]\n\n"
        if self._include_usage:
            usage = _encode(write_usage(self._usage or Usage()))
            return self._head + b'],"usage":' + usage + b"}\n\n" + end
        return end

    @staticmethod
    def error(envelope: dict[str, Any]) -> bytes:
        """An error as the last event: no finish reason and no `[DONE]` follow it."""
        return b"data: " + _encode(envelope) + b"\n\n"

    def _takeover(self, event: Seam | Restarted) -> bytes:
        """The mark where another vendor takes over: a comment for people, a chunk without choices for programs."""
        word = "seam" if isinstance(event, Seam) else "restart"
        if isinstance(event, Restarted):
            self._begin(event.model)
        told = {
            word: {
                "before": event.before,
                "after": event.after,
                "model": event.model,
                "class": event.reason,
            }
        }
        comment = f": x-dispatch-{word} {event.before} -> {event.after}\n\n".encode()
        return comment + self._head + b'],"x_dispatch":' + _encode(told) + b"}\n\n"

    def _delta(self, index: int, inner: bytes, finish: bytes = b"null", beside: bytes = b"") -> bytes:
        role = b""
        if index not in self._begun:
            self._begun.add(index)
            role = b'"role":"assistant",' if inner else b'"role":"assistant"'
        tail = b',"usage":null}\n\n' if self._include_usage else b"}\n\n"
        return b"".join(
            (
                self._head, b'{"index":', str(index).encode(), b',"delta":{', role, inner,
                b'},"logprobs":null,"finish_reason":' if not beside else b"}," + beside + b',"finish_reason":',
                finish, b"}]", tail,
            )
        )  # fmt: skip

    def _call(self, event: ToolCallDelta) -> bytes:
        self._called.add(event.index)
        call: dict[str, Any] = {"index": event.call}
        if event.id is not None:
            call |= {"id": event.id, "type": "function"}
            call["function"] = {"name": event.name or "", "arguments": event.arguments}
        else:
            call["function"] = {"arguments": event.arguments}
        return self._delta(event.index, b'"tool_calls":[' + _encode(call) + b"]")

    def _finish(self, event: Finished) -> bytes:
        word = OUTGOING_FINISHES[event.reason]
        if event.reason == "stop" and event.index in self._called and event.vendor_reason != "stop":
            word = "tool_calls"
        return self._delta(event.index, b"", _encode(word))

    def _opaque(self, event: OpaqueDelta) -> bytes:
        """What stands beside the content. A piece of content that is no text (Mistral's references) has no place in a
        client's text, here as little as in a whole answer."""
        if event.about == "message":
            return self._delta(event.index, _encode(event.payload)[1:-1])
        if event.about in ("choice", "logprobs"):
            return self._delta(event.index, b"", beside=_encode(event.payload)[1:-1])
        return b""
