"""A streamed answer, from bytes to events.

`message-end` says why the answer ended, and with it the answer is complete, whether `[DONE]` follows or not. An
ending with an error is a fault, and so is a body that ends before it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from .....actors.faults import FaultClass
from ....canon import (
    Event,
    Failed,
    Fault,
    Finished,
    OpaqueDelta,
    Opened,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageReported,
)
from ....wire.sse import MAX_EVENT_BYTES, OversizedEvent, SSEDecoder
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, reader_of
from ...whole import events_of
from . import FORMAT
from .faults import FAILED, failed_ending, in_stream, malformed
from .reply import FINISHES, from_object
from .usage import read_usage

__all__ = ["Reader"]

_BLANKS: Final = b" \t\r\n"
_MOST_JSON: Final = 64 * 2**20


class _Message(Struct, gc=False):
    content: Any = None
    tool_plan: Any = None
    tool_calls: Any = None
    citations: Any = None


class _Delta(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Any = None
    error: Any = None


class _Event(Struct, gc=False):
    type: str | None = None
    id: str | None = None
    delta: _Delta | None = None
    logprobs: Any = None
    message: Any = None


_read: Final = reader_of(_Event)


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`. `limit` bounds one event in bytes: a citation quotes whole documents."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._sse = SSEDecoder(limit)
        self._started = False
        self._json: list[bytes] | None = None
        self._json_size = 0
        self._opened = False
        self._ended = False
        self._finished = False
        self._calls = 0
        self._block = 0

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
        events: list[Event] = []
        if self._json is not None:
            self._collect(data, self._json, events)
            return events
        try:
            for sse in self._sse.feed(data):
                if not self._take(sse.data, events):
                    break
        except OversizedEvent as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        if self._json is not None:
            self._whole(b"".join(self._json), events)
        elif not self._ended:
            self._cut(events)
        self._finished = True
        return events

    def _take(self, data: bytes, events: list[Event]) -> bool:
        """Add what one server-sent event holds; False when it is the last to be read."""
        if data == b"[DONE]":
            if self._ended:
                self._finished = True
            else:
                self._cut(events)
        elif data and not self._ended:
            self._event(data, events)
        return not self._finished

    def _cut(self, events: list[Event]) -> None:
        message = "the stream ended before the vendor had finished its answer"
        self._fail(Fault(kind=FaultClass.TRUNCATED, message=message), events)

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._finished = True
        events.append(Failed(fault))

    # --- one event --------------------------------------------------------------------------

    def _event(self, data: bytes, events: list[Event]) -> None:
        try:
            event = _read(data)
        except Unreadable as error:
            self._fail(malformed(f"an event cannot be read: {error}"), events)
            return
        if event.type is None:
            if isinstance(event.message, str):
                self._fail(in_stream(read_json(data)), events)
            return
        if not self._opened:
            self._opened = True
            events.append(Opened(event.id or ""))
        delta = event.delta
        if delta is None:
            return
        if event.type == "message-end":
            self._end(delta, events)
        elif delta.message is not None:
            self._message(event.type, delta.message, events)
            if event.logprobs:
                told = {"logprobs": [event.logprobs]}
                events.append(OpaqueDelta(FORMAT, told, content=False, about="logprobs"))

    def _message(self, kind: str, message: _Message, events: list[Event]) -> None:
        if kind in ("content-delta", "content-start"):
            self._content(kind, message.content, events)
        elif kind == "tool-plan-delta":
            if isinstance(message.tool_plan, str) and message.tool_plan:
                events.append(ThinkingDelta(message.tool_plan, format=FORMAT, block=self._block))
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._call(kind, message.tool_calls, events)
        elif kind == "citation-start" and isinstance(message.citations, dict):
            events.append(OpaqueDelta(FORMAT, {"citation": message.citations}, content=False))

    def _content(self, kind: str, content: Any, events: list[Event]) -> None:
        if not isinstance(content, dict):
            return
        if kind == "content-start":
            self._block += 1
        text, thinking = content.get("text"), content.get("thinking")
        if isinstance(text, str) and text:
            events.append(TextDelta(text))
        if isinstance(thinking, str) and thinking:
            events.append(ThinkingDelta(thinking, format=FORMAT, block=self._block))

    def _call(self, kind: str, call: Any, events: list[Event]) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            return
        arguments = function.get("arguments")
        arguments = arguments if isinstance(arguments, str) else ""
        if kind == "tool-call-start":
            self._calls += 1
            number, name = self._calls - 1, str(function.get("name") or "")
            events.append(ToolCallDelta(number, str(call.get("id") or f"call_{number}"), name, arguments))
        elif self._calls and arguments:
            events.append(ToolCallDelta(self._calls - 1, arguments=arguments))

    def _end(self, delta: _Delta, events: list[Event]) -> None:
        usage = read_usage(delta.usage)
        word = delta.finish_reason
        if word in FAILED:
            if usage is not None:
                events.append(UsageReported(usage))
            self._fail(failed_ending(str(word), delta.error), events)
            return
        self._ended = True
        events.append(Finished(FINISHES.get(word or "", "other"), 0, word))
        if usage is not None:
            events.append(UsageReported(usage))

    # --- a whole answer where a stream was asked for ----------------------------------------

    def _collect(self, data: bytes, pieces: list[bytes], events: list[Event]) -> None:
        self._json_size += len(data)
        if self._json_size > _MOST_JSON:
            message = f"the answer is larger than {_MOST_JSON} bytes"
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=message), events)
        else:
            pieces.append(data)

    def _whole(self, body: bytes, events: list[Event]) -> None:
        try:
            raw = read_json(body)
            completion = from_object(raw if isinstance(raw, dict) else {})
        except VendorFault as refusal:
            events.append(Failed(refusal.fault))
        except Unreadable:
            self._cut(events)
        else:
            events += events_of(completion)
