"""Amazon's event stream encoding (`application/vnd.amazon.eventstream`), from bytes to messages: a pure decoder.

A message is a length, a length of headers, a checksum of these two, the headers, the payload, and a checksum of
everything before it; numbers are big-endian, checksums CRC-32 (IEEE 802.3). Source: "Event stream encoding" in the
developer guide of Amazon Transcribe, and the smithy specification `aws.protocols#eventStream`.

What comes out never depends on where the network cut the input. A checksum that is wrong, a length that cannot be or a header
that runs over its end makes the rest of the stream worthless: the boundaries of messages are known by lengths alone.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import msgspec

__all__ = ["MAX_MESSAGE_BYTES", "CorruptMessage", "EventMessage", "EventStreamDecoder", "OversizedMessage"]

MAX_MESSAGE_BYTES: Final = 1 << 20
"""Default bound of one message, in bytes; Amazon's own is 16 MiB."""

_PRELUDE: Final = 12
_CHECKSUM: Final = 4
_LEAST: Final = _PRELUDE + _CHECKSUM
_MOST_HEADERS: Final = 128 * 1024

_FIXED: Final[dict[int, struct.Struct]] = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
    9: struct.Struct(">16s"),
}
"""The kinds of header values that have one length: byte, short, integer, long, timestamp (milliseconds) and UUID."""
_TRUE, _FALSE, _BYTES, _TEXT = 0, 1, 6, 7


class CorruptMessage(ValueError):
    """The stream is not what was sent, or no event stream at all; the decoder is of no further use."""


class OversizedMessage(ValueError):
    """The peer announced a message longer than the limit; the decoder is of no further use."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a message of the event stream is longer than {limit} bytes")


class EventMessage(msgspec.Struct, frozen=True, gc=False):
    """One message. Names and texts of headers are decoded, other values as they are: numbers, true or false, bytes."""

    headers: dict[str, Any]
    payload: bytes

    def text(self, name: str) -> str:
        """The header `name` if it is a text, else an empty one."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class EventStreamDecoder:
    """Decodes one stream, fed piece by piece, and holds at most one message of `limit` bytes."""

    __slots__ = ("_buffer", "_flaw", "_limit")

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._flaw: ValueError | None = None

    def feed(self, data: bytes) -> list[EventMessage]:
        """The messages that `data` completes, in order.

        Raises `CorruptMessage` or `OversizedMessage`. Messages that were complete before the flaw are delivered first, so
        the error may come one call (`feed` or `close`) later.
        """
        if self._flaw is not None:
            raise self._flaw
        self._buffer += data
        messages: list[EventMessage] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except (CorruptMessage, OversizedMessage) as flaw:
            self._flaw = flaw
            self._buffer.clear()
            if not messages:
                raise
        return messages

    def close(self) -> bool:
        """Call at the end of the stream: True if it ended inside a message. Raises what `feed` still owes."""
        if self._flaw is not None:
            raise self._flaw
        return bool(self._buffer)

    def _next(self) -> EventMessage | None:
        buffer = self._buffer
        if len(buffer) < _PRELUDE:
            return None
        length, headers, checksum = struct.unpack_from(">III", buffer)
        if zlib.crc32(buffer[: _PRELUDE - _CHECKSUM]) != checksum:
            raise CorruptMessage("the checksum of a message's lengths is wrong")
        if length > self._limit:
            raise OversizedMessage(self._limit)
        if length < _LEAST + headers or headers > _MOST_HEADERS:
            raise CorruptMessage(f"a message of {length} bytes claims to have {headers} bytes of headers")
        if len(buffer) < length:
            return None
        whole = bytes(buffer[:length])
        del buffer[:length]
        (checksum,) = struct.unpack_from(">I", whole, length - _CHECKSUM)
        if zlib.crc32(whole[:-_CHECKSUM]) != checksum:
            raise CorruptMessage("the checksum of a message is wrong")
        end = _PRELUDE + headers
        return EventMessage(_headers(whole[_PRELUDE:end]), whole[end:-_CHECKSUM])


def _headers(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    try:
        while at < len(data):
            name, at = _sized(data, at + 1, data[at])
            kind = data[at]
            at += 1
            if kind in (_TRUE, _FALSE):
                value: Any = kind == _TRUE
            elif kind in (_BYTES, _TEXT):
                (size,) = struct.unpack_from(">H", data, at)
                value, at = _sized(data, at + 2, size)
                value = value.decode() if kind == _TEXT else value
            else:
                (value,) = _FIXED[kind].unpack_from(data, at)
                at += _FIXED[kind].size
            found[name.decode()] = value
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise CorruptMessage(f"a message's headers cannot be read: {error!r}") from error
    return found


def _sized(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    piece = data[at : at + size]
    if len(piece) < size:
        raise IndexError("a value runs over the end of the headers")
    return piece, at + size
