"""A decoder that hands on the bytes of an answer as they are, and reads beside them what was used."""

from __future__ import annotations

from typing import Final, Protocol

from ..canon import Event, Failed, OpaqueDelta, UsageReported
from ..dialects import Decoder, VendorFault
from .passage import Known

__all__ = ["RAW", "PassingDecoder", "bytes_of"]

RAW: Final = "raw"
"""The format of the events that hold pieces of an answer: such an event's payload has them under the same word."""

_MOST_KEPT: Final = 8 * 2**20
"""Bytes of a whole answer that are kept to be read at its end; of a longer one the usage is not known."""


def bytes_of(event: Event) -> bytes:
    """The piece of an answer in an event; empty for what was only read beside."""
    if isinstance(event, OpaqueDelta) and event.format == RAW:
        piece: bytes = event.payload[RAW]
        return piece
    return b""


class _Beside(Protocol):
    def feed(self, data: bytes, /) -> list[Event]: ...

    def close(self) -> list[Event]: ...


class _Streamed:
    """Reads a stream as the dialect does, up to what it takes for a fault: that is the client's to judge."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder: Decoder | None = decoder

    def feed(self, data: bytes) -> list[Event]:
        return [] if self._decoder is None else self._taken(self._decoder.feed(data))

    def close(self) -> list[Event]:
        return [] if self._decoder is None else self._taken(self._decoder.close())

    def _taken(self, events: list[Event]) -> list[Event]:
        if events and isinstance(events[-1], Failed):
            self._decoder = None
            events.pop()
        return events


class _Whole:
    """Keeps an answer, and reads it at its end."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._kept: bytearray | None = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        if self._kept is not None and len(self._kept) + len(data) <= _MOST_KEPT:
            self._kept += data
        else:
            self._kept = None
        return []

    def close(self) -> list[Event]:
        if self._kept is None:
            return []
        try:
            usage = self._known.usage(bytes(self._kept))
        except VendorFault:
            usage = None
        self._kept = None
        return [] if usage is None else [UsageReported(usage)]


class _Nothing:
    def feed(self, _data: bytes, /) -> list[Event]:
        return []

    def close(self) -> list[Event]:
        return []


class PassingDecoder:
    """See `dialects.base.Decoder`: it never fails, and is finished when the body is."""

    def __init__(self, known: Known | None) -> None:
        self._beside: _Beside = _Nothing()
        if known is not None:
            self._beside = _Streamed(known.decoder()) if known.streamed else _Whole(known)
        self._finished = False

    @property
    def finished(self) -> bool:
        """Whether the body has ended: an answer has no other end here."""
        return self._finished

    def feed(self, data: bytes) -> list[Event]:
        """The piece as an event, and what it says of the usage."""
        return [OpaqueDelta(RAW, {RAW: data}), *self._beside.feed(data)] if data else []

    def close(self) -> list[Event]:
        """What the whole says of the usage."""
        self._finished = True
        return self._beside.close()
