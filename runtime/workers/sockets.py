"""The sockets at which several workers listen.

On Linux each worker has a socket of its own at the same address (`SO_REUSEPORT`): the kernel spreads new connections evenly over
them, where workers that accept from one common socket would get as many as chance has them awake. The parent opens all of
them, hands them down and keeps its own reference: connections that have not been accepted when a worker dies
stay in its queue, and the next life of the worker takes them. (A worker that opened its own would take its queue with it, and
their clients would see a reset.) While a worker rests for longer before its next life its socket is closed, and the others get its share.

Elsewhere `SO_REUSEPORT` does not spread connections; there all workers accept from one common socket.

An address that somebody else listens at is found out first, by a socket without that option: two daemons that share an
address by mistake would each get some of the requests.
"""

from __future__ import annotations

import socket
import sys
from typing import Final, TypeAlias

import trio

__all__ = ["SPREADS", "again", "listen_at", "listeners_of", "places_of", "url_of"]

SPREADS: Final = sys.platform == "linux"
_BACKLOG: Final = 4096
"""Connections that the kernel may keep waiting; it lowers this to its own limit."""

_Place: TypeAlias = tuple[socket.AddressFamily, tuple[object, ...]]
"""A family and an address of it."""


def _open(place: _Place, *, shared: bool = False, listens: bool = True) -> socket.socket:
    family, address = place
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
        if listens:
            made.listen(_BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _addresses(host: str, port: int) -> list[_Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(
        dict.fromkeys([(socket.AddressFamily(family), address) for family, _, _, _, address in found])
    )


def listen_at(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """For each worker the sockets to listen at, one for each address that `host` stands for. Port 0 takes a free one.

    Raises `OSError` if an address is taken, or is none of this machine.
    """
    places: list[_Place] = []
    common: list[socket.socket] = []
    for family, address in _addresses(host, port):
        if port == 0 and common:
            # Every address has the port that the first was given.
            address = (address[0], common[0].getsockname()[1], *address[2:])
        probe = _open((family, address), listens=not SPREADS)
        common.append(probe)
        places.append((family, probe.getsockname()))
    if not SPREADS:
        return [list(common) for _ in range(workers)]
    for probe in common:
        probe.close()
    return [again(places) for _ in range(workers)]


def again(places: list[_Place]) -> list[socket.socket]:
    """One worker's sockets at places that are this daemon's already."""
    return [_open(place, shared=True) for place in places]


def places_of(sockets: list[socket.socket]) -> list[_Place]:
    """Where they listen."""
    return [(each.family, each.getsockname()) for each in sockets]


def url_of(address: tuple[object, ...]) -> str:
    """What a client is told."""
    host = str(address[0])
    return f"http://{f'[{host}]' if ':' in host else host}:{address[1]}/v1"


def listeners_of(descriptors: list[int]) -> list[trio.SocketListener]:
    """The listeners over sockets that were handed down."""
    found = []
    for descriptor in descriptors:
        made = socket.socket(fileno=descriptor)
        made.setblocking(False)
        found.append(trio.SocketListener(trio.socket.from_stdlib_socket(made)))
    return found
