"""Connections within one process, for simulations in virtual time: like TCP in what can be seen of it.

A stream holds at most `capacity` bytes a direction, so that a reader who stops is felt by the writer; it can be
reset; what was sent before an end, or a reset, still arrives. `MemoryNetwork.dial` is made for
`TrioTransport(dial=...)` and stands for names, addresses and vendors.
"""

from __future__ import annotations

import errno
import operator
import os
import random
import socket
from collections.abc import Callable, Mapping
from typing import Final

import trio

from ...runtime.wire.client_errors import TLSFailed
from .chance import draw
from .vendor import ScriptedVendor

__all__ = ["MemoryNetwork", "MemoryStream", "memory_pair"]

CAPACITY: Final = 64 * 1024
"""Bytes a direction, about what a socket's buffers hold at least."""


class _Pipe:
    """One direction."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.data = bytearray()
        self.ended = False
        """The writer has closed: EOF after what is still there."""
        self.broken = False
        """Reset: an error after what is still there."""
        self.unread = False
        """The reader has closed: writing is in vain."""
        self.changed = trio.lowlevel.ParkingLot()

    def news(self) -> None:
        self.changed.unpark_all()


class _OneAtATime:
    """Trio's rule for streams: two tasks may not do the same thing at once."""

    def __init__(self) -> None:
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError("another task is using this end of the stream")
        self._busy = True

    def __exit__(self, *_: object) -> None:
        self._busy = False


class MemoryStream(trio.abc.Stream):
    """One end of a connection. With `slices`, each read takes a part of what is there, of a length drawn from it."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe, slices: random.Random | None) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._slices = slices
        self._sending = _OneAtATime()
        self._receiving = _OneAtATime()
        self.closed = False
        self.on_close: Callable[[], None] | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`. Raises `BrokenResourceError` when nobody reads any more."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self._sending:
            pipe, left = self._outgoing, memoryview(data)
            self._check_writable()
            while left:
                room = pipe.capacity - len(pipe.data)
                if room <= 0:
                    await pipe.changed.park()
                    self._check_writable()
                    continue
                pipe.data += left[:room]
                left = left[room:]
                pipe.news()
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self._sending:
            pipe = self._outgoing
            self._check_writable()
            while len(pipe.data) >= pipe.capacity:
                await pipe.changed.park()
                self._check_writable()
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`. Raises `BrokenResourceError` after a reset."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        await trio.lowlevel.checkpoint_if_cancelled()
        with self._receiving:
            pipe = self._incoming
            while not (self.closed or pipe.data or pipe.ended):
                await pipe.changed.park()
            await trio.lowlevel.cancel_shielded_checkpoint()
            if self.closed:
                raise trio.ClosedResourceError
            taken = self._take(pipe, max_bytes)
            if not taken and pipe.broken:
                raise trio.BrokenResourceError("the connection was reset")
            return taken

    def close(self) -> None:
        """Close at once: the other end finds EOF after what was sent. Idempotent."""
        if not self.closed:
            self.closed = True
            self._outgoing.ended = True
            self._incoming.unread = True
            self._incoming.data.clear()
            self._incoming.news()
            self._outgoing.news()
            if self.on_close is not None:
                self.on_close()

    def reset(self) -> None:
        """Close at once: the other end finds an error after what was sent."""
        self._outgoing.broken = True
        self.close()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _check_writable(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        if self._outgoing.unread:
            raise trio.BrokenResourceError("the other end has closed")

    def _take(self, pipe: _Pipe, most: int | None) -> bytes:
        length = len(pipe.data) if most is None else min(most, len(pipe.data))
        if self._slices is not None and length > 1:
            length = self._slices.randint(1, length)
        taken = bytes(pipe.data[:length])
        del pipe.data[:length]
        pipe.news()
        return taken


def memory_pair(
    capacity: int = CAPACITY, slices: random.Random | None = None
) -> tuple[MemoryStream, MemoryStream]:
    """Both ends of a new connection; what either reads is cut by `slices`."""
    there, back = _Pipe(capacity), _Pipe(capacity)
    return MemoryStream(back, there, slices), MemoryStream(there, back, slices)


class MemoryNetwork:
    """Names and the vendors behind them. Connections live in `nursery` until they end.

    `latency` is the time that dialling takes. `open` and `dialled` count the clients' ends of connections that are
    open, and those that have ever been made.
    """

    def __init__(
        self,
        vendors: Mapping[str, ScriptedVendor],
        nursery: trio.Nursery,
        *,
        capacity: int = CAPACITY,
        latency: float = 0.0,
        slices: random.Random | None = None,
    ) -> None:
        self.vendors = dict(vendors)
        self._nursery = nursery
        self._capacity = capacity
        self._latency = latency
        self._slices = slices
        self.open = self.dialled = 0

    async def dial(self, host: str, _port: int) -> trio.abc.Stream:
        """Connect to the vendor called `host`. Raises what a network raises: `OSError` in its kinds, and `TLSFailed`."""
        await trio.sleep(self._latency)
        vendor = self.vendors.get(host)
        if vendor is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name in the simulated network")
        number, rule, rng = vendor.next_connection()
        if rule.act in ("refuse", "drop", "unresolved", "untrusted"):
            vendor.turned_away += 1
            await trio.sleep(draw(rule.delay, rng))
            if rule.act == "drop":
                await trio.sleep_forever()
            if rule.act == "unresolved":
                raise socket.gaierror(socket.EAI_AGAIN, "name resolution fails, as the script says")
            if rule.act == "untrusted":
                raise TLSFailed(f"certificate of {host!r} has expired, as the script says")
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        mine, theirs = memory_pair(self._capacity, self._slices)
        self.open += 1
        self.dialled += 1
        mine.on_close = self._closed
        self._nursery.start_soon(vendor.serve_stream, theirs, (number, rule, rng))
        return mine

    def _closed(self) -> None:
        self.open -= 1
