"""A streamed answer in the messages format: `Reader` from bytes to events; the way back is `writer.Writer`.

A stream is complete at `message_stop` and at nothing else. `message_start` and `ping` are not content, and events of
a type that is not known are passed over, as Anthropic asks of its clients.

Blocks that only this format knows (those of the vendor's own tools) become one `OpaqueDelta` each, when they are
whole. What is told beside the content (citations, the container, which stop sequence it was) becomes an `OpaqueDelta`
that is no content (see `beside`). Citations are held until their block of text ends, so that they always follow it.
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
from ....wire.sse import MAX_EVENT_BYTES, OversizedEvent, SSEDecoder
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, reader_of
from . import FORMAT
from .beside import call_fields, citation, ending, next_text
from .faults import in_stream
from .reply import FINISHES, events_of, from_object
from .usage import beside_counts, merge, read_usage
from .writer import Writer

__all__ = ["Reader", "Writer"]


class _Delta(Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(Struct):
    type: str = ""
    index: Annotated[int, Meta(ge=0)] = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    usage: Any = None
    error: Any = None


class _Call:
    """An open call of a tool: its number, and the input that came with its beginning until a piece replaces it."""

    __slots__ = ("input", "number")

    def __init__(self, number: int, input: Any) -> None:
        self.number = number
        self.input: Any = input or {}


class _Whole:
    """An open block of the format's own, collected until it is whole."""

    __slots__ = ("block", "pieces", "texts")

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.pieces: list[str] = []
        self.texts: dict[str, list[str]] = {}
        """The pieces of those of its fields that come in such."""

    def add(self, name: str, value: Any) -> None:
        """A field, or a piece more of a text."""
        if not isinstance(value, str):
            self.block[name] = value
            self.texts.pop(name, None)
        elif name in self.texts:
            self.texts[name].append(value)
        else:
            before = self.block.get(name)
            self.texts[name] = [before, value] if isinstance(before, str) else [value]

    def whole(self) -> dict[str, Any]:
        """The block with its input; one that was cut off keeps the input it began with."""
        block = {**self.block, **{name: "".join(pieces) for name, pieces in self.texts.items()}}
        if not self.pieces:
            return block
        try:
            return {**block, "input": read_json("".join(self.pieces).encode())}
        except Unreadable:
            return block


