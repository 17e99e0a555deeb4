"""How a connection to a vendor comes about: dial, perhaps through a proxy, then TLS.

Dialling is a plain function from host and port to a trio stream, so that a program can bring its
own: a Unix socket, a tunnel, a pair of memory streams.
"""

import base64
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import httpx
import trio

from .client_errors import BROKEN, dial_failed, read_failed
from .client_parser import ResponseParser
from .client_request import Origin
from .quick_socket import RECEIVE_SIZE, can_close_now, close_now, quickened
from .tls import Sessions, default_context, secure

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and port. It raises OSError if it cannot; what it returns must be closable without
waiting: a trio socket, staple or TLS stream, or any stream that also has a plain `close()`."""


async def dial_tcp(host: str, port: int) -> trio.abc.Stream:
    """Resolve `host` and connect to the first of its addresses that answers (happy eyeballs, RFC 8305)."""
    return await trio.open_tcp_stream(host, port)


def dial_unix(path: str) -> Dial:
    """A dial function that connects to the Unix socket at `path`, whatever host is asked for."""

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        return await trio.open_unix_socket(path)

    return dial


class Proxy:
    """An HTTP proxy: told the whole URL of http requests, asked for a tunnel (CONNECT) for https."""

    def __init__(self, url: str) -> None:
        """`url` is `http://[user:password@]host:port`; ValueError for any other kind of proxy."""
        parsed = httpx.URL(url)
        if parsed.scheme != "http" or not parsed.host or parsed.raw_path not in (b"", b"/"):
            raise ValueError(
                f"unsupported proxy {parsed.copy_with(username=None, password=None)!s}: only http://host:port is "
                "spoken here; for https or SOCKS proxies configure httpx's own transport (httpx.AsyncHTTPTransport)"
            )
        self.host = parsed.host
        self.port = parsed.port or 80
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        if parsed.userinfo:
            # userinfo is percent-encoded in the URL, but not in the credentials of RFC 7617.
            credentials = unquote(parsed.userinfo.decode("ascii")).encode()
            self.headers = ((b"Proxy-Authorization", b"Basic " + base64.b64encode(credentials)),)

    async def open_tunnel(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        """Have the proxy at the other end of `stream` connect it to `host`; ProxyError if it refuses."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        extra = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        target = authority.encode("ascii")
        try:
            await stream.send_all(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, target, extra))
            parser = await self._answer(stream)
        except (*BROKEN, httpx.RemoteProtocolError) as error:
            raise httpx.ProxyError(f"proxy {self.host}:{self.port} failed: {error}") from error
        if not 200 <= parser.status < 300:
            raise httpx.ProxyError(f"proxy {self.host}:{self.port} answered {parser.status}")
        # The far end speaks TLS, in which the client speaks first.
        if parser.pieces or parser.chunked or (parser.complete and not parser.keep_alive):
            raise httpx.ProxyError(f"proxy {self.host}:{self.port} sent data into the tunnel")

    async def _answer(self, stream: trio.abc.Stream) -> ResponseParser:
        parser = ResponseParser()
        try:
            while not parser.head_complete:
                data = await stream.receive_some(RECEIVE_SIZE)
                if data:
                    parser.feed(bytes(data))
                else:
                    parser.end()
        finally:
            parser.close()
        return parser


class Connector:
    """Opens connections for one transport: knows its dial function, proxy and whom it trusts."""

    def __init__(self, *, dial: Dial | None, proxy: str | None, ssl_context: ssl.SSLContext | None) -> None:
        self.proxy = None if proxy is None else Proxy(proxy)
        self.sessions = Sessions()
        self._dial = dial or dial_tcp
        self._context = ssl_context

    async def connect(self, origin: Origin) -> trio.abc.Stream:
        """A stream to `origin`, ready for HTTP. Raises httpx.ConnectError (NameNotResolved, TLSFailed) or ProxyError.

        There is no timeout here. If it is cancelled or fails, nothing stays open.
        """
        scheme, raw_host, port = origin
        host = raw_host.decode("ascii")
        stream = await self._open(
            *((host, port) if self.proxy is None else (self.proxy.host, self.proxy.port))
        )
        try:
            if scheme == "https":
                if self.proxy is not None:
                    await self.proxy.open_tunnel(stream, host, port)
                context = self._context or default_context()
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
