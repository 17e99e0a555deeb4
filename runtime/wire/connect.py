"""How a connection to a vendor comes about: dial, perhaps through a proxy, then TLS.

Dialling is a plain function from host and port to a trio stream, so that a program can bring its
own: a Unix socket, a tunnel, a pair of memory streams.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from .client_errors import BROKEN, dial_failed, read_failed
from .client_request import Origin
from .proxies import proxy_at
from .quick_socket import can_close_now, close_now, quickened
from .tls import Sessions, default_context, secure

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and port. It raises OSError if it cannot; what it returns must be closable without
waiting: a trio socket, staple or TLS stream, or any stream that also has a plain `close()`."""


_ALIVE: Final = (
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPALIVE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)
"""Seconds of silence after which the peer's kernel is asked whether it is still there, between two questions, and how many
there are: a way that leads nowhere any more is known within a minute. The second name is macOS's for the first."""


async def dial_tcp(host: str, port: int) -> trio.abc.Stream:
    """Resolve `host` and connect to the first of its addresses that answers (happy eyeballs, RFC 8305).

    Small pieces are sent at once (TCP_NODELAY, which trio sets), and whether the peer is still there is asked in silence.
    """
    stream = await trio.open_tcp_stream(host, port)
    with suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _ALIVE:
            if hasattr(socket, name):
                stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return stream


def dial_unix(path: str) -> Dial:
    """A dial function that connects to the Unix socket at `path`, whatever host is asked for."""

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        return await trio.open_unix_socket(path)

    return dial


class Connector:
    """Opens connections for one transport: knows its dial function, proxy and whom it trusts."""

    def __init__(
        self,
        *,
        dial: Dial | None,
        proxy: str | None,
        ssl_context: ssl.SSLContext | None,
        http2: bool = False,
    ) -> None:
        """`http2`: offer it in the handshake, beside HTTP/1.1; a given `ssl_context` must do that itself."""
        self.proxy = None if proxy is None else proxy_at(proxy)
        self.sessions = Sessions()
        self._http2 = http2
        self._dial = dial or dial_tcp
        self._context = ssl_context

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """A stream to `origin`, ready for HTTP. Raises httpx.ConnectError (NameNotResolved, TLSFailed) or ProxyError.

        There is no timeout here. If it is cancelled or fails, nothing stays open.
        """
        scheme, raw_host, port = origin
        host, proxy = raw_host.decode("ascii"), self.proxy
        stream = await self._open(*((host, port) if proxy is None else (proxy.host, proxy.port)))
        try:
            if proxy is not None and proxy.over_tls:
                stream = await secure(stream, proxy.host, self._context or default_context(), None)
            if proxy is not None and (scheme == "https" or not proxy.forwards):
                await proxy.open_tunnel(stream, host, port)
            if scheme == "https":
                context = self._context or default_context(http2=self._http2)
                return await secure(stream, host, context, self.sessions.recall(origin))
        except BaseException:
            close_now(stream)
            raise
        return stream

    async def _open(self, host: str, port: int) -> trio.abc.Stream:
        try:
            stream = await self._dial(host, port)
        except (OSError, UnicodeError, *BROKEN) as error:
            raise dial_failed(error, host, port) from error
        if not can_close_now(stream):
            await trio.aclose_forcefully(stream)
            raise TypeError(f"the dial function returned {stream!r}, which cannot be closed without waiting")
        try:
            return quickened(stream)
        except OSError as error:
            raise read_failed(error) from error
