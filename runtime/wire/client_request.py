"""From an `httpx.Request` to the bytes of an HTTP/1.1 request head, and how its body is framed. Pure.

httpx lets a caller put any bytes into a header. What is let through here is what RFC 9110 (5.5, 5.6.2)
and RFC 9112 allow, so that no value can smuggle in a header or a second request.
"""

import re
from functools import lru_cache
from typing import Final

import httpx

JOINED_BODY_BYTES = 64 * 1024
"""A body up to this size travels in one write with its head; a longer one is worth neither the copy nor
the risk of blocking on a peer that has answered already and reads no more."""

Origin = tuple[str, bytes, int]
"""Scheme, host as on the wire, port: what a connection can be reused for."""

_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[!-~]+")
_LEGAL = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_BODY_METHODS = frozenset({b"POST", b"PUT", b"PATCH"})

_PLAIN, _HOST, _LENGTH, _ENCODING, _CONNECTION = range(5)
_SPECIAL = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _ENCODING,
    b"connection": _CONNECTION,
}
_KNOWN_NAMES: Final[dict[bytes, int]] = {}
_MOST_KNOWN_NAMES = 1024
_MOST_KNOWN_LINES: Final = 128


class Outgoing:
    """A request ready to be written.

    `first` is what is written first: the head, and the body too if it is small and in memory.
    `body` is what remains: nothing, bytes, or a stream whose parts make `length` bytes or, when
    that is None, are to be chunked. `closes` says that we asked the server to close afterwards.
    """

    __slots__ = ("body", "closes", "first", "is_head", "length")

    def __init__(self, first: bytes, method: bytes, closes: bool) -> None:
        self.first = first
        self.body: bytes | httpx.SyncByteStream | httpx.AsyncByteStream | None = None
        self.length: int | None = None
        self.is_head = method == b"HEAD"
        self.closes = closes


def origin_of(url: httpx.URL) -> Origin:
    """Where `url` is to be fetched. UnsupportedProtocol unless it is http or https and names a host."""
    scheme = url.scheme
    port = url.port or _PORTS.get(scheme)
    host = url.raw_host
    if port is None or scheme not in _PORTS or not host:
        raise httpx.UnsupportedProtocol(f"cannot speak to {url!s}: it needs http:// or https:// and a host")
    return scheme, host, port


def encode(
    request: httpx.Request, *, absolute: bool = False, extra: tuple[tuple[bytes, bytes], ...] = ()
) -> Outgoing:
    """The bytes of `request`, with Host and the framing of the body added where the caller left them out.

    `absolute` and `extra` are for plain proxies: the whole URL as target, and more headers.
    Raises LocalProtocolError for anything that is not a clean HTTP/1.1 request.
    """
    method = request.method.encode("ascii", "replace")
    target = request.url.raw_path
    if absolute:
        target = b"%s://%s%s" % (request.url.raw_scheme, request.url.netloc, target)
    lines = [_request_line(method, target)]
    host = length = encoding = None
    closes = False
    for name, value in (*request.headers.raw, *extra):
        kind = _KNOWN_NAMES.get(name)
        if kind is None:
            kind = _name_kind(name)
        if kind:
            if kind == _CONNECTION:
                closes = closes or b"close" in value.lower()
            elif kind == _HOST:
                host = _only(host, value, "Host")
            elif kind == _LENGTH:
                length = _only(length, value, "Content-Length")
            else:
                encoding = _only(encoding, value, "Transfer-Encoding")
        lines.append(b"%s: %s\r\n" % (name, value))
    if host is None:
        lines.insert(1, b"Host: %s\r\n" % request.url.netloc)
    return _framed(request, method, lines, length, encoding, closes)


@lru_cache(maxsize=_MOST_KNOWN_LINES)
def _request_line(method: bytes, target: bytes) -> bytes:
    check_line(method, target)
    return b"%s %s HTTP/1.1\r\n" % (method, target)


def check_line(method: bytes, target: bytes) -> None:
    """LocalProtocolError unless both can be said to a server; CONNECT cannot."""
    if _name_kind(method) != _PLAIN or not _TARGET.fullmatch(target) or method == b"CONNECT":
        raise httpx.LocalProtocolError(f"illegal method or target: {method!r} {target!r}")


def check_header(name: bytes, value: bytes) -> None:
    """LocalProtocolError unless it can be sent as it is."""
    _name_kind(name)
    if value.translate(None, _LEGAL):
        raise httpx.LocalProtocolError("a header value holds a line end or another control character")


def _framed(
    request: httpx.Request,
    method: bytes,
    lines: list[bytes],
    length: bytes | None,
    encoding: bytes | None,
    closes: bool,
) -> Outgoing:
    if encoding is not None and (length is not None or encoding.lower() != b"chunked"):
        raise httpx.LocalProtocolError("Transfer-Encoding must be chunked, and without Content-Length")
    if length is not None and not length.isdigit():
        raise httpx.LocalProtocolError(f"illegal Content-Length: {length!r}")
    stream = request.stream
    if encoding is not None or not isinstance(stream, httpx.ByteStream):
        if length is None and encoding is None:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        outgoing = Outgoing(_head(lines), method, closes)
        outgoing.body = stream
        outgoing.length = None if length is None else int(length)
        return outgoing
    body = b"".join(stream)
    if length is None:
        if body or method in _BODY_METHODS:
            lines.append(b"Content-Length: %d\r\n" % len(body))
    elif int(length) != len(body):
        raise httpx.LocalProtocolError(f"Content-Length is {int(length)}, but the body has {len(body)} bytes")
    head = _head(lines)
    if len(body) <= JOINED_BODY_BYTES:
        return Outgoing(head + body, method, closes)
    outgoing = Outgoing(head, method, closes)
    outgoing.body = body
    outgoing.length = len(body)
    return outgoing


def _head(lines: list[bytes]) -> bytes:
    head = b"".join((*lines, b"\r\n"))
    # With all legal bytes taken away, nothing may remain but our own line ends.
    if head.translate(None, _LEGAL) != b"\r\n" * (len(lines) + 1):
        raise httpx.LocalProtocolError("a header value holds a line end or another control character")
    return head


def _name_kind(name: bytes) -> int:
    """Which header `name` is. LocalProtocolError unless it is a token; known ones are not looked at again."""
    kind = _KNOWN_NAMES.get(name)
    if kind is None:
        if not _TOKEN.fullmatch(name):
            raise httpx.LocalProtocolError(f"illegal header name or method: {name!r}")
        kind = _SPECIAL.get(name.lower(), _PLAIN)
        if len(_KNOWN_NAMES) < _MOST_KNOWN_NAMES:
            _KNOWN_NAMES[name] = kind
    return kind


def _only(earlier: bytes | None, value: bytes, name: str) -> bytes:
    if earlier is not None:
        raise httpx.LocalProtocolError(f"more than one {name} header")
    return value
