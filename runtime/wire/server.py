"""The daemon's own ASGI server: HTTP/1.1 on trio streams.

Small, because it does one thing: the application is called with plain `http` scopes, keep-alive and pipelining
are served in order, every length and every wait has a limit, and draining is part of it. `server_parser` reads
requests, `server_connection` serves one connection, `server_cycle` one request of it; here are the limits, the accept
loop and the end.

When places or file descriptors run out, the connections that have been idle longest make room, those included that never
finish the head of a request: many slow clients do not keep others out. Connections with a request under way stay.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from email.utils import formatdate
from typing import Any, Final, TypeAlias

import msgspec
import structlog
import trio
from msgspec import Struct

from ..clock import wall_now
from .addresses import AddressQuota
from .client_errors import BROKEN
from .descriptors import Descriptors
from .listening import unix_path
from .quick_socket import QuickStream, close_now, quickened
from .quick_tls import QuickTLS
from .server_connection import ServerConnection
from .server_parser import BadRequest
from .watchdog import Watchdog

__all__ = ["ASGIApp", "Server", "ServerLimits", "ServerStatistics"]

log = structlog.get_logger("llm_dispatcher.server")

ASGIApp: TypeAlias = Callable[
    [Mapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]

Refusal: TypeAlias = Callable[[BadRequest], tuple[list[tuple[bytes, bytes]], bytes]]

_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ANEW: Final = 0.05
"""Seconds until accepting begins anew after it failed: so that what fails at once does not take all the time."""
_FAREWELL: Final = 2.0
"""Seconds for telling clients that their requests are ended."""
_ON_ITS_WAY: Final = 0.2
"""Seconds for which an idle connection is listened to before it is closed for good: a few round trips."""
_TOO_MANY: Final = (
    b'{"error":{"message":"too many connections from your address","type":"rate_limit_error","param":null,'
    b'"code":"too_many_connections"}}'
)
_TURNED_AWAY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\n%b" % (len(_TOO_MANY), _TOO_MANY)
)


class ServerLimits(Struct, frozen=True, kw_only=True):
    """Every length (bytes), every wait (seconds), every rate (bytes a second)."""

    head: int = 64 * 1024
    headers: int = 100
    body: int = 16 * 2**20
    head_timeout: float = 10.0
    """From a head's first byte to its last."""
    body_grace: float = 5.0
    """So long a body may keep us waiting, and a second longer for every `body_rate` bytes of it."""
    body_rate: float = 1024.0
    stall: float = 30.0
    """A client that neither sends nor takes anything for so long, while it should, is cut off."""
    answer_rate: float = 1024.0
    """A client that has kept us waiting for `answer_window` seconds and took less than this is cut off, too."""
    answer_window: float = 60.0
    keep_alive: float = 75.0
    """An idle connection is closed after it."""
    strained_keep_alive: float = 5.0
    """And after this while the server is `strained`."""
    connections: int = 10_000
    """Open at once. For a further one the longest idle is closed; if none is idle, it waits in the backlog."""
    connections_per_address: int = 0
    """Of one client's address, this machine's own excepted; 0 is without limit."""


class ServerStatistics(Struct, frozen=True):
    """The server at a moment (`connections`, `idle`, `in_flight`, `paused`), and counts since its start.

    `requests` begun; `refused` as no valid HTTP; `slow_clients` cut off; `evicted` idle connections that made
    room; `turned_away` connections of addresses that had too many.
    """

    connections: int
    idle: int
    in_flight: int
    paused: bool
    requests: int
    refused: int
    slow_clients: int
    evicted: int
    turned_away: int


