"""One connection of the server: requests in, an ASGI application for each, answers out, in order.

Two tasks a connection and none a request. The *reader* takes bytes from the socket into the parser, stops
when enough is waiting, and notices when the client leaves; the *runner* takes requests out of the parser and
runs the application for each. Waits are bounded by the server's watchdog and not by a cancel scope each.

When the client leaves while the application runs, the application is cancelled (the server announces that by
the ASGI extension `llm_dispatcher.cancel_on_disconnect`), so it need not listen for it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
import trio

from .server_parser import BadRequest, RequestHead, RequestParser

if TYPE_CHECKING:
    from .server import Server

__all__ = ["ClientDisconnected", "ServerConnection"]

log = structlog.get_logger("llm_dispatcher.server")

_RECEIVE: Final = 65_536
_MOST_UNREAD: Final = 256 * 1024
"""Bytes that may wait in the parser before the socket is not read any more: pipelining and fast senders."""
_MOST_DRAINED: Final = 65_536
"""Bytes of a body that nobody wanted which are read to keep the connection; for more it is closed."""
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {"llm_dispatcher.cancel_on_disconnect": {}}

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class ClientDisconnected(OSError):
    """The client has left; raised by `send`, as ASGI wants it."""


class _Cycle:
    """One request and its answer."""

    def __init__(self, connection: ServerConnection, head: RequestHead) -> None:
        self._connection = connection
        self.head = head
        self.started: Mapping[str, Any] | None = None
        self.sent_head = False
        self.complete = False
        self.keep_alive = head.keep_alive
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
        piece = await connection.next_body()
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
        lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()]
        length = False
        for name, value in start.get("headers", ()):
            if (
                b"\n" in value
                or b"\r" in value
                or b"\0" in value
                or b"\n" in name
                or b"\r" in name
                or b":" in name
            ):
                raise RuntimeError(f"the header {name!r} is not valid")
            lowered = name.lower()
            if lowered in (b"connection", b"transfer-encoding", b"date"):
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
        if self._connection.server.draining:
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif self.head.version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(self._connection.server.common_headers())
        return b"".join(lines)


class ServerConnection:
    """See the module's docstring."""

    def __init__(self, server: Server, stream: trio.abc.Stream, client: tuple[str, int] | None) -> None:
        limits = server.limits
        self.server = server
        self.parser = RequestParser(most_head=limits.head, most_headers=limits.headers, most_body=limits.body)
        self.deadline = math.inf
        self.looked_at = math.inf
        self.idle = True
        self._stream = stream
        self._client = client
        self._news = trio.Event()
        self._room = trio.Event()
        self._gone = False
        self._timed_out = False
        self._scope = trio.CancelScope()
        self._app_scope: trio.CancelScope | None = None

    async def run(self) -> None:
        """Serve the connection until it ends. Raises nothing but cancellation."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    await self._serve()
                    nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.server.watchdog.forget(self)
            await trio.aclose_forcefully(self._stream)

    def expire(self) -> None:
        """The watchdog's word that a wait has lasted too long."""
        if not self._timed_out:
            self._timed_out = True
            self._news.set()
        else:
            self._scope.cancel()

    def stop_if_idle(self) -> None:
        """Draining has begun: a connection without a request is closed."""
        if self.idle:
            self._scope.cancel()

    def cut(self) -> None:
        """End it now, whatever is under way."""
        self._scope.cancel()

    # --- reading ----------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_RECEIVE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._gone = True
                self._news.set()
                if self._app_scope is not None:
                    self._app_scope.cancel()
                return
            self.parser.feed(bytes(data))
            self._news.set()
            if self.parser.buffered > _MOST_UNREAD:
                self._room = trio.Event()
                await self._room.wait()

    async def _wait_for_news(self, deadline: float) -> bool:
        """Wait for more bytes; False when there will be none: the client has left, or the time is up."""
        self._room.set()
        if self._gone:
            return False
        self._news = trio.Event()
        self.server.watchdog.watch(self, deadline)
        try:
            await self._news.wait()
        finally:
            self.deadline = math.inf
        return not self._timed_out

    async def next_body(self) -> bytes | None:
        """The next piece of the present request's body; None when the client has left."""
        limits = self.server.limits
        began = trio.current_time()
        received = 0
        while True:
            piece = self.parser.body()
            if piece is not None:
                return piece
            patience = limits.body_grace + received / limits.body_rate
            received += self.parser.buffered
            if not await self._wait_for_news(began + patience):
                if self._timed_out:
                    raise BadRequest(408, "body_timeout", "the body arrived too slowly")
                return None

    async def wait_for_disconnect(self) -> None:
        """Until the client leaves."""
        while not self._gone:
            self._news = trio.Event()
            await self._news.wait()

    # --- writing ----------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Send `data`. Raises `ClientDisconnected`; a client that takes nothing for too long is cut off."""
        if self._gone:
            raise ClientDisconnected("the client has left")
        self._timed_out = (
            True  # A second word of the watchdog, and so the first while writing, cuts the connection.
        )
        self.server.watchdog.watch(self, trio.current_time() + self.server.limits.write_timeout)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._gone = True
            raise ClientDisconnected("the client has left") from error
        finally:
            self.deadline = math.inf
            self._timed_out = False

    # --- serving ----------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            while True:
                head = await self._next_head()
                if head is None:
                    return
                self.idle = False
                keep_alive = await self._exchange(head)
                self.idle = True
                if not keep_alive or self.server.draining or not await self._rest_drained():
                    return
        except BadRequest as error:
            self.server.refused += 1
            await self._refuse(error)

    async def _next_head(self) -> RequestHead | None:
        """The next request; None when the client has left or has been idle for too long."""
        limits = self.server.limits
        deadline = trio.current_time() + limits.keep_alive
        began = False
        while True:
            head = self.parser.head()
            if head is not None:
                return head
            if self.parser.buffered and not began:
                began = True
                deadline = trio.current_time() + limits.head_timeout
            if not await self._wait_for_news(deadline):
                if self._timed_out and self.parser.buffered:
                    raise BadRequest(408, "head_timeout", "the head arrived too slowly")
                return None

    async def _exchange(self, head: RequestHead) -> bool:
        """Run the application for one request; True if the connection may be used again."""
        server = self.server
        cycle = _Cycle(self, head)
        server.requests += 1
        server.in_flight += 1
        try:
            with trio.CancelScope() as scope:
                self._app_scope = scope
                await server.app(self._asgi(head), cycle.receive, cycle.send)
        except (ClientDisconnected, BadRequest) as error:
            if isinstance(error, BadRequest) and not cycle.sent_head:
                raise
            return False
        except Exception as error:
            log.error("application failed", path=head.target.decode("latin-1"), exc_info=error)
            if not cycle.sent_head:
                raise BadRequest(500, "internal_error", "internal error") from error
            return False
        finally:
            self._app_scope = None
            server.in_flight -= 1
        return cycle.complete and cycle.keep_alive and not self._gone

    def _asgi(self, head: RequestHead) -> dict[str, Any]:
        target = head.target
        if target[:1] != b"/" and b"://" in target:
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        path, _, query = target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": head.version,
            "method": head.method,
            "scheme": self.server.scheme,
            "path": (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": head.headers,
            "client": self._client,
            "server": None,
            "extensions": _EXTENSIONS,
        }

    async def _rest_drained(self) -> bool:
        """Read what is left of a body that the application did not want; False if that is too much."""
        drained = 0
        while not self.parser.body_done:
            piece = await self.next_body()
            if piece is None:
                return False
            drained += len(piece)
            if drained > _MOST_DRAINED:
                return False
        return True

    async def _refuse(self, error: BadRequest) -> None:
        """Answer an error of the transport, and end the connection."""
        kind = "api_error" if error.status >= 500 else "invalid_request_error"
        body = msgspec.json.encode(
            {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}
        )
        line = _STATUS_LINES.get(error.status, b"HTTP/1.1 400 Bad Request\r\n")
        # No application has named this request, so the server does.
        name = os.urandom(12).hex().encode()
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\nx-request-id: req_%b\r\n"
            % (len(body), name)
        )
        self._gone = self._gone and not self.parser.buffered
        try:
            await self.write(line + head + self.server.common_headers() + body)
            if isinstance(self._stream, trio.SocketStream):
                # Reading on for a moment lets the answer arrive before the socket's end resets it.
                await self._stream.send_eof()
                with trio.move_on_after(0.5):
                    while not self._gone:
                        await self._wait_for_news(math.inf)
                        self._drop_input()
        except (ClientDisconnected, trio.BrokenResourceError):
            return

    def _drop_input(self) -> None:
        self.parser = RequestParser(most_head=1, most_headers=1, most_body=1)
