"""HTTP/1.1 requests from bytes, strictly: a pure parser that owns no socket and no clock.

Strict, because a gateway stands between others that may read the same bytes differently: whatever could be
read in two ways is refused (RFC 9112, sections 2.2, 3.2, 5.1, 6.3 and 11.2). So refused are: both Content-Length and
Transfer-Encoding, differing Content-Lengths, transfer codings other than `chunked`, folded header lines, line ends
other than CRLF, white space before a colon, control characters in values, a missing, repeated or malformed Host, a target
that names another host or has a fragment, chunk sizes that are not plain hexadecimal digits, and bodies that are more
framing than content.

`feed` takes bytes; `head` gives the next request's head once it is complete; `body` gives the pieces of its body.
Pipelined requests wait in the buffer until the one before them is done.
"""

from __future__ import annotations

import re
from typing import Final, Self

from msgspec import Struct

__all__ = ["BadRequest", "RequestHead", "RequestParser"]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
# One way only to read each line: were the white space before a value a part of its own, a bad last line would be
# tried in twice as many ways with every line before it.
_HEADERS = re.compile(rb"(?:" + _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_HEADER = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")
"""One line of what `_HEADERS` has found valid, without the white space before the value."""
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?@]+)(?:[/?].*)?", re.IGNORECASE)
_CHUNK_LINE: Final = 256
_CHUNK_ALLOWANCE: Final = 16
_MOST_FRAMING: Final = 16_384
"""A chunk's line may be as long as its content and `_CHUNK_ALLOWANCE` bytes more; all that is longer adds up to at most this.
Otherwise extensions and chunks of a byte make us work for a body that never grows."""
_TRAILERS: Final = 8192


