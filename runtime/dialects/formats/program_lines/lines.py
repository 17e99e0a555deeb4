"""Lines to events.

As JSON, each line is an object with one of these fields (others are left unread), in any number and order:

    {"text": "..."}                                                   more of the answer
    {"thinking": "..."}                                               more of the thoughts
    {"tool_call": {"name": "...", "arguments": {...}, "id": "..."}}   a call; the id may be left out
    {"usage": {"input_tokens": 1, "output_tokens": 2}}                what was used (fields as of `canon.Usage`)
    {"error": {"message": "...", "type": "..."}}                      it failed; the type, or a `status`, says how
    {"done": true, "finish": "stop"}                                  the end, and why: stop, length, tool_calls, content_filter

The end of the output is an end too, so that `done` may be left out. As text, everything is the answer; line ends at its
end are not. That a program failed is told by its exit code (`wire.program`), never by an output that ends.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct

from .....actors.faults import FaultClass
from ....canon import (
    Event,
    Failed,
    Fault,
    Finished,
    FinishReason,
    Opened,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from ...recognise import in_stream
from ...spellings.compatible import COMPATIBLE
from ...untrusted import Unreadable, reader_of, token_count
from . import FORMAT

__all__ = ["MAX_LINE_BYTES", "Output", "Reader"]

MAX_LINE_BYTES: Final = 1 << 20

Output = Literal["json", "text"]

_REASONS: Final = frozenset(get_args(FinishReason))


class _Line(Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    tool_call: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    done: bool = False
    finish: str | None = None


_read: Final = reader_of(_Line)


class Reader:
    """Decodes one output. See `dialects.base.Decoder`. `limit` bounds one line in bytes."""

    def __init__(self, output: Output, limit: int = MAX_LINE_BYTES) -> None:
        self._output = output
        self._limit = limit
        self._partial: list[bytes] = []
        self._size = 0
        self._blank = 0
        """Line ends since the last text, which are part of the answer once more text follows."""
        self._opened = False
        self._finished = False
        self._calls = 0

    @property
    def finished(self) -> bool:
        """Whether `done`, or an error, has been seen."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """See `dialects.base.Decoder`."""
        events: list[Event] = []
        if self._finished or not data:
            return events
        first, *others = data.split(b"\n")
        self._keep(first)
        for following in others:
            if self._too_long(events) or not self._end_line(events):
                return events
            self._keep(following)
        self._too_long(events)
        return events

    def close(self) -> list[Event]:
        """See `dialects.base.Decoder`. The end of the output is the end of the answer."""
        events: list[Event] = []
        if self._finished:
            return events
        if self._size and not self._end_line(events):
            return events
        self._finished = True
        if self._opened:
            events.append(Finished("tool_calls" if self._calls else "stop"))
        else:
            self._fail(Fault(kind=FaultClass.EMPTY_OK, message="the program said nothing"), events)
        return events

    def _keep(self, piece: bytes) -> None:
        self._partial.append(piece)
        self._size += len(piece)

    def _too_long(self, events: list[Event]) -> bool:
        if self._size <= self._limit:
            return False
        self._partial.clear()
        message = f"a line is longer than {self._limit} bytes"
        self._fail(Fault(kind=FaultClass.OVERSIZED, message=message), events)
        return True

    def _end_line(self, events: list[Event]) -> bool:
        """Add what the line holds that is complete now; False when it is the last to be read."""
        line = b"".join(self._partial)
        self._partial.clear()
        self._size = 0
        if self._output == "text":
            self._text(line, events)
        elif line.strip():
            self._object(line, events)
        return not self._finished

    def _open(self, events: list[Event]) -> None:
        if not self._opened:
            self._opened = True
            events.append(Opened())

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._finished = True
        events.append(Failed(fault))

    def _text(self, line: bytes, events: list[Event]) -> None:
        line = line.removesuffix(b"\r")
        if line:
            self._open(events)
            events.append(TextDelta("\n" * self._blank + line.decode("utf-8", "replace")))
            self._blank = 0
        if self._opened:
            self._blank += 1

    def _object(self, line: bytes, events: list[Event]) -> None:
        try:
            said = _read(line)
        except Unreadable as error:
            self._fail(Fault(kind=FaultClass.MALFORMED, message=f"a line cannot be read: {error}"), events)
            return
        if said.error:
            self._fail(in_stream(said.error, COMPATIBLE), events)
            return
        self._open(events)
        if said.thinking:
            events.append(ThinkingDelta(said.thinking, format=FORMAT))
        if said.text:
            events.append(TextDelta(said.text))
        if said.tool_call is not None:
            self._call(said.tool_call, events)
        if said.usage is not None:
            events.append(UsageReported(_usage(said.usage)))
        if said.done:
            self._finished = True
            events.append(Finished(self._reason(said.finish), 0, said.finish))

    def _call(self, call: dict[str, Any], events: list[Event]) -> None:
        arguments = call.get("arguments")
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        number = self._calls
        self._calls += 1
        name = str(call.get("name") or "")
        events.append(ToolCallDelta(number, str(call.get("id") or f"call_{number}"), name, text))

    def _reason(self, word: str | None) -> FinishReason:
        if word is None:
            return "tool_calls" if self._calls else "stop"
        return word if word in _REASONS else "other"  # type: ignore[return-value]


def _usage(raw: dict[str, Any]) -> Usage:
    return Usage(**{name: token_count(raw.get(name)) for name in Usage.__struct_fields__})
