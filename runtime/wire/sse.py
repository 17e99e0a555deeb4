"""Server-sent events, from bytes to events: a pure decoder that owns no socket and no clock.

The rules are those of the HTML standard, section 9.2.6 ("Interpreting an event stream"), with two
differences that a dispatcher needs. Data stays bytes, since JSON is decoded from bytes anyway. And
comments, which the standard throws away, are counted: they prove that the peer lives, though not
that it makes progress.

What comes out never depends on where the network cut the input, not even within a UTF-8 character
or between CR and LF. Every buffer is bounded by `limit`.
"""

import re

import msgspec

MAX_EVENT_BYTES = 1 << 20
"""Default bound of one event, in bytes. Streams that carry images inline need a larger one."""

_BOM = b"\xef\xbb\xbf"
_DIGITS = re.compile(rb"[0-9]{1,15}")


class OversizedEvent(ValueError):
    """The peer sent an event, or a line of one, longer than the decoder's limit.

    The decoder is of no further use: each later call raises the same again.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"a server-sent event is longer than {limit} bytes")
        self.limit = limit


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event.

    `event` is its type, None where the stream names none (the standard's "message").
    `data` is the payload with its lines joined by LF, undecoded.
    """

    event: str | None
    data: bytes


class SSEDecoder:
    """Decodes one event stream, fed piece by piece.

    `comments` counts comment lines seen. `last_event_id` and `retry` (milliseconds) hold what the
    stream said last, None before it said anything.
    """

    __slots__ = (
        "_after_cr", "_data", "_event", "_limit", "_more", "_oversized", "_partial", "_partial_size", "_size",
        "_started", "comments", "last_event_id", "retry",
    )  # fmt: skip

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self.comments = 0
        self.last_event_id: str | None = None
        self.retry: int | None = None
        self._limit = limit
        self._started = False
        # The last piece ended in CR: should LF come next, it belongs to that line end.
        self._after_cr = False
        # Pieces of a line whose end has not come. A list, so that a line sent byte by byte costs linear time.
        self._partial: list[bytes] = []
        self._partial_size = 0
        # The open event: its first data line, and the others in a list for the same reason.
        self._data: bytes | None = None
        self._more: list[bytes] = []
        self._event: str | None = None
        self._size = 0
        self._oversized: OversizedEvent | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes, in order.

        Raises OversizedEvent once an event has outgrown the limit. Events that were complete before
        it are delivered first, so the error may come one call (`feed` or `close`) later.
        """
        if self._oversized is not None:
            raise self._oversized
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        if not data:
            return []
        lines = self._complete_lines(data)
        if not self._started and lines:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[ServerSentEvent] = []
        try:
            self._read(lines, events)
            # A byte order mark, not yet taken off, must not make a difference.
            if self._partial_size > self._limit + len(_BOM):
                raise OversizedEvent(self._limit)
        except OversizedEvent as oversized:
            self._oversized = oversized
            self._partial.clear()
            self._more.clear()
            self._data = None
            if not events:
                raise
        return events

    def close(self) -> bool:
        """Call at the end of the stream: True if it ended inside an event.

        Such a residue is never delivered, not even if only its blank line is missing: the standard
        says so, and nobody can tell a whole event from one cut short. Whether the answer was
        complete without it is for the dialect to judge. A comment cut short is no residue.
        Raises OversizedEvent if an earlier `feed` still owes it.
        """
        if self._oversized is not None:
            raise self._oversized
        if self._data is not None or self._event is not None:
            return True
        tail = b"".join(self._partial)
        if not self._started:
            tail = tail.removeprefix(_BOM)
        return bool(tail) and not tail.startswith(b":")

    def _complete_lines(self, data: bytes) -> list[bytes]:
        """The lines that `data` ends; what follows the last line end is kept for later.

        `bytes.splitlines` ends lines at CR, LF and CRLF and nowhere else, just as the standard does.
        """
        lines = data.splitlines()
        last = data[-1]
        if last == 0x0A:
            rest = b""
        elif last == 0x0D:
            self._after_cr = True
            rest = b""
        else:
            rest = lines.pop()
        if self._partial and lines:
            self._partial.append(lines[0])
            lines[0] = b"".join(self._partial)
            self._partial.clear()
            self._partial_size = 0
        if rest:
            self._partial.append(rest)
            self._partial_size += len(rest)
        return lines

    def _read(self, lines: list[bytes], events: list[ServerSentEvent]) -> None:
        limit = self._limit
        for line in lines:
            if not line:
                if self._data is not None:
                    events.append(ServerSentEvent(self._event, self._whole_data(self._data)))
                    self._data = None
                self._event = None
            elif len(line) > limit:
                raise OversizedEvent(limit)
            elif line[:5] == b"data:":
                self._add_data(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._read_other(line)

    def _add_data(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
            self._size = len(value)
            return
        self._more.append(value)
        # Each further line counts its LF too, so a flood of empty lines is bounded as well.
        self._size += len(value) + 1
        if self._size > self._limit:
            raise OversizedEvent(self._limit)

    def _whole_data(self, first: bytes) -> bytes:
        if not self._more:
            return first
        whole = b"\n".join((first, *self._more))
        self._more.clear()
        return whole

    def _read_other(self, line: bytes) -> None:
        """Any line but the usual `data:` one. Fields the standard does not know are ignored."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            self.comments += 1
        elif name == b"event":
            self._event = value.decode("utf-8", "replace") or None
        elif name == b"data":
            self._add_data(value)
        elif name == b"id" and b"\0" not in value:
            self.last_event_id = value.decode("utf-8", "replace")
        elif name == b"retry" and _DIGITS.fullmatch(value):
            self.retry = int(value)
