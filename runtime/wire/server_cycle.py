"""One request and its answer on a connection of the server: ASGI's `receive` and `send`, and HTTP's framing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from .server_parser import BadRequest, RequestHead

if TYPE_CHECKING:
    from .server_connection import ServerConnection

__all__ = ["FAREWELL", "STATUS_LINES", "ClientDisconnected", "Cycle"]

FAREWELL: Final = "llm_dispatcher.farewell"
"""ASGI extension: under this key `http.response.start` may hold a function. When the server has to end a streamed
answer before the application does, it sends what the function returns as the last piece."""

STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


_OURS: Final = frozenset({b"connection", b"transfer-encoding", b"date"})
"""Headers that are the server's to send, and not the application's."""
_NAMES: Final[dict[bytes, bytes]] = {}
_MOST_NAMES: Final = 1024
"""Names that were looked at before, in lower case, and how many are remembered."""


class ClientDisconnected(OSError):
    """The client has left; raised by `send`, as ASGI wants it."""


class Cycle:
    """One request and its answer."""

    def __init__(self, connection: ServerConnection, head: RequestHead) -> None:
        self._connection = connection
        self.head = head
        self.started: Mapping[str, Any] | None = None
        self.sent_head = False
        self.complete = False
        self.keep_alive = head.keep_alive
        self.farewell: Callable[[], bytes] | None = None
        """What makes the last piece of this answer if the server has to end it early."""
        self.refusal: BadRequest | None = None
        """What is wrong with the body. The application is told that the client has left, and the server answers."""
        self._chunked = False
        self._bodiless = head.method == "HEAD"
        self._continue = head.expects_continue
        self._body_ended = False

    async def receive(self) -> dict[str, Any]:
        """ASGI's `receive`."""
        connection = self._connection
        if self._body_ended:
            await connection.wait_for_disconnect()
            return {"type": "http.disconnect"}
        if self._continue:
            self._continue = False
            if not connection.parser.buffered and not self.sent_head:
                await connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            piece = await connection.next_body()
        except BadRequest as error:
            self.refusal, piece = error.about(self.head.target, self.head.headers), None
        if piece is None:
            return {"type": "http.disconnect"}
        self._body_ended = connection.parser.body_done
        return {"type": "http.request", "body": piece, "more_body": not self._body_ended}

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            if self.started is not None:
                raise RuntimeError("the answer has been started already")
            self.started = message
            self.farewell = message.get(FAREWELL)
            return
        if message["type"] != "http.response.body" or self.started is None or self.complete:
            raise RuntimeError(f"{message['type']} is out of place")
        body, more = message.get("body", b""), message.get("more_body", False)
        pieces = [] if self.sent_head else [self._head(self.started, len(body), more=more)]
        self.sent_head = True
        if not self._bodiless:
            if self._chunked:
                if body:
                    pieces.append(b"%x\r\n%b\r\n" % (len(body), body))
                if not more:
                    pieces.append(b"0\r\n\r\n")
            elif body:
                pieces.append(body)
        self.complete = not more
        if pieces:
            await self._connection.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _head(self, start: Mapping[str, Any], size: int, *, more: bool) -> bytes:
        """The answer's head, with the framing that fits."""
        status = start["status"]
        lines = [STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()]
        length = False
        for name, value in start.get("headers", ()):
            lowered = _NAMES.get(name) or _lowered(name)
            if lowered in _OURS:
                continue
            length = length or lowered == b"content-length"
            lines.append(b"%b: %b\r\n" % (name, value))
        if status in (204, 304) or status < 200:
            self._bodiless = True
        elif not length:
            if not more:
                lines.append(b"content-length: %d\r\n" % size)
            elif self.head.version == "1.1":
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if self._connection.server.closing or self._awaits_continue():
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif self.head.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        head = b"".join(lines)
        if not head.count(b"\r") == head.count(b"\n") == len(lines) or b"\0" in head:
            # More line ends than lines: one value would have smuggled in another header, or another answer.
            raise RuntimeError("the value of a header is not valid")
        return head + self._connection.server.common_headers()

    def _awaits_continue(self) -> bool:
        """Whether the client was not told to send its body: nobody knows if it will, so nothing can follow."""
        return self._continue and not self._connection.parser.buffered


def _lowered(name: bytes) -> bytes:
    """The name of a header in lower case. RuntimeError for what is none."""
    if b"\r" in name or b"\n" in name or b":" in name:
        raise RuntimeError(f"the header {name!r} is not valid")
    lowered = name.lower()
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[name] = lowered
    return lowered
