"""A streamed answer in the responses format: `Reader` from bytes to events; the way back is `writer.Writer`.

What an event is stands in its data; some vendors send no `event:` line. A stream is complete at `response.completed` or
`response.incomplete`, and at nothing else: a `[DONE]`, which only some send, comes after that. Either repeats the
whole answer, so that what was not told before (the results of some of the vendor's own tools) is told then. Events of
a type that is not known are passed over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from .....actors.faults import FaultClass
from ....canon import Event, Failed, Fault, Opened
from ....wire.sse import OversizedEvent, SSEDecoder
from ...base import VendorFault
from .faults import in_stream
from .options import Options
from .output import Output
from .reply import checked
from .thoughts import CONTENT, SUMMARY
from .writer import Writer

__all__ = ["Reader", "Writer"]


class _Event(Struct):
    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    logprobs: Any = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    response: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode
_BLANKS: Final = b" \t\r\n\xef\xbb\xbf"
_MOST_JSON: Final = 64 * 2**20
"""Bytes of an answer that is no stream, at most."""
_OPENING: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDING: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`. `limit` bounds one event, in bytes."""

    __slots__ = ("_finished", "_json", "_json_size", "_opened", "_output", "_sse", "_started")

    def __init__(self, limit: int = Options().max_event_bytes) -> None:
        self._sse = SSEDecoder(limit)
        self._output = Output()
        self._started = False
        self._opened = False
        self._finished = False
        self._json: list[bytes] | None = None
        self._json_size = 0

    @property
    def finished(self) -> bool:
        """Whether the end, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        if not self._started:
            data = self._start(data, events)
        if self._json is not None:
            self._collect(self._json, data, events)
            return events
        try:
            for sse in self._sse.feed(data) if data and not self._finished else ():
                self._one(sse.data, sse.event, events)
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
            self._fail(events, FaultClass.TRUNCATED, "the stream ended before response.completed")
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

    def _one(self, data: bytes, name: str | None, events: list[Event]) -> None:
        if data == b"[DONE]":
            return
        try:
            event = _decode(data)
            kind = event.type
            if kind == "response.output_text.delta":
                self._output.text(
                    event.output_index, event.content_index, str(event.delta), events, logprobs=event.logprobs
                )
            elif kind == "response.function_call_arguments.delta":
                self._arguments(event, events)
            elif kind == "error" or name == "error" or event.error:
                said = {"code": event.code, "message": event.message, "param": event.param}
                self._finished = True
                events.append(Failed(in_stream(event.error or said)))
            else:
                self._other(event, kind, events)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._fail(events, FaultClass.MALFORMED, f"an event cannot be read: {error}")

    def _other(self, event: _Event, kind: str, events: list[Event]) -> None:
        output, index = self._output, event.output_index
        if kind == "response.reasoning_summary_text.delta":
            output.think(index, SUMMARY, event.summary_index, str(event.delta), events)
        elif kind == "response.reasoning_text.delta":
            output.think(index, CONTENT, event.content_index, str(event.delta), events)
        elif kind == "response.refusal.delta":
            output.text(index, event.content_index, str(event.delta), events, refusal=True)
        elif kind == "response.output_item.added":
            output.begin(index, event.item or {}, events)
        elif kind == "response.output_item.done":
            output.done(index, event.item or {}, events)
        elif kind == "response.content_part.done":
            output.part(index, event.content_index, event.part, events)
        elif kind in _OPENING:
            if not self._opened:
                self._open(_object(event.response), events)
        elif kind in _ENDING:
            self._end(_object(event.response), events)

    def _arguments(self, event: _Event, events: list[Event]) -> None:
        if not self._output.arguments(event.output_index, str(event.delta), events):
            message = f"a piece of arguments for item {event.output_index}, which is no call"
            self._fail(events, FaultClass.MALFORMED, message)

    def _open(self, response: dict[str, Any], events: list[Event]) -> None:
        self._opened = True
        created = response.get("created_at")
        events.append(
            Opened(
                str(response.get("id") or ""),
                str(response.get("model") or ""),
                int(created) if isinstance(created, int | float) else 0,
            )
        )

    def _end(self, response: dict[str, Any], events: list[Event]) -> None:
        self._finished = True
        try:
            checked(response)
        except VendorFault as refusal:
            events.append(Failed(refusal.fault))
            return
        if not self._opened:
            self._open(response, events)
        self._output.end(response, events)

    def _collect(self, pieces: list[bytes], data: bytes, events: list[Event]) -> None:
        self._json_size += len(data)
        if self._json_size > _MOST_JSON:
            self._fail(events, FaultClass.OVERSIZED, f"the answer is larger than {_MOST_JSON} bytes")
        else:
            pieces.append(data)

    def _whole_answer(self, body: bytes, events: list[Event]) -> None:
        try:
            raw = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._fail(events, FaultClass.TRUNCATED, f"the answer cannot be read: {error}")
            return
        self._end(raw if isinstance(raw, dict) else {}, events)

    def _fail(self, events: list[Event], kind: FaultClass, message: str) -> None:
        self._finished = True
        events.append(Failed(Fault(kind=kind, message=message)))


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    found = msgspec.json.decode(raw)
    return found if isinstance(found, dict) else {}