class BadRequest(Exception):
    """The bytes are no request that will be served. `status` and `code` say why; the connection ends with it.

    `path` and `headers` (names in lower case) are the request's, as far as they could be made out.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.path = ""
        self.headers: list[tuple[bytes, bytes]] = []

    def about(self, target: bytes, headers: list[tuple[bytes, bytes]]) -> Self:
        """Note which request it was that will not be served."""
        self.path, self.headers = path_of(target)[0].decode("latin-1"), headers
        return self


class RequestHead(Struct, frozen=True, gc=False):
    """The head of a request: header names in lower case, in order of arrival."""

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    expects_continue: bool
    length: int | None
    """Bytes of the body; None for a chunked one."""


class RequestParser:
    """One connection's requests, one after another. Raises `BadRequest`; after that it is of no further use."""

    def __init__(self, *, most_head: int, most_headers: int, most_body: int) -> None:
        self._most_head = most_head
        self._most_headers = most_headers
        self._most_body = most_body
        self._buffer = bytearray()
        self._searched = 0
        self._left: int | None = 0
        self._chunk_left = 0
        self._chunk_ended = False
        self._received = 0
        self._framing = 0
        self._done = True

    @property
    def buffered(self) -> int:
        """Bytes that wait to be taken."""
        return len(self._buffer)

    @property
    def has_head(self) -> bool:
        """Whether the next request's head has come whole."""
        return self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3)) >= 0

    @property
    def body_done(self) -> bool:
        """Whether the body of the present request has been taken whole."""
        return self._done

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes from the network."""
        self._buffer += data

    def head(self) -> RequestHead | None:
        """The next request's head; None while it is not complete."""
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            # RFC 9112, 2.2: an empty line before a request is a habit of old clients.
            del buffer[:2]
            self._searched = 0
        end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            if len(buffer) > self._most_head:
                raise BadRequest(431, "head_too_large", f"the head is larger than {self._most_head} bytes")
            if not _plausible(buffer, self._searched):
                raise BadRequest(400, "bad_line_end", "a line ends without CR LF")
            self._searched = len(buffer)
            return None
        if end + 4 > self._most_head:
            raise BadRequest(431, "head_too_large", f"the head is larger than {self._most_head} bytes")
        raw = bytes(buffer[: end + 2])
        del buffer[: end + 4]
        self._searched = 0
        try:
            head = self._parse(raw)
        except BadRequest as error:
            raise error.about(*_gist(raw)) from None
        self._left, self._chunk_left, self._received, self._framing = head.length, 0, 0, 0
        self._chunk_ended = False
        self._done = head.length == 0
        return head

    def body(self) -> bytes | None:
        """The next piece of the body; empty at its end, None while there is none."""
        if self._done:
            return b""
        return self._chunked() if self._left is None else self._sized(self._left)

    # --- the head ---------------------------------------------------------------------------

    def _parse(self, raw: bytes) -> RequestHead:
        line, _, rest = raw.partition(b"\r\n")
        first = _REQUEST_LINE.fullmatch(line)
        if first is None:
            raise BadRequest(400, "bad_request_line", "the request line is not valid")
        method, target, version = first[1].decode(), first[2], first[3].decode()
        if version not in ("1.1", "1.0"):
            raise BadRequest(505, "http_version", f"HTTP/{version} is not spoken here")
        authority = self._authority(method, target)
        if _HEADERS.fullmatch(rest) is None:
            raise BadRequest(400, "bad_header", "a header line is not valid")
        headers = [(name.lower(), value.rstrip(b" \t")) for name, value in _HEADER.findall(rest)]
        if len(headers) > self._most_headers:
            raise BadRequest(431, "too_many_headers", f"there are more than {self._most_headers} headers")
        return self._frame(method, target, version, headers, authority)

    @staticmethod
    def _authority(method: str, target: bytes) -> bytes | None:
        """The host that the target itself names, if it does (RFC 9112, 3.2)."""
        if b"#" not in target:
            if target[:1] == b"/" or (target == b"*" and method == "OPTIONS"):
                return None
            absolute = _ABSOLUTE.fullmatch(target)
            if absolute is not None:
                return absolute[1].lower()
        raise BadRequest(400, "bad_target", "the request target is not valid")

    def _frame(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: list[tuple[bytes, bytes]],
        authority: bytes | None,
    ) -> RequestHead:
        """What the headers say of the message's bounds and of the connection."""
        length: int | None = None
        chunked = expects = closes = False
        hosts = 0
        keeps = version == "1.1"
        for name, value in headers:
            if name == b"content-length":
                length = self._length(value, length)
            elif name == b"transfer-encoding":
                if chunked or value.lower() != b"chunked" or version == "1.0":
                    raise BadRequest(400, "bad_transfer_encoding", "only Transfer-Encoding: chunked is known")
                chunked = True
            elif name == b"host":
                hosts += 1
                if _HOST.fullmatch(value) is None or (authority is not None and value.lower() != authority):
                    raise BadRequest(
                        400, "bad_host", "the Host header is not valid, or not the target's host"
                    )
            elif name == b"connection":
                options = [option.strip() for option in value.lower().split(b",")]
                closes = closes or b"close" in options
                keeps = keeps or b"keep-alive" in options
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise BadRequest(417, "expectation_failed", "only Expect: 100-continue is known")
                expects = version == "1.1"
        if chunked and length is not None:
            raise BadRequest(400, "ambiguous_length", "both Content-Length and Transfer-Encoding are given")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise BadRequest(400, "bad_host", "exactly one Host header is needed")
        if length is not None and length > self._most_body:
            raise BadRequest(413, "body_too_large", f"the body is larger than {self._most_body} bytes")
        size = None if chunked else length or 0
        # Who says both, in whatever order, wants it closed (RFC 9112, 9.3).
        return RequestHead(
            method, target, version, headers, keeps and not closes, expects and size != 0, size
        )

    @staticmethod
    def _length(value: bytes, before: int | None) -> int:
        if _LENGTH.fullmatch(value) is None:
            raise BadRequest(400, "bad_content_length", "Content-Length is not a number")
        length = int(value)
        if before is not None and before != length:
            raise BadRequest(400, "ambiguous_length", "two Content-Lengths differ")
        return length

    # --- the body ---------------------------------------------------------------------------

    def _sized(self, left: int) -> bytes | None:
        if not self._buffer:
            return None
        piece = self._take(left)
        self._left = left - len(piece)
        self._done = self._left == 0
        return piece

    def _chunked(self) -> bytes | None:
        while True:
            if self._chunk_left:
                if not self._buffer:
                    return None
                piece = self._take(self._chunk_left)
                self._chunk_left -= len(piece)
                self._chunk_ended = self._chunk_left == 0
                return piece
            if self._chunk_ended:
                if len(self._buffer) < 2:
                    return None
                if self._buffer[:2] != b"\r\n":
                    raise BadRequest(400, "bad_chunk", "a chunk does not end with CR LF")
                del self._buffer[:2]
                self._chunk_ended = False
            size = self._chunk_size()
            if size is None:
                return None
            if size == 0:
                return self._trailers()
            self._received += size
            if self._received > self._most_body:
                raise BadRequest(413, "body_too_large", f"the body is larger than {self._most_body} bytes")
            self._drop_line(size)
            self._chunk_left = size

    def _chunk_size(self) -> int | None:
        end = self._buffer.find(b"\r\n", 0, _CHUNK_LINE)
        if end < 0:
            if len(self._buffer) >= _CHUNK_LINE or b"\n" in self._buffer:
                raise BadRequest(400, "bad_chunk", "a chunk's size is not valid")
            return None
        match = _CHUNK_SIZE.fullmatch(bytes(self._buffer[:end]))
        if match is None:
            raise BadRequest(400, "bad_chunk", "a chunk's size is not valid")
        return int(match[1], 16)

    def _drop_line(self, size: int) -> None:
        line = self._buffer.find(b"\r\n") + 2
        self._framing = max(0, self._framing + line - size - _CHUNK_ALLOWANCE)
        if self._framing > _MOST_FRAMING:
            raise BadRequest(400, "bad_chunk", "the body is more framing than content")
        del self._buffer[:line]

    def _trailers(self) -> bytes | None:
        """Trailers after the last chunk are read and left out of account."""
        start = self._buffer.find(b"\r\n")
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._buffer) > _TRAILERS:
                raise BadRequest(431, "trailers_too_large", f"the trailers are larger than {_TRAILERS} bytes")
            return None
        if end > start and _HEADERS.fullmatch(bytes(self._buffer[start + 2 : end + 2])) is None:
            raise BadRequest(400, "bad_trailer", "a trailer line is not valid")
        del self._buffer[: end + 4]
        self._done = True
        return b""

    def _take(self, most: int) -> bytes:
        buffer = self._buffer
        if len(buffer) <= most:
            piece = bytes(buffer)
            buffer.clear()
            return piece
        piece = bytes(buffer[:most])
        del buffer[:most]
        return piece


def path_of(target: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request's target."""
    if target[:1] != b"/" and b"://" in target:
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    path, _, query = target.partition(b"?")
    return path, query


def _gist(raw: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The target and the headers of a head that is not valid, read as well as it goes."""
    line, *rest = raw.split(b"\r\n")
    words = line.split(b" ")
    pairs = [each.partition(b":") for each in rest if b":" in each]
    return words[1] if len(words) > 1 else b"", [
        (name.lower(), value.strip(b" \t")) for name, _, value in pairs
    ]


def _plausible(buffer: bytearray, start: int) -> bool:
    """Whether every line that ends at `start` or after it ends with CR LF."""
    return buffer.count(b"\n", start) == buffer.count(b"\r\n", max(0, start - 1))
