"""A streamed answer, from bytes to events.

Each message of Amazon's framing is one event, named in its header; an exception is a message of another type. `messageStop`
says why the answer ended, and with it the answer is complete; the `metadata` that follow hold the usage.
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
from ....wire.eventstream import (
    MAX_MESSAGE_BYTES,
    CorruptMessage,
    EventMessage,
    EventStreamDecoder,
    OversizedMessage,
)
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, reader_of
from ...whole import events_of
from . import FORMAT
from .faults import in_stream, malformed
from .reply import FINISHES, is_callers, read
from .usage import read_usage

__all__ = ["Reader"]

_MOST_JSON: Final = 64 * 2**20


class _Event(Struct, gc=False, rename="camel"):
    """The payload of any event; `contentBlockStart` has `start`, `contentBlockDelta` has `delta`."""

    content_block_index: int = 0
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None
    trace: Any = None


_read: Final = reader_of(_Event)


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`. `limit` bounds one event in bytes."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._frames = EventStreamDecoder(limit)
        self._json: bytearray | None = None
        self._begun = False
        self._opened = False
        self._ended = False
        self._finished = False
        self._calls: dict[int, int] = {}
        """Block -> number of the call in it."""
        self._vendors: dict[int, tuple[dict[str, Any], list[str]]] = {}
        """Block -> a call of the vendor's own tool, which is handed on as a whole, and the pieces of its input."""

    @property
    def finished(self) -> bool:
        """Whether the usage, which comes last, or an error has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished or not data:
            return events
        if not self._begun:
            self._begun = True
            if data[:1] == b"{":
                # Asked for a stream, answered with one object: as the length of a message it would be 2 GB.
                self._json = bytearray()
        if self._json is not None:
            self._json += data
            if len(self._json) > _MOST_JSON:
                message = f"the answer is larger than {_MOST_JSON} bytes"
                self._fail(Fault(kind=FaultClass.OVERSIZED, message=message), events)
            return events
        try:
            for frame in self._frames.feed(data):
                if not self._take(frame, events):
                    break
        except OversizedMessage as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
        except CorruptMessage as error:
            self._fail(malformed(str(error)), events)
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        if self._json is not None:
            self._whole(bytes(self._json), events)
        else:
            self._end(events)
        self._finished = True
        return events

    def _end(self, events: list[Event]) -> None:
        try:
            self._frames.close()
        except OversizedMessage as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
        except CorruptMessage as error:
            self._fail(malformed(str(error)), events)
        else:
            if not self._ended:
                message = "the stream ended before the vendor had finished its answer"
                self._fail(Fault(kind=FaultClass.TRUNCATED, message=message), events)

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._finished = True
        events.append(Failed(fault))

    # --- one message ------------------------------------------------------------------------

    def _take(self, message: EventMessage, events: list[Event]) -> bool:
        """Add what one message holds; False when it is the last to be read."""
        self._message(message, events)
        return not self._finished

    def _message(self, message: EventMessage, events: list[Event]) -> None:
        if message.text(":message-type") in ("exception", "error"):
            name = message.text(":exception-type") or message.text(":error-code")
            self._fail(in_stream(name, message.payload, message.text(":error-message")), events)
            return
        kind = message.text(":event-type")
        try:
            event = _read(message.payload)
        except Unreadable as error:
            self._fail(malformed(f"an event cannot be read: {error}"), events)
            return
        if not self._opened:
            self._opened = True
            events.append(Opened())
        if kind == "metadata":
            self._metadata(event, events)
        elif self._ended:
            return
        elif kind == "contentBlockDelta" and event.delta is not None:
            self._delta(event.content_block_index, event.delta, events)
        elif kind == "contentBlockStart" and event.start is not None:
            self._start(event.content_block_index, event.start, events)
        elif kind == "contentBlockStop":
            self._stop(event.content_block_index, events)
        elif kind == "messageStop":
            self._ended = True
            word = event.stop_reason
            events.append(Finished(FINISHES.get(word or "", "other"), 0, word))

    def _metadata(self, event: _Event, events: list[Event]) -> None:
        if event.trace:
            events.append(OpaqueDelta(FORMAT, {"trace": event.trace}, content=False, about="answer"))
        usage = read_usage(event.usage)
        if usage is not None:
            events.append(UsageReported(usage))
        self._finished = self._ended

    def _start(self, block: int, start: dict[str, Any], events: list[Event]) -> None:
        call = start.get("toolUse")
        if isinstance(call, dict) and is_callers(call):
            number = self._calls[block] = len(self._calls)
            name = str(call.get("name") or "")
            events.append(ToolCallDelta(number, str(call.get("toolUseId") or f"call_{number}"), name))
        elif isinstance(call, dict):
            self._vendors[block] = (call, [])
        elif start:
            events.append(OpaqueDelta(FORMAT, start))

    def _delta(self, block: int, delta: dict[str, Any], events: list[Event]) -> None:
        text, call, thought = delta.get("text"), delta.get("toolUse"), delta.get("reasoningContent")
        if isinstance(text, str):
            if text:
                events.append(TextDelta(text))
        elif isinstance(call, dict):
            self._arguments(block, call.get("input"), events)
        elif isinstance(thought, dict):
            self._think(block, thought, events)
        elif isinstance(delta.get("citation"), dict):
            events.append(OpaqueDelta(FORMAT, {"citation": delta["citation"]}, content=False))
        elif delta:
            events.append(OpaqueDelta(FORMAT, delta))

    def _arguments(self, block: int, piece: Any, events: list[Event]) -> None:
        if not isinstance(piece, str) or not piece:
            return
        if block in self._calls:
            events.append(ToolCallDelta(self._calls[block], arguments=piece))
        elif block in self._vendors:
            self._vendors[block][1].append(piece)

    def _think(self, block: int, thought: dict[str, Any], events: list[Event]) -> None:
        text, signature, redacted = (
            value if isinstance(value := thought.get(name), str) else None
            for name in ("text", "signature", "redactedContent")
        )
        if text or signature or redacted:
            events.append(
                ThinkingDelta(text or "", signature=signature, redacted=redacted, format=FORMAT, block=block)
            )

    def _stop(self, block: int, events: list[Event]) -> None:
        if block not in self._vendors:
            return
        call, pieces = self._vendors.pop(block)
        text = "".join(pieces)
        try:
            told = read_json(text.encode() or b"{}")
        except Unreadable:
            told = text
        events.append(OpaqueDelta(FORMAT, {"toolUse": {**call, "input": told}}))

    # --- a whole answer where a stream was asked for ----------------------------------------

    def _whole(self, body: bytes, events: list[Event]) -> None:
        try:
            completion = read(body)
        except VendorFault as refusal:
            events.append(Failed(refusal.fault))
            return
        events += events_of(completion)
