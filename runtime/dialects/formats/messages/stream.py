"""A streamed answer in the messages format, from bytes to events.

A stream is complete at `message_stop` and at nothing else. `message_start` and `ping` are not content.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

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
from ....wire.sse import OversizedEvent, SSEDecoder
from ...untrusted import Unreadable, read_json, reader_of
from . import FORMAT
from .faults import in_stream
from .reply import FINISHES
from .usage import merge, read_usage

__all__ = ["Reader"]


_MOST_KEPT: Final = 64 * 2**20
"""Bytes of events that are kept at most, for blocks that are not whole yet."""
_MOST_OPEN: Final = 1024
"""Blocks that are open at once; the vendor opens one after another."""


class _Delta(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    citation: Any = None


class _Event(Struct):
    type: str
    index: Annotated[int, Meta(ge=0)] = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    usage: Any = None
    error: Any = None


class _Block(Struct):
    """A block that is open: its beginning, and for tools the number of the call or the input so far."""

    start: dict[str, Any]
    call: int = -1
    begun: bool = False
    """Whether a piece of the call's input has come."""
    pieces: list[str] = []


_read = reader_of(_Event)


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`."""

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self._finished = False
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._kept = 0

    @property
    def finished(self) -> bool:
        """Whether `message_stop`, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        try:
            for sse in self._sse.feed(data):
                self._one(sse.data, events)
                if self.finished:
                    break
        except OversizedEvent as error:
            self._fail(events, FaultClass.OVERSIZED, str(error))
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if not self._finished:
            self._fail(events, FaultClass.TRUNCATED, "the stream ended before message_stop")
        return events

    def _one(self, data: bytes, events: list[Event]) -> None:
        try:
            self._event(_read(data), len(data), events)
        except Unreadable as error:
            self._fail(events, FaultClass.MALFORMED, f"an event cannot be read: {error}")

    def _event(self, event: _Event, size: int, events: list[Event]) -> None:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.delta, event.index, events)
        elif kind == "content_block_start":
            self._keep(size)
            self._start(event.content_block or {}, event.index, events)
        elif kind == "content_block_stop":
            self._stop(event.index, events)
        elif kind == "message_start":
            message = event.message or {}
            events.append(Opened(str(message.get("id") or ""), str(message.get("model") or "")))
            self._count(message.get("usage"), events)
        elif kind == "message_delta":
            self._count(event.usage, events)
            reason = event.delta.stop_reason if event.delta else None
            if reason is not None:
                events.append(Finished(FINISHES.get(reason, "other"), vendor_reason=reason))
        elif kind == "message_stop":
            self._finished = True
        elif kind == "error":
            self._finished = True
            events.append(Failed(in_stream(event.error)))

    def _count(self, usage: Any, events: list[Event]) -> None:
        if isinstance(usage, dict) and usage:
            self._usage = merge(self._usage, usage)
            events.append(UsageReported(read_usage(self._usage)))

    def _start(self, block: dict[str, Any], index: int, events: list[Event]) -> None:
        open_block = self._blocks[index] = _Block(block)
        kind = block.get("type")
        if kind == "tool_use":
            open_block.call = self._calls
            self._calls += 1
            events.append(ToolCallDelta(open_block.call, str(block.get("id")), str(block.get("name"))))
        elif kind == "text":
            if block.get("text"):
                events.append(TextDelta(str(block["text"])))
        elif kind == "thinking":
            if block.get("thinking"):
                events.append(ThinkingDelta(str(block["thinking"]), format=FORMAT, block=index))
        elif kind == "redacted_thinking":
            events.append(ThinkingDelta(redacted=str(block.get("data") or ""), format=FORMAT, block=index))

    def _delta(self, delta: _Delta, index: int, events: list[Event]) -> None:
        if delta.text is not None:
            events.append(TextDelta(delta.text))
        elif delta.partial_json is not None:
            self._input(delta.partial_json, index, events)
        elif delta.thinking is not None:
            events.append(ThinkingDelta(delta.thinking, format=FORMAT, block=index))
        elif delta.signature is not None:
            events.append(ThinkingDelta(signature=delta.signature, format=FORMAT, block=index))
        elif delta.citation is not None:
            events.append(OpaqueDelta(FORMAT, {"citation": delta.citation}, content=False))

    def _input(self, piece: str, index: int, events: list[Event]) -> None:
        block = self._blocks.get(index)
        if block is None or not piece:
            return
        if block.call >= 0:
            block.begun = True
            events.append(ToolCallDelta(block.call, arguments=piece))
        else:
            self._keep(len(piece))
            block.pieces.append(piece)

    def _stop(self, index: int, events: list[Event]) -> None:
        """A block is complete: a call without input gets an empty one, a block of the server's own is handed on whole."""
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.call >= 0:
            if not block.begun:
                whole = msgspec.json.encode(block.start.get("input") or {}).decode()
                events.append(ToolCallDelta(block.call, arguments=whole))
            return
        if block.start.get("type") in ("text", "thinking", "redacted_thinking"):
            return
        payload = block.start
        if block.pieces:
            payload = {**payload, "input": read_json("".join(block.pieces).encode())}
        events.append(OpaqueDelta(FORMAT, payload))

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > _MOST_KEPT or len(self._blocks) >= _MOST_OPEN:
            raise Unreadable(f"more than {_MOST_KEPT} bytes or {_MOST_OPEN} blocks would have to be kept")

    def _fail(self, events: list[Event], kind: FaultClass, message: str) -> None:
        self._finished = True
        events.append(Failed(Fault(kind=kind, message=message)))