_read = reader_of(_Event)
_BLANKS: Final = b" \t\r\n\xef\xbb\xbf"
_MOST_KEPT: Final = 64 * 2**20
"""Bytes of a stream that are kept at most, for blocks that are not whole yet or for an answer that is no stream."""
_OVERHEAD: Final = 512
"""Bytes that each piece of a block counts as beside its own, for the objects that it becomes."""
_OF_A_CALL: Final = frozenset({"type", "id", "name", "input"})


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`. `limit` bounds one event, in bytes."""

    __slots__ = (
        "_after_text", "_blocks", "_calls", "_citations", "_finished", "_json", "_kept", "_opened", "_sse", "_started",
        "_stopped", "_usage",
    )  # fmt: skip

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._sse = SSEDecoder(limit)
        self._started = False
        self._opened = False
        self._stopped = False
        self._finished = False
        self._json: list[bytes] | None = None
        self._kept = 0
        self._blocks: dict[int, _Call | _Whole] = {}
        self._citations: dict[int, list[Any]] = {}
        self._calls = 0
        self._after_text = False
        self._usage: dict[str, Any] = {}

    @property
    def finished(self) -> bool:
        """Whether `message_stop`, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        if not self._started:
            data = self._start(data, events)
        if self._json is not None:
            if self._keep(len(data), events, overhead=0):
                self._json.append(data)
            return events
        try:
            for sse in self._sse.feed(data) if data and not self._finished else ():
                self._one(sse.data, events)
                if self.finished:
                    break
        except OversizedEvent as error:
            self._fail(events, FaultClass.OVERSIZED, str(error))
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        if self._json is not None:
            self._whole_answer(b"".join(self._json), events)
        else:
            self._fail(events, FaultClass.TRUNCATED, "the stream ended before message_stop")
        return events

    def _start(self, data: bytes, events: list[Event]) -> bytes:
        """Look at the first byte: some proxies answer with a page, or with a whole answer, where a stream was asked for."""
        rest = data.lstrip(_BLANKS)
        if not rest:
            return b""
        self._started = True
        if rest[0] == 0x3C:
            self._fail(events, FaultClass.MALFORMED, "the answer is a page of markup and not a stream")
        elif rest[0] == 0x7B:
            self._json = []
        return rest

    def _one(self, data: bytes, events: list[Event]) -> None:
        try:
            event = _read(data)
            kind = event.type
            if kind == "content_block_delta":
                if event.delta is not None:
                    self._delta(event.delta, event.index, data, events)
            elif kind == "content_block_start":
                self._block(event.content_block or {}, event.index, len(data), events)
            elif kind == "content_block_stop":
                self._stop(event.index, events)
            elif kind == "message_start":
                self._open(event.message or {}, events)
            elif kind == "message_delta":
                self._message_delta(event, data, events)
            elif kind == "message_stop":
                self._end(events)
            elif kind == "error" or event.error:
                self._finished = True
                events.append(Failed(in_stream(event.error)))
        except Unreadable as error:
            self._fail(events, FaultClass.MALFORMED, f"an event cannot be read: {error}")

    def _open(self, message: dict[str, Any], events: list[Event]) -> None:
        if not self._opened:
            self._opened = True
            events.append(Opened(str(message.get("id") or ""), str(message.get("model") or "")))
        self._count(message.get("usage"), events)

    def _count(self, usage: Any, events: list[Event]) -> None:
        if isinstance(usage, dict) and usage:
            self._usage = merge(self._usage, usage)
            events.append(UsageReported(read_usage(self._usage)))

    def _message_delta(self, event: _Event, data: bytes, events: list[Event]) -> None:
        self._count(event.usage, events)
        raw = read_json(data)
        others = {name: value for name, value in raw.items() if name not in ("type", "delta", "usage")}
        told = ending(raw.get("delta") or {}, beside_counts(event.usage), others)
        if told is not None:
            events.append(told)
        reason = event.delta.stop_reason if event.delta else None
        if reason is not None and not self._stopped:
            self._stopped = True
            self._stop_all(events)
            events.append(Finished(FINISHES.get(reason, "other"), vendor_reason=reason))

    def _end(self, events: list[Event]) -> None:
        self._finished = True
        self._stop_all(events)
        if not self._stopped:
            events.append(Finished("other"))

    # --- blocks ---

    def _block(self, block: dict[str, Any], index: int, size: int, events: list[Event]) -> None:
        after_text, self._after_text = self._after_text, block.get("type") == "text"
        match block:
            case {"type": "text"}:
                if after_text:
                    events.append(next_text(index))
                if block.get("text"):
                    events.append(TextDelta(str(block["text"])))
                citations = block.get("citations")
                if isinstance(citations, list) and citations and self._keep(size, events):
                    self._citations[index] = citations
            case {"type": "thinking"}:
                text, signature = block.get("thinking"), block.get("signature")
                if text or signature:
                    seal = str(signature) if signature else None
                    events.append(ThinkingDelta(str(text or ""), signature=seal, format=FORMAT, block=index))
            case {"type": "redacted_thinking", "data": str(data)}:
                events.append(ThinkingDelta(redacted=data, format=FORMAT, block=index))
            case {"type": "tool_use", "id": str(id), "name": str(name)}:
                if self._keep(size, events):
                    self._call(block, id, name, index, events)
            case _:
                if self._keep(size, events):
                    self._blocks[index] = _Whole(block)

    def _call(self, block: dict[str, Any], id: str, name: str, index: int, events: list[Event]) -> None:
        self._blocks[index] = _Call(self._calls, block.get("input"))
        further = {field: value for field, value in block.items() if field not in _OF_A_CALL}
        told = call_fields(index, id, further)
        if told is not None:
            events.append(told)
        events.append(ToolCallDelta(self._calls, id, name))
        self._calls += 1

    def _delta(self, delta: _Delta, index: int, data: bytes, events: list[Event]) -> None:
        kind = delta.type
        if kind == "text_delta":
            if delta.text:
                events.append(TextDelta(delta.text))
        elif kind == "input_json_delta":
            if delta.partial_json:
                self._input(delta.partial_json, index, events)
        elif kind == "thinking_delta":
            if delta.thinking:
                events.append(ThinkingDelta(delta.thinking, format=FORMAT, block=index))
        elif kind == "signature_delta":
            if delta.signature:
                events.append(ThinkingDelta(signature=delta.signature, format=FORMAT, block=index))
        else:
            self._other_delta(read_json(data)["delta"], index, len(data), events)

    def _input(self, piece: str, index: int, events: list[Event]) -> None:
        block = self._blocks.get(index)
        if isinstance(block, _Call):
            block.input = None
            events.append(ToolCallDelta(block.number, arguments=piece))
        elif block is None:
            self._fail(events, FaultClass.MALFORMED, f"a piece of input for block {index}, which has none")
        elif self._keep(len(piece), events):
            block.pieces.append(piece)

    def _other_delta(self, delta: dict[str, Any], index: int, size: int, events: list[Event]) -> None:
        """A citation, a piece of a block of the format's own, or something newer than this version."""
        block = self._blocks.get(index)
        if "citation" not in delta and not isinstance(block, _Whole):
            payload = {"type": "content_block_delta", "index": index, "delta": delta}
            events.append(OpaqueDelta(FORMAT, payload))
            return
        if not self._keep(size, events):
            return
        if not isinstance(block, _Whole):
            self._citations.setdefault(index, []).append(delta["citation"])
            return
        for name, value in delta.items():
            if name != "type" and value is not None:
                block.add(name, value)

    def _stop_all(self, events: list[Event]) -> None:
        """The answer ends: what was not closed ends with it."""
        for index in sorted({*self._blocks, *self._citations}):
            self._stop(index, events)

    def _stop(self, index: int, events: list[Event]) -> None:
        """A block is whole: a call without pieces gets the input it began with, one of the format's own is handed on."""
        events += [citation(index, cited) for cited in self._citations.pop(index, ())]
        block = self._blocks.pop(index, None)
        if isinstance(block, _Call):
            if block.input is not None:
                whole = msgspec.json.encode(block.input).decode()
                events.append(ToolCallDelta(block.number, arguments=whole))
        elif block is not None:
            events.append(OpaqueDelta(FORMAT, block.whole()))

    def _keep(self, size: int, events: list[Event], *, overhead: int = _OVERHEAD) -> bool:
        """Count what is kept; False, and the end of the stream, when it is too much."""
        self._kept += size + overhead
        if self._kept > _MOST_KEPT:
            self._fail(events, FaultClass.OVERSIZED, f"more than {_MOST_KEPT} bytes would have to be kept")
        return not self._finished

    def _whole_answer(self, body: bytes, events: list[Event]) -> None:
        try:
            raw = read_json(body)
        except Unreadable as error:
            self._fail(events, FaultClass.TRUNCATED, f"the answer cannot be read: {error}")
            return
        self._finished = True
        try:
            events += events_of(from_object(raw if isinstance(raw, dict) else {}))
        except VendorFault as refusal:
            events.append(Failed(refusal.fault))

    def _fail(self, events: list[Event], kind: FaultClass, message: str) -> None:
        self._finished = True
        self._blocks.clear()
        self._citations.clear()
        events.append(Failed(Fault(kind=kind, message=message)))
