"""The HTTP client engine: an httpx transport over trio streams, made for many small exchanges with few hosts.

httpx is the interface, this is the engine: requests and responses are httpx's, as are the exceptions
(`client_errors` has the few that say more). The way of a request:

    encode (client_request) -> pool.take | pool.claim + connect | pool.wait -> Connection.exchange
        -> httpx.Response over a ResponseBody -> back into the pool, or closed

Use one transport a vendor: its limits are the vendor's, and another vendor's stall cannot use them up.

It never retries and never follows; it makes no connection outlive a failed or cancelled exchange;
and it waits for nothing without the timeout that httpx defines for it (`request.extensions["timeout"]`,
seconds: `connect` for dialling, proxy and TLS together; `read` and `write` for each single wait;
`pool` for a free connection). A timeout that is absent or None is not applied.

With `request.extensions["fresh"]` no idle connection is used: whoever met a stale one should not meet the next.
`request.extensions["waiting"]` is called with True when the request begins to wait for a free connection, since all of
`max_connections` are in use, and with False when it need not wait any longer: that time is not the server's.
"""

import ssl
from collections.abc import AsyncIterator, Callable

import httpx
import trio

from .client_errors import NameNotResolved, PoolOverflow, StaleConnection, TLSFailed
from .client_request import Origin, Outgoing, encode, origin_of
from .client_response import ReceivedResponse
from .connect import Connector, Dial, dial_tcp, dial_unix
from .connection import Connection, Timeouts
from .pool import ClientLimits, OriginStatistics, Pool, TransportStatistics
from .watchdog import Watchdog

__all__ = [
    "ClientLimits",
    "Dial",
    "NameNotResolved",
    "OriginStatistics",
    "PoolOverflow",
    "StaleConnection",
    "TLSFailed",
    "TransportStatistics",
    "TrioTransport",
    "dial_tcp",
    "dial_unix",
]

_DEFAULT_LIMITS = ClientLimits()
_OFTENEST = 1.0
"""Seconds between two looks at connections that are kept warm, at least."""
_MOST_DOUBLINGS = 5
"""How often that time is doubled while they cannot be opened."""


class TrioTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over trio. See the module's text.

    `ssl_context` replaces the default one, which trusts certifi's or the system's roots and is made
    when first needed. `proxy` is `scheme://[user:password@]host:port` with the scheme http, https, socks5 or socks5h;
    ValueError for what is none.
    `dial` opens the streams instead of TCP (see `connect.Dial`).
    """

    def __init__(
        self,
        *,
        limits: ClientLimits = _DEFAULT_LIMITS,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        dial: Dial | None = None,
    ) -> None:
        self._connector = Connector(dial=dial, proxy=proxy, ssl_context=ssl_context)
        self._pool: Pool[Connection] = Pool(limits)
        self._watchdog = Watchdog()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; returns once the head of the response is there.

        The response must be read to its end or closed, else its connection is not given back.
        Raises httpx.TransportError in its many kinds, and RuntimeError once the transport is closed.
        """
        try:
            origin = origin_of(request.url)
            outgoing = self._encode(request, origin)
            timeouts = Timeouts(request.extensions.get("timeout") or {})
            connection = None
            if not request.extensions.get("fresh"):
                connection = self._pool.take(origin, trio.current_time())
            if connection is None:
                connection = await self._obtain(origin, timeouts, request.extensions.get("waiting"))
            try:
                await connection.exchange(outgoing, timeouts)
            except BaseException:
                self._pool.discard(connection)
                raise
        except httpx.TransportError as error:
            error.request = request
            raise
        return self._respond(request, connection, timeouts.read)

    async def aclose(self) -> None:
        """Close every connection at once, those in use too: their readers get ReadError. Idempotent."""
        self._pool.close()
        self._watchdog.close()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> TransportStatistics:
        """What the pool holds now and has done so far."""
        return self._pool.statistics()

    async def keep_warm(self, url: httpx.URL, count: int, *, connect: float = 10.0) -> None:
        """Keep `count` connections to where `url` is open, idle ones and those in use together, for ever.

        Only spare slots are used for it. What expires is replaced before it does; a failure (`connect`: seconds that one
        may take to come about) is told to nobody, and only makes the next try come later.
        """
        origin, often, failures = origin_of(url), self._pool.limits.idle_expiry / 3, 0
        while True:
            self._pool.expire(origin, trio.current_time() + often)
            missing = count - self._pool.open_to(origin)
            opened = [await self._warm_up(origin, connect) for _ in range(max(0, missing))]
            failures = 0 if all(opened) else min(failures + 1, _MOST_DOUBLINGS)
            await trio.sleep(max(often, _OFTENEST) * 2**failures)

    async def _warm_up(self, origin: Origin, seconds: float) -> bool:
        """Open one connection and let it lie idle; False if it did not come about."""
        if not self._pool.claim_spare():
            return True
        stream = None
        try:
            with trio.move_on_after(seconds):
                stream = await self._connector.connect(origin)
        except httpx.TransportError:
            stream = None
        except BaseException:
            self._pool.forfeit()
            raise
        if stream is None:
            self._pool.forfeit()
            return False
        connection = Connection(stream, origin, self._watchdog)
        self._pool.adopt(connection)
        self._pool.release(connection, trio.current_time())
        return True

    def _encode(self, request: httpx.Request, origin: Origin) -> Outgoing:
        proxy = self._connector.proxy
        if proxy is None or not proxy.forwards or origin[0] == "https":
            return encode(request)
        return encode(request, absolute=True, extra=proxy.headers)

    async def _obtain(
        self, origin: Origin, timeouts: Timeouts, waiting: Callable[[bool], None] | None
    ) -> Connection:
        if not self._pool.claim():
            if waiting is not None:
                waiting(True)
            connection = None
            with _limit(timeouts.pool) as scope:
                connection = await self._pool.wait(origin)
            if scope.cancelled_caught:
                raise httpx.PoolTimeout(f"no connection came free within {timeouts.pool} s")
            if waiting is not None:
                waiting(False)
            if connection is not None:
                return connection
        stream = None
        try:
            with _limit(timeouts.connect):
                stream = await self._connector.connect(origin)
            if stream is None:
                raise httpx.ConnectTimeout(
                    f"no connection to {origin[1].decode()} within {timeouts.connect} s"
                )
        except BaseException:
            self._pool.forfeit()
            raise
        connection = Connection(stream, origin, self._watchdog)
        self._pool.adopt(connection)
        return connection

    def _respond(
        self, request: httpx.Request, connection: Connection, read_timeout: float | None
    ) -> httpx.Response:
        parser = connection.parser
        body = ResponseBody(self, request, connection, read_timeout)
        extensions = {"http_version": parser.version, "network_stream": connection.stream}
        return ReceivedResponse(parser.status, parser.headers, body, extensions)

    def _settle(self, connection: Connection) -> None:
        """The response on `connection` has been received whole."""
        if not connection.parser.keep_alive:
            self._pool.discard(connection)
            return
        if connection.exchanges == 1:
            self._connector.sessions.remember(connection.origin, connection.stream)
        self._pool.release(connection, trio.current_time())

    def _abandon(self, connection: Connection) -> None:
        """The response on `connection` will not be received whole."""
        self._pool.discard(connection)


class ResponseBody(httpx.AsyncByteStream):
    """The body of one response, bytes as they come; read it once, by one task.

    `read_timeout` is how long each further wait may take, in seconds (None: no limit); it may be changed between two.
    That costs next to nothing, where a cancel scope around every wait is a good part of a small piece's price.

    The connection goes back as soon as the last byte has been received, which for small answers is
    before the first is asked for. Once closed before its end, or failed, reading on raises
    httpx.StreamClosed, so that a part can never pass for the whole.
    """

    __slots__ = ("_connection", "_cut", "_ready", "_request", "_transport", "read_timeout")

    def __init__(
        self,
        transport: TrioTransport,
        request: httpx.Request,
        connection: Connection,
        read_timeout: float | None,
    ) -> None:
        self._transport = transport
        self._request = request
        self.read_timeout = read_timeout
        self._ready = connection.parser.take()
        self._cut = False
        self._connection: Connection | None = connection
        if connection.parser.complete:
            self._connection = None
            transport._settle(connection)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := self._ready:
            self._ready = b""
            return data
        connection = self._connection
        if connection is None:
            if self._cut:
                raise httpx.StreamClosed
            raise StopAsyncIteration
        try:
            data = await connection.read_body(self.read_timeout)
        except BaseException as error:
            self._give_up(connection)
            if isinstance(error, httpx.TransportError):
                error.request = self._request
            raise
        if connection.parser.complete:
            self._connection = None
            self._transport._settle(connection)
        if data:
            return data
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection, unless the body was received whole. Waits for nothing.

        The end of a chunked body comes after its last event: who stops reading at that event gives
        up the connection, who reads on to the end keeps it.
        """
        if self._connection is not None:
            self._give_up(self._connection)

    def _give_up(self, connection: Connection) -> None:
        self._cut = True
        self._connection = None
        self._transport._abandon(connection)


def _limit(timeout: float | None) -> trio.CancelScope:
    return trio.CancelScope() if timeout is None else trio.CancelScope(deadline=trio.current_time() + timeout)
