"""The daemon's own ASGI server: HTTP/1.1 on trio streams.

Small, because it does one thing: the application is called with plain `http` scopes, keep-alive and pipelining
are served in order, every length and every wait has a limit, and draining is part of it. `server_parser` reads
requests, `server_connection` serves one connection; here are the limits, the accept loop and the end.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from email.utils import formatdate
from typing import Any, Final, TypeAlias

import structlog
import trio
from msgspec import Struct

from ..clock import wall_now
from .server_connection import ServerConnection
from .watchdog import Watchdog

__all__ = ["ASGIApp", "Server", "ServerLimits", "ServerStatistics"]

log = structlog.get_logger("llm_dispatcher.server")

ASGIApp: TypeAlias = Callable[
    [Mapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Every length (bytes) and every wait (seconds)."""

    head: int = 64 * 1024
    headers: int = 100
    body: int = 16 * 2**20
    head_timeout: float = 10.0
    """From a head's first byte to its last."""
    body_grace: float = 5.0
    """So long a body may be silent; after it, it must have arrived at `body_rate` bytes a second."""
    body_rate: float = 1024.0
    keep_alive: float = 75.0
    """An idle connection is closed after it."""
    write_timeout: float = 30.0
    """A client that takes nothing for so long is cut off."""
    connections: int = 10_000
    """Open at once; further ones wait in the backlog."""


class ServerStatistics(Struct, frozen=True):
    """The server at a moment, and since its start: requests begun, and requests refused as no valid HTTP."""

    connections: int
    in_flight: int
    requests: int
    refused: int


class Server:
    """Serves one application. `scheme` is what the scopes say: `http`, or `https` behind TLS."""

    def __init__(self, app: ASGIApp, limits: ServerLimits | None = None, *, scheme: str = "http") -> None:
        self.app = app
        self.limits = limits or ServerLimits()
        self.scheme = scheme
        self.draining = False
        self.watchdog = Watchdog()
        self.requests = 0
        self.refused = 0
        self.in_flight = 0
        self._connections: set[ServerConnection] = set()
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()
        self._places = trio.CapacityLimiter(self.limits.connections)
        self._common = b""
        self._common_until = 0.0

    def statistics(self) -> ServerStatistics:
        """The server at this moment."""
        return ServerStatistics(len(self._connections), self.in_flight, self.requests, self.refused)

    def common_headers(self) -> bytes:
        """The last header lines and the empty line of every answer; the date is made once a second."""
        now = wall_now()
        if not self._common_until - 1.0 <= now < self._common_until:
            self._common_until = float(int(now) + 1)
            self._common = b"date: %b\r\n\r\n" % formatdate(now, usegmt=True).encode()
        return self._common

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[Any]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve until cancelled, or until `drain` has ended it."""
        async with trio.open_nursery() as connections, AsyncExitStack() as stack:
            for listener in listeners:
                await stack.enter_async_context(listener)
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    task_status.started()

    async def drain(self, deadline: float) -> None:
        """Stop accepting, close idle connections, let running requests end, and cut what is left at `deadline`."""
        self.draining = True
        self._accepting.cancel()
        for connection in list(self._connections):
            connection.stop_if_idle()
        with trio.move_on_at(deadline):
            while self._connections:
                self._empty = trio.Event()
                await self._empty.wait()
        for connection in list(self._connections):
            connection.cut()

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; also for streams that came from no listener."""
        connection = ServerConnection(self, stream, _address(stream))
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception:
            log.exception("connection failed")
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._empty.set()

    async def _accept(self, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        while True:
            await self._places.acquire_on_behalf_of(token := object())
            try:
                stream = await listener.accept()
            except OSError as error:
                self._places.release_on_behalf_of(token)
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                log.error("no resources for another connection", error=str(error))
                await trio.sleep(0.1)
                continue
            except BaseException:
                self._places.release_on_behalf_of(token)
                raise
            connections.start_soon(self._placed, stream, token)

    async def _placed(self, stream: trio.abc.Stream, token: object) -> None:
        try:
            if isinstance(stream, trio.SocketStream):
                with suppress(OSError):
                    stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            await self.serve_connection(stream)
        finally:
            self._places.release_on_behalf_of(token)


def _address(stream: trio.abc.Stream) -> tuple[str, int] | None:
    """The client's address and port; None where there is none (a unix socket, a stream in memory)."""
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if not isinstance(inner, trio.SocketStream):
        return None
    try:
        name = inner.socket.getpeername()
    except OSError:
        return None
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
