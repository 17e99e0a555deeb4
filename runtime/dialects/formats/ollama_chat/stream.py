"""A streamed answer, from bytes to events: one JSON object a line, the last with `done` and what was used.

Lines that grow an answer hold one token each; calls of tools come whole. An error is a line of its own.
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
from ....wire.ndjson import MAX_LINE_BYTES, LineSplitter, OversizedLine
from ...untrusted import Unreadable, read_json, reader_of
from . import FORMAT
from .reply import calls_of, created, failed, finish_of, malformed, read_usage

__all__ = ["Reader"]


class _Line(Struct, gc=False):
    model: str | None = None
    created_at: str | None = None
    message: dict[str, Any] | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    logprobs: Any = None
    error: Any = None


_read: Final = reader_of(_Line)


class Reader:
    """Decodes one stream. See `dialects.base.Decoder`. `limit` bounds one line in bytes."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._lines = LineSplitter(limit)
        self._opened = False
        self._finished = False
        self._calls = 0

    @property
    def finished(self) -> bool:
        """Whether the last object, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        try:
            for line in self._lines.feed(data):
                if not self._take(line, events):
                    break
        except OversizedLine as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished:
            return events
        try:
            rest = self._lines.close()
        except OversizedLine as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
            return events
        if rest is not None and _is_whole(rest):
            self._take(rest, events)
        if not self._finished:
            message = "the stream ended before the vendor had finished its answer"
            self._fail(Fault(kind=FaultClass.TRUNCATED, message=message), events)
        return events

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._finished = True
        events.append(Failed(fault))

    def _take(self, data: bytes, events: list[Event]) -> bool:
        """Add what one line holds; False when it is the last to be read."""
        if data.strip():
            try:
                line = _read(data)
            except Unreadable as error:
                self._fail(malformed(f"a line cannot be read: {error}"), events)
            else:
                self._line(line, events)
        return not self._finished

    def _line(self, line: _Line, events: list[Event]) -> None:
        if line.error:
            self._fail(failed(line.error), events)
            return
        if not self._opened:
            self._opened = True
            events.append(Opened("", line.model or "", created(line.created_at)))
        if line.message is not None:
            self._message(line.message, line.created_at, events)
        if line.logprobs:
            events.append(OpaqueDelta(FORMAT, {"logprobs": line.logprobs}, content=False))
        if not line.done:
            return
        self._finished = True
        word = line.done_reason
        events.append(Finished(finish_of(word, called=self._calls > 0), 0, word))
        usage = read_usage({"prompt_eval_count": line.prompt_eval_count, "eval_count": line.eval_count})
        if usage is not None:
            events.append(UsageReported(usage))

    def _message(self, message: dict[str, Any], at: str | None, events: list[Event]) -> None:
        thought, text = message.get("thinking"), message.get("content")
        if isinstance(thought, str) and thought:
            events.append(ThinkingDelta(thought, format=FORMAT))
        if isinstance(text, str) and text:
            events.append(TextDelta(text))
        for call in calls_of(message, at):
            events.append(ToolCallDelta(self._calls, call.id, call.name, call.arguments))
            self._calls += 1


def _is_whole(line: bytes) -> bool:
    """Whether a last line that lacks its end is JSON, and not the beginning of some."""
    try:
        read_json(line)
    except Unreadable:
        return False
    return True
