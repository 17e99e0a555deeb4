"""Ways to a vendor that lead through somebody else: HTTP and SOCKS proxies, and what the environment says of them.

An HTTP proxy (`http://`, or `https://` where the proxy itself is spoken to over TLS) is told the whole URL of http requests,
and asked for a tunnel (CONNECT, RFC 9110, 9.3.6) for https. A SOCKS proxy is asked for a tunnel always (RFC 1928, with a
user and password RFC 1929): `socks5h://` has the proxy look up names, `socks5://` has them looked up here.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import unquote

import httpx
import trio

from .client_errors import BROKEN, NameNotResolved, dial_failed
from .client_parser import ResponseParser
from .quick_socket import RECEIVE_SIZE

__all__ = ["HttpProxy", "Proxy", "SocksProxy", "proxy_at", "proxy_of_environment"]

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_REPLIES: Final = {
    1: "general failure",
    2: "its rules do not allow it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "its time to live expired",
    7: "it does not know the command",
    8: "it does not know that kind of address",
}
"""RFC 1928, section 6."""


class Proxy(Protocol):
    """Where a proxy is, and how it is asked for a way on."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def over_tls(self) -> bool:
        """Whether the proxy itself is spoken to over TLS."""

    @property
    def forwards(self) -> bool:
        """Whether it takes plain http requests as they are, but for the whole URL as their target."""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers of such requests, beside their own."""

    async def open_tunnel(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        """Have the proxy at the other end of `stream` connect it to `host`; ProxyError if it refuses."""


def proxy_at(url: str) -> Proxy:
    """The proxy at `scheme://[user:password@]host[:port]`; ValueError if that is none, without the password in its words."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a proxy's address: {error}") from None
    scheme = parsed.scheme
    if scheme not in _PORTS or not parsed.host or parsed.raw_path not in (b"", b"/"):
        raise ValueError(
            f"not a proxy's address: {parsed.copy_with(username=None, password=None)!s}; write it like "
            "http://host:port, with the scheme http, https, socks5 or socks5h"
        )
    port = parsed.port or _PORTS[scheme]
    # userinfo is percent-encoded in a URL, but not in the credentials that are sent.
    user, _, password = parsed.userinfo.decode("ascii").partition(":")
    if scheme in ("http", "https"):
        return HttpProxy(parsed.host, port, unquote(user), unquote(password), over_tls=scheme == "https")
    return SocksProxy(parsed.host, port, unquote(user), unquote(password), names_there=scheme == "socks5h")


class HttpProxy:
    """See the module's text."""

    forwards: Final = True

    def __init__(
        self, host: str, port: int, user: str = "", password: str = "", *, over_tls: bool = False
    ) -> None:
        self.host = host
        self.port = port
        self.over_tls = over_tls
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        if user or password:
            credentials = base64.b64encode(f"{user}:{password}".encode())
            self.headers = ((b"Proxy-Authorization", b"Basic " + credentials),)

    async def open_tunnel(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        """See `Proxy`."""
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        extra = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        target = authority.encode("ascii")
        try:
            await stream.send_all(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, target, extra))
            parser = await self._answer(stream)
        except (*BROKEN, httpx.RemoteProtocolError) as error:
            raise httpx.ProxyError(f"proxy {self.host}:{self.port} failed: {error}") from error
        if parser.status == 407:
            raise httpx.ProxyError(
                f"proxy {self.host}:{self.port} answered 407: it wants another user or password"
            )
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


class SocksProxy:
    """See the module's text."""

    over_tls: Final = False
    forwards: Final = False
    headers: Final[tuple[tuple[bytes, bytes], ...]] = ()

    def __init__(
        self, host: str, port: int, user: str = "", password: str = "", *, names_there: bool = True
    ) -> None:
        self.host = host
        self.port = port
        self._user, self._password = user.encode(), password.encode()
        self._names_there = names_there
        if len(self._user) > 255 or len(self._password) > 255:
            raise ValueError("a SOCKS proxy takes users and passwords of at most 255 bytes")

    async def open_tunnel(self, stream: trio.abc.Stream, host: str, port: int) -> None:
        """See `Proxy`; also ConnectError (NameNotResolved) where the name is looked up here."""
        address = _socks_address(host) if self._names_there else await _looked_up(host, port)
        try:
            await self._introduce(stream)
            await stream.send_all(b"\x05\x01\x00" + address + port.to_bytes(2, "big"))
            version, reply, _, kind = await _exactly(stream, 4)
            if version != 5:
                raise self._failed("speaks no SOCKS 5")
            if reply:
                raise self._failed(f"refused: {_REPLIES.get(reply, f'reply {reply}')}")
            # Where it has bound itself is of no interest, but has to be read.
            length = {1: 4, 4: 16}.get(kind) or (await _exactly(stream, 1))[0]
            await _exactly(stream, length + 2)
        except BROKEN as error:
            raise self._failed(f"failed: {error}") from error

    async def _introduce(self, stream: trio.abc.Stream) -> None:
        known = bool(self._user or self._password)
        await stream.send_all(b"\x05\x02\x00\x02" if known else b"\x05\x01\x00")
        version, method = await _exactly(stream, 2)
        if version != 5:
            raise self._failed("speaks no SOCKS 5")
        if method == 0:
            return
        if method != 2 or not known:
            raise self._failed(
                "wants a user and password" if not known else "wants an authentication unknown here"
            )
        name, password = self._user, self._password
        await stream.send_all(b"\x01%c%b%c%b" % (len(name), name, len(password), password))
        if (await _exactly(stream, 2))[1]:
            raise self._failed("wants another user or password")

    def _failed(self, how: str) -> httpx.ProxyError:
        return httpx.ProxyError(f"proxy {self.host}:{self.port} {how}")


def _socks_address(host: str) -> bytes:
    """The kind of an address, and the address, as SOCKS spells them."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > 255:
            raise NameNotResolved(f"cannot resolve {host[:64]!r}...: no name is that long") from None
        return b"\x03%c%b" % (len(name), name)
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


async def _looked_up(host: str, port: int) -> bytes:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise dial_failed(error, host, port) from error
    return _socks_address(str(found[0][4][0]).partition("%")[0])


async def _exactly(stream: trio.abc.Stream, count: int) -> bytes:
    """So many bytes and none further: what follows is the vendor's."""
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            raise trio.BrokenResourceError("it closed the connection")
        data += bytes(more)
    return data


# --- the environment ----------------------------------------------------------------------------


def proxy_of_environment(url: httpx.URL, environ: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for `url`; None for none, and for this machine itself.

    HTTPS_PROXY or HTTP_PROXY by the URL's scheme, else ALL_PROXY, the names in small letters first; `NO_PROXY` lists what
    is reached directly, separated by commas: hosts with all below them, addresses and networks, each perhaps with a
    port, or `*` for everything.
    """
    found = _variable(environ, f"{url.scheme}_proxy") or _variable(environ, "all_proxy")
    if not found or _is_here(url.host) or _is_exempt(url, _variable(environ, "no_proxy")):
        return None
    return found if "://" in found else f"http://{found}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_exempt(url: httpx.URL, listed: str) -> bool:
    port = url.port or _PORTS.get(url.scheme, 0)
    return any(_covers(entry.strip().lower(), url.host.lower(), port) for entry in listed.split(","))


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY means `host` at `port`."""
    if entry in ("", "*"):
        return entry == "*"
    name, colon, number = entry.rpartition(":")
    # Colons of an address of IPv6 are its own, unless it stands in brackets.
    if colon and number.isdigit() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        entry = entry.removeprefix("*").removeprefix(".")
        return host == entry or host.endswith(f".{entry}")