class Server:
    """Serves one application. `scheme` is what the scopes say: `http`, or `https` behind TLS.

    `tls` says which context a new connection is to speak TLS with; the scheme is `https` then. `descriptors` pauses
    accepting while file descriptors run short. `closing`: answers close their connections. `refusal` makes the headers that
    name it and the JSON body of an answer to what the application does not get to see, or does not get to answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ServerLimits | None = None,
        *,
        scheme: str = "http",
        tls: Callable[[], ssl.SSLContext] | None = None,
        descriptors: Descriptors | None = None,
        addresses: AddressQuota | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        self.app = app
        self.refusal = refusal or plain_refusal
        self.limits = limits or ServerLimits()
        self.scheme = "https" if tls is not None else scheme
        self._tls = tls
        self.closing = False
        self.draining = False
        self.watchdog = Watchdog()
        self.idle_limit = self.limits.keep_alive
        self.idle: dict[ServerConnection, None] = {}
        """Connections without a request under way, the longest idle first."""
        self.requests = 0
        self.refused = 0
        self.in_flight = 0
        self.slow_clients = 0
        self._evicted = 0
        self._turned_away = 0
        self._paused = False
        self._full = False
        self._descriptors = descriptors
        self._addresses = addresses or AddressQuota(self.limits.connections_per_address)
        self._connections: set[ServerConnection] = set()
        self._accepting = trio.CancelScope()
        self._left = trio.Event()
        self._common = b""
        self._common_until = 0.0

    def statistics(self) -> ServerStatistics:
        """The server at this moment."""
        return ServerStatistics(
            connections=len(self._connections),
            idle=len(self.idle),
            in_flight=self.in_flight,
            paused=self._paused,
            requests=self.requests,
            refused=self.refused,
            slow_clients=self.slow_clients,
            evicted=self._evicted,
            turned_away=self._turned_away,
        )

    def common_headers(self) -> bytes:
        """The last header lines and the empty line of every answer; the date is made once a second."""
        now = wall_now()
        if not self._common_until - 1.0 <= now < self._common_until:
            self._common_until = float(int(now) + 1)
            self._common = b"date: %b\r\n\r\n" % formatdate(now, usegmt=True).encode()
        return self._common

    def strain(self, strained: bool) -> None:
        """While `strained`, idle connections are kept for a shorter time only."""
        if self.draining:
            return
        limits = self.limits
        self.idle_limit = (
            min(limits.keep_alive, limits.strained_keep_alive) if strained else limits.keep_alive
        )
        if strained:
            deadline = trio.current_time() + self.idle_limit
            for connection in self.idle:
                connection.hurry(deadline)

    # --- from start to end ------------------------------------------------------------------

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
                        accepting.start_soon(self._keep_accepting, listener, connections)
                    task_status.started()

    async def drain(self, deadline: float) -> None:
        """Stop accepting, close idle connections, and let running requests end until `deadline`.

        An idle connection is closed when nothing comes on it for a moment: a request may be on its way already, and few
        clients send one again that got no answer.

        What still runs then is cancelled, and its client told so: by a 503 if no answer has begun, else by the
        answer's own farewell (`server_cycle.FAREWELL`). Two seconds later every connection is cut.
        """
        self.closing = self.draining = True
        self._accepting.cancel()
        self.idle_limit = min(self.idle_limit, _ON_ITS_WAY)
        for connection in self.idle:
            connection.hurry(trio.current_time() + _ON_ITS_WAY)
        await self.wait_until_empty(deadline)
        for connection in list(self._connections):
            connection.end()
        await self.wait_until_empty(trio.current_time() + _FAREWELL)
        for connection in list(self._connections):
            connection.cut()

    async def wait_until_empty(self, deadline: float) -> None:
        """Until there is no connection, at most until `deadline`."""
        with trio.move_on_at(deadline):
            while self._connections:
                await self._wait_for_leaver()

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; also for streams that came from no listener."""
        address = _address(stream)
        await self._run(self._take_in(stream, address, None), "")

    def _take_in(
        self, stream: trio.abc.Stream, client: tuple[str, int] | None, path: tuple[str, None] | None
    ) -> ServerConnection:
        quick = quickened(stream)
        if self._tls is not None and isinstance(quick, QuickStream):
            quick = QuickTLS(quick, self._tls(), server_side=True)
        connection = ServerConnection(self, quick, client, path)
        self._connections.add(connection)
        self.idle[connection] = None
        return connection

    async def _run(self, connection: ServerConnection, network: str) -> None:
        try:
            await connection.run()
        except Exception:
            log.exception("connection failed")
        finally:
            self.idle.pop(connection, None)
            self._connections.discard(connection)
            self._addresses.give_back(network)
            self._left.set()

    def rests(self, connection: ServerConnection) -> None:
        """`connection` has no request under way any more, and could make room for another."""
        self.idle[connection] = None
        if self._full:
            self._left.set()

    async def _wait_for_leaver(self) -> None:
        if self._left.is_set():
            self._left = trio.Event()
        await self._left.wait()

    # --- accepting --------------------------------------------------------------------------

    async def _keep_accepting(self, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        """Accept for ever. What goes wrong with one connection, or by a mistake of ours, must not keep the others out: the
        listener is held elsewhere, and accepting begins anew. Raises `ClosedResourceError` when there is no listener any more."""
        while True:
            try:
                await self._accept(listener, connections)
            except trio.ClosedResourceError:
                raise
            except Exception:
                log.exception("accepting failed, and begins anew")
                await trio.sleep(_ANEW)

    async def _accept(self, listener: trio.abc.Listener[Any], connections: trio.Nursery) -> None:
        path = unix_path(listener)
        place = None if path is None else (path, None)
        while True:
            await self._wait_for_descriptors()
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                log.error("no resources for another connection", error=str(error))
                self._evict()
                await trio.sleep(0.1)
                continue
            address = _address(stream)
            network = self._addresses.take(address[0] if address else None)
            if network is None:
                self._turn_away(stream)
                continue
            try:
                await self._make_place()
            except BaseException:
                self._addresses.give_back(network)
                close_now(stream)
                raise
            connections.start_soon(self._run, self._take_in(stream, address, place), network)

    async def _wait_for_descriptors(self) -> None:
        """Wait while file descriptors run short; idle connections make room meanwhile."""
        descriptors = self._descriptors
        if descriptors is None or not descriptors.full():
            return
        log.warning(
            "accepting is paused: file descriptors run short",
            limit=descriptors.limit,
            remedy="raise the limit of open files (`ulimit -n`, LimitNOFILE=) or lower server.max_connections",
        )
        self._paused = True
        try:
            while descriptors.full():
                self._evict()
                await trio.sleep(0.02)
        finally:
            self._paused = False

    async def _make_place(self) -> None:
        """Wait until there is a place for a connection more; an idle one is closed for it at once."""
        while len(self._connections) >= self.limits.connections and not self._evict():
            self._full = True
            await self._wait_for_leaver()
        self._full = False

    def _evict(self) -> bool:
        """Close the connection that has been idle longest; False if none is idle."""
        connection = next(iter(self.idle), None)
        if connection is None:
            return False
        del self.idle[connection]
        self._evicted += 1
        connection.cut()
        return True

    def _turn_away(self, stream: trio.abc.Stream) -> None:
        self._turned_away += 1
        quick = quickened(stream)
        if isinstance(quick, QuickStream) and self._tls is None:
            with suppress(*BROKEN):
                quick.send_nowait(_TURNED_AWAY)
        close_now(quick)


def plain_refusal(error: BadRequest) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """For applications that have no errors of their own form."""
    return [], msgspec.json.encode({"error": {"message": str(error), "code": error.code}})


def _address(stream: trio.abc.Stream) -> tuple[str, int] | None:
    """The client's address and port; None where there is none (a unix socket, a stream in memory)."""
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        name = stream.socket.getpeername()
    except OSError:
        return None
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
