"""HTTP/2 towards vendors: an httpx transport like `client`'s, for vendors to which very many requests go at once.

The way of a request:

    slot -> a connection with room, else a new one -> Exchange -> httpx.Response over an Http2Body

A slot is the right to have one request under way; there are `max_connections` of them, and requests that wait for one
are bounded too. Connections are opened one at a time as they are needed: whoever comes meanwhile waits for the one that
is being opened. A server that does not speak HTTP/2 (it says so in the TLS handshake) is spoken to in HTTP/1.1 by a
`TrioTransport`, and asked again after an hour; so is every `http` URL.

Timeouts, exceptions and `request.extensions["fresh"]` are as of `client`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

import httpx
import trio

from .client import TrioTransport
from .client_errors import PoolOverflow
from .client_request import Origin, check_header, check_line, origin_of
from .connect import Connector, Dial
from .connection import Timeouts, parts_of
from .http2_connection import Exchange, Http2Connection
from .pool import ClientLimits, OriginStatistics, TransportStatistics
from .quick_socket import close_now
from .watchdog import Watchdog

__all__ = ["Http2Body", "Http2Transport"]

_DEFAULT_LIMITS: Final = ClientLimits()
_ASKED_AGAIN: Final = 3600.0
"""Seconds after which a server that did not speak HTTP/2 is asked again."""
_OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host", b"te"}
)
"""Headers that HTTP/2 has no place for (RFC 9113, 8.2.2), and `host`, which is said otherwise."""


class Http2Transport(httpx.AsyncBaseTransport):
    """See the module's text. The arguments are those of `TrioTransport`; a given `ssl_context` must offer `h2`."""

    def __init__(
        self,
        *,
        limits: ClientLimits = _DEFAULT_LIMITS,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        dial: Dial | None = None,
    ) -> None:
        self.limits = limits
        self._plain = TrioTransport(limits=limits, ssl_context=ssl_context, proxy=proxy, dial=dial)
        self._connector = Connector(dial=dial, proxy=proxy, ssl_context=ssl_context, http2=True)
        self._slots = trio.Semaphore(limits.max_connections, max_value=limits.max_connections)
        self._watchdog = Watchdog()
        self._live: set[Http2Connection] = set()
        self._roomy: dict[Origin, dict[Http2Connection, None]] = {}
        """Connections with room for another request, the last one being used first."""
        self._dialling: dict[Origin, trio.Event] = {}
        """Origins to which a connection is being opened, until the server has said how much it takes."""
        self._untold: dict[Http2Connection, trio.Event] = {}
        self._refusing: dict[Origin, float] = {}
        """Origins that do not speak HTTP/2, and until when that is believed."""
        self._opened = 0
        self._reused = 0
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; returns once the head of the response is there.

        The response must be read to its end or closed, else its slot is not given back. Raises httpx.TransportError in
        its many kinds, and RuntimeError once the transport is closed.
        """
        origin = origin_of(request.url)
        if origin[0] == "https" and self._refusing.get(origin, 0.0) <= trio.current_time():
            with suppress(_SpeaksNoHttp2):
                return await self._send_by_http2(request, origin)
        return await self._plain.handle_async_request(request)

    async def _send_by_http2(self, request: httpx.Request, origin: Origin) -> httpx.Response:
        timeouts = Timeouts(request.extensions.get("timeout") or {})
        try:
            await self._take_slot(timeouts.pool)
            try:
                return await self._exchange(request, origin, timeouts)
            except BaseException:
                self._slots.release()
                raise
        except httpx.TransportError as error:
            error.request = request
            raise

    async def aclose(self) -> None:
        """Close every connection at once, those in use too: their readers get ReadError. Idempotent."""
        self._closed = True
        for connection in list(self._live):
            connection.close()
        self._watchdog.close()
        await self._plain.aclose()

    async def keep_warm(self, url: httpx.URL, count: int, *, connect: float = 10.0) -> None:
        """Keep a connection open where `url` is, for ever: it takes many requests. In HTTP/1.1 `count`, see `TrioTransport`."""
        origin = origin_of(url)
        while origin[0] == "https" and self._refusing.get(origin, 0.0) <= trio.current_time():
            try:
                if self._pick(origin, fresh=False) is None:
                    with trio.move_on_after(connect):
                        await self._dial(origin)
            except httpx.TransportError:
                # Whoever sends a request next will meet it, and can say more about it.
                pass
            except _SpeaksNoHttp2:
                break
            await trio.sleep(self.limits.idle_expiry / 3)
        await self._plain.keep_warm(url, count, connect=connect)

    def statistics(self) -> TransportStatistics:
        """What there is now and was so far: connections, of which one is busy while it carries any request."""
        plain = self._plain.statistics()
        origins = dict(plain.origins)
        counts: dict[Origin, tuple[int, int]] = {}
        for connection in self._live:
            count, busy = counts.get(connection.origin, (0, 0))
            counts[connection.origin] = (count + 1, busy + bool(connection.busy))
        for (scheme, host, port), (count, busy) in counts.items():
            origins[f"{scheme}://{host.decode('ascii')}:{port}"] = OriginStatistics(count, count - busy, busy)
        return TransportStatistics(
            origins=origins,
            dialling=plain.dialling + len(self._dialling),
            opened=plain.opened + self._opened,
            reused=plain.reused + self._reused,
            waiting=plain.waiting + self._slots.statistics().tasks_waiting,
        )

    # --- slots and connections --------------------------------------------------------------

    async def _take_slot(self, timeout: float | None) -> None:
        if self._closed:
            raise RuntimeError("this transport has been closed")
        try:
            self._slots.acquire_nowait()
            return
        except trio.WouldBlock:
            waiting = self._slots.statistics().tasks_waiting
        if waiting >= self.limits.max_waiting:
            raise PoolOverflow(f"{waiting} requests wait for a connection already")
        with trio.CancelScope(deadline=_deadline(timeout)):
            await self._slots.acquire()
            return
        raise httpx.PoolTimeout(f"no connection came free within {timeout} s")

    async def _connection(self, origin: Origin, timeout: float | None, *, fresh: bool) -> Http2Connection:
        """A connection to `origin` with room; `fresh`: none that has lain idle."""
        with trio.CancelScope(deadline=_deadline(timeout)):
            while True:
                connection = self._pick(origin, fresh=fresh)
                if connection is not None:
                    self._reused += 1
                    return connection
                dialling = self._dialling.get(origin)
                if dialling is None:
                    return await self._dial(origin)
                await dialling.wait()
                if self._refusing.get(origin, 0.0) > trio.current_time():
                    raise _SpeaksNoHttp2
        raise httpx.ConnectTimeout(f"no connection to {origin[1].decode()} within {timeout} s")

    def _pick(self, origin: Origin, *, fresh: bool) -> Http2Connection | None:
        roomy = self._roomy.get(origin)
        while roomy:
            connection = next(reversed(roomy))
            if not connection.busy and (fresh or connection.expires_at <= trio.current_time()):
                connection.close()
                continue
            return connection
        return None

    async def _dial(self, origin: Origin) -> Http2Connection:
        """Open a connection, which may carry one request at once. One at a time for an origin, by its caller; others wait."""
        came = self._dialling[origin] = trio.Event()
        try:
            stream = await self._connector.connect(origin)
            if _agreed(stream) != "h2":
                close_now(stream)
                self._refusing[origin] = trio.current_time() + _ASKED_AGAIN
                raise _SpeaksNoHttp2
            if self._closed:
                close_now(stream)
                raise RuntimeError("this transport has been closed")
        except BaseException:
            del self._dialling[origin]
            came.set()
            raise
        connection = Http2Connection(stream, origin, self._watchdog, self._changed)
        self._opened += 1
        self._live.add(connection)
        self._untold[connection] = came
        connection.start()
        self._rest(connection)
        self._changed(connection)
        return connection

    def _changed(self, connection: Http2Connection) -> None:
        """`connection` has got or lost room, or has ended."""
        roomy = self._roomy.setdefault(connection.origin, {})
        if connection.closed:
            self._live.discard(connection)
        if (connection.told or connection.closed) and connection in self._untold:
            del self._dialling[connection.origin]
            self._untold.pop(connection).set()
        if not connection.has_room():
            roomy.pop(connection, None)
        elif connection not in roomy:
            roomy[connection] = None
        if not connection.busy and connection.expires_at == float("inf"):
            self._rest(connection)
        if not roomy:
            del self._roomy[connection.origin]

    def _rest(self, connection: Http2Connection) -> None:
        """`connection` carries nothing, and has said and heard enough to be resumed."""
        self._connector.sessions.remember(connection.origin, connection.stream)
        connection.expires_at = trio.current_time() + self.limits.idle_expiry

    # --- one exchange -----------------------------------------------------------------------

    async def _exchange(self, request: httpx.Request, origin: Origin, timeouts: Timeouts) -> httpx.Response:
        fresh = bool(request.extensions.get("fresh"))
        connection = await self._connection(origin, timeouts.connect, fresh=fresh)
        body = _body(request)
        exchange = connection.begin(_headers(request), end=body is None)
        self._changed(connection)
        try:
            if body is not None:
                await self._send(exchange, body, timeouts.write)
            await exchange.wait_for_head(timeouts.read)
        except BaseException:
            exchange.close()
            raise
        return httpx.Response(
            exchange.status,
            headers=exchange.headers,
            stream=Http2Body(exchange, self._slots, request, timeouts.read),
            extensions={"http_version": b"HTTP/2", "network_stream": connection.stream},
        )

    async def _send(
        self,
        exchange: Exchange,
        body: bytes | httpx.SyncByteStream | httpx.AsyncByteStream,
        timeout: float | None,
    ) -> None:
        # Closed by hand: a generator left to the garbage collector cannot await its own clean-up.
        async with aclosing(parts_of(body)) as parts:
            async for part in parts:
                if not await exchange.write(part, timeout):
                    return
        exchange.finish()


class Http2Body(httpx.AsyncByteStream):
    """The body of one response, bytes as they come; as `client.ResponseBody`, and like it with a `read_timeout`."""

    __slots__ = ("_exchange", "_request", "_slots", "_whole", "read_timeout")

    def __init__(
        self, exchange: Exchange, slots: trio.Semaphore, request: httpx.Request, read_timeout: float | None
    ) -> None:
        self.read_timeout = read_timeout
        self._exchange: Exchange | None = exchange
        self._slots = slots
        self._request = request
        self._whole = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        if exchange is None:
            if not self._whole:
                raise httpx.StreamClosed
            raise StopAsyncIteration
        try:
            data = await exchange.read(self.read_timeout)
        except BaseException as error:
            self._give_up()
            if isinstance(error, httpx.TransportError):
                error.request = self._request
            raise
        if data:
            return data
        self._whole = True
        self._give_up()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Break the answer off, unless it was received whole. Waits for nothing."""
        self._give_up()

    def _give_up(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()
            self._slots.release()


class _SpeaksNoHttp2(Exception):
    """The server wants HTTP/1.1."""


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else trio.current_time() + timeout


def _agreed(stream: trio.abc.Stream) -> str | None:
    """What TLS has agreed to be spoken over `stream`."""
    agreed = getattr(stream, "selected_alpn_protocol", None)
    found = None if agreed is None else agreed()
    return found if isinstance(found, str) else None


def _headers(request: httpx.Request) -> list[tuple[bytes, bytes]]:
    """The head of `request` in HTTP/2's way. LocalProtocolError for what cannot be said."""
    url, method = request.url, request.method.encode("ascii", "replace")
    check_line(method, url.raw_path)
    head = [
        (b":method", method),
        (b":authority", request.headers.get("host", "").encode("ascii") or url.netloc),
        (b":scheme", url.raw_scheme),
        (b":path", url.raw_path),
    ]
    for name, value in request.headers.raw:
        lowered = name.lower()
        if lowered not in _OF_A_CONNECTION:
            check_header(lowered, value)
            head.append((lowered, value.strip()))
    return head


def _body(request: httpx.Request) -> bytes | httpx.SyncByteStream | httpx.AsyncByteStream | None:
    """What is to be sent after the head; None for nothing."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream) or None
    return stream
