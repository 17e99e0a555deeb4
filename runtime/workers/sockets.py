"""The sockets at which several workers listen.

On Linux each worker has a socket of its own at the same address (`SO_REUSEPORT`): the kernel spreads new connections evenly over
them, where workers that accept from one common socket would get as many as chance has them awake. The parent opens all of
them, hands them down and keeps its own reference: connections that have not been accepted when a worker dies
stay in its queue, and the next life of the worker takes them. (A worker that opened its own would take its queue with it, and
their clients would see a reset.) While a worker rests for longer before its next life its socket is closed, and the others get its
share; connections that waited there at that moment are lost.

Elsewhere `SO_REUSEPORT` does not spread connections, and a unix socket has no such option at all; there all workers accept from
one common socket.

An address that somebody else listens at is found out first, by a socket without that option: two daemons that share an
address by mistake would each get some of the requests. Unless `server.reuse_port` says that this is wanted.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from msgspec.structs import replace

from ..config.schema import Server
from ..wire.listening import Address, listening, open_listeners

__all__ = ["SPREADS", "Place", "address_of", "inherited", "listening_together"]

SPREADS: Final = sys.platform == "linux"


class Place:
    """Where one worker listens. `own`: nobody else accepts from its sockets, which can be closed and opened `again`."""

    def __init__(self, address: Address, listeners: Sequence[trio.SocketListener], *, own: bool) -> None:
        self.listeners = list(listeners)
        self.own = own
        self._addresses = [_exactly(address, each) for each in listeners] if own else []

    @property
    def descriptors(self) -> list[int]:
        """To be handed down."""
        return [each.socket.fileno() for each in self.listeners]

    def close(self) -> None:
        """This process's references."""
        for each in self.listeners:
            each.socket.close()
        self.listeners = []

    async def reopen(self) -> None:
        """After `close`, where it was. Raises `OSError`."""
        for address in self._addresses:
            self.listeners += await open_listeners(address)


def address_of(config: Server, host: str | None, port: int | None) -> Address:
    """Where to listen; a host or port of the command line goes before all that the configuration says."""
    return Address(
        host=host or config.host,
        port=config.port if port is None else port,
        unix=config.unix_socket if host is None and port is None else None,
        unix_mode=int(config.unix_socket_mode, 8),
        backlog=config.backlog,
        reuse_port=config.reuse_port,
    )


@asynccontextmanager
async def listening_together(address: Address, workers: int) -> AsyncIterator[list[Place]]:
    """A place for each worker; closed at the end. Raises `OSError` if an address is taken, or none of this machine."""
    if address.unix is not None or not SPREADS:
        async with listening(address) as listeners:
            yield [Place(address, listeners, own=False) for _ in range(workers)]
        return
    probes = await open_listeners(address)
    addresses = [_exactly(address, each) for each in probes]
    for probe in probes:
        probe.socket.close()
    places: list[Place] = []
    try:
        for _ in range(workers):
            made = [listener for each in addresses for listener in await open_listeners(each)]
            places.append(Place(address, made, own=True))
        yield places
    finally:
        for place in places:
            place.close()


@asynccontextmanager
async def inherited(descriptors: Sequence[int]) -> AsyncIterator[list[trio.SocketListener]]:
    """The listeners over sockets that were handed down, closed at the end."""
    found = []
    for descriptor in descriptors:
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        found.append(trio.SocketListener(trio.socket.from_stdlib_socket(made)))
    try:
        yield found
    finally:
        for each in found:
            each.socket.close()


def _exactly(address: Address, listener: trio.SocketListener) -> Address:
    """Where `listener` is, to be shared with others."""
    host, port, *_ = listener.socket.getsockname()
    return replace(address, host=host, port=port, reuse_port=True)
