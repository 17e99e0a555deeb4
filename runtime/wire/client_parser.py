"""What a client accepts as an HTTP/1.1 response: a strict policy around llhttp. Pure: bytes in, state out.

llhttp by itself refuses bare line ends, obsolete folding, spaces before a colon, malformed,
repeated or overflowing lengths, and both kinds of framing at once (RFC 9112, 6.1 and 6.3). What it
lets pass is refused here: other versions, transfer codings other than one "chunked", protocol
switches nobody asked for, endless interim responses, heads, trailers and chunk extensions.
"""

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .client_errors import OversizedHead

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
MAX_INTERIM = 8

_CUT_SHORT = "the connection was closed in the middle of the response"


class ResponseParser:
    """Reads the responses of one connection, one after another.

    `pieces` holds the body bytes not yet taken; it never holds more than one `feed` brought.
    `begun`, `head_complete` and `complete` tell how far the current response has come, and once it
    is complete `keep_alive` says whether the connection is fit for another.
    """

    __slots__ = (
        "_answers_head", "_head_bytes", "_idle_bytes", "_interim", "_may_keep", "_parser", "begun", "chunked",
        "complete", "head_complete", "headers", "keep_alive", "pieces", "status", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.version = b"HTTP/1.1"
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self.start()

    def start(self, *, answers_head: bool = False, may_keep: bool = True) -> None:
        """Expect a new response; `answers_head`: to a HEAD request, so that it has no body."""
        self.headers = []
        self.pieces.clear()
        self.begun = self.head_complete = self.complete = self.keep_alive = self.chunked = False
        self._head_bytes = self._idle_bytes = self._interim = 0
        self._answers_head = answers_head
        # After a HEAD llhttp would wait for a body that never comes, so its connection is not kept.
        self._may_keep = may_keep and not answers_head

    def feed(self, data: bytes) -> None:
        """Take in bytes just received. RemoteProtocolError unless they continue a legal response."""
        if not self.begun:
            self.begun = True
            # llhttp would skip line ends here, and take RTSP for HTTP.
            if data[0] != 0x48:
                raise httpx.RemoteProtocolError(f"not an HTTP response: {data[:32]!r}")
        if self._parser is None:
            raise httpx.RemoteProtocolError("the connection is closed")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._refuse(error)
        if self._answers_head:
            self.pieces.clear()
        if self.head_complete and self.pieces:
            self._idle_bytes = 0
        else:
            self._idle_bytes += len(data)
            if self._idle_bytes > MAX_HEAD_BYTES and not self.complete:
                raise OversizedHead(f"more than {MAX_HEAD_BYTES} bytes of head, trailers or extensions")

    def end(self) -> None:
        """The peer closed. RemoteProtocolError unless that is how this response is meant to end (RFC 9112, 6.3)."""
        if not self.begun:
            raise httpx.RemoteProtocolError("the server closed the connection without a response")
        if not self.head_complete or self.chunked or self._has_length():
            raise httpx.RemoteProtocolError(_CUT_SHORT)
        self.complete = True
        self.keep_alive = False

    def take(self) -> bytes:
        """The body bytes received since last taken."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def forbid_reuse(self) -> None:
        """The connection must not serve again, whatever the response says."""
        self._may_keep = self.keep_alive = False

    def close(self) -> None:
        """Let go of llhttp, which holds references back to here. No more `feed` after this."""
        self._parser = None

    @property
    def on_body(self) -> object:
        # llhttp's glue looks this up once: a bound list method costs no Python frame a piece.
        return self.pieces.append

    def on_message_begin(self) -> None:
        if self.complete:
            raise httpx.RemoteProtocolError("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) >= MAX_HEADERS:
            raise OversizedHead(f"more than {MAX_HEADERS} headers or {MAX_HEAD_BYTES} bytes of them")
        if self.head_complete:
            # A trailer: bounded as part of the head, but nothing here has a use for it.
            return
        value = value.rstrip(b" \t")
        if len(name) == 17 and name.lower() == b"transfer-encoding":
            if self.chunked or value.lower() != b"chunked":
                raise httpx.RemoteProtocolError(f"unknown transfer coding: {value!r}")
            self.chunked = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser is None:
            return
        self.status = status = parser.get_status_code()
        version = parser.get_http_version()
        if version != "1.1" and (version != "1.0" or self.chunked):
            raise httpx.RemoteProtocolError(f"unsupported HTTP version or framing: {version}")
        self.version = b"HTTP/1.1" if version == "1.1" else b"HTTP/1.0"
        if status < 200:
            self._interim += 1
            if status < 100 or status == 101 or self._interim > MAX_INTERIM:
                raise httpx.RemoteProtocolError(f"unexpected status {status}")
            return
        self.head_complete = True
        if self._answers_head:
            self.complete = True

    def on_message_complete(self) -> None:
        if not self.head_complete:
            self.headers.clear()
            self.chunked = False
            return
        if not self.complete and self._parser is not None:
            self.complete = True
            self.keep_alive = self._may_keep and self._parser.should_keep_alive()

    def _refuse(self, error: Exception) -> None:
        self.keep_alive = False
        if self.complete:
            # The response stands; whatever came after it dies with the connection.
            return
        ours = error.__context__
        if isinstance(ours, httpx.RemoteProtocolError):
            raise ours
        raise httpx.RemoteProtocolError(f"malformed response: {error}") from error

    def _has_length(self) -> bool:
        return any(name.lower() == b"content-length" for name, _ in self.headers)
