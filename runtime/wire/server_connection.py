"""One connection of the server: requests in, an ASGI application for each, answers out, in order.

Two tasks a connection and none a request. The *reader* takes bytes from the socket into the parser, stops
when enough is waiting, and notices when the client leaves; the *runner* takes requests out of the parser and
runs the application for each. Waits are bounded by the server's watchdog and not by a cancel scope each.

When the client leaves while the application runs, the application is cancelled (the server announces that by
the ASGI extension `llm_dispatcher.cancel_on_disconnect`), so it need not listen for it. The same happens when the
client takes its answer too slowly (`pace`). Nothing of an answer is kept here: what the kernel does not take at once
keeps the application waiting, so it stops reading from the vendor, and TCP does the rest.
"""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

import structlog
import trio

from .client_errors import BROKEN
from .pace import Pace
from .quick_socket import QuickStream
from .quick_tls import QuickTLS
from .server_cycle import FAREWELL, STATUS_LINES, ClientDisconnected, Cycle
from .server_parser import BadRequest, RequestHead, RequestParser, path_of

if TYPE_CHECKING:
    from .server import Server

__all__ = ["ClientDisconnected", "ServerConnection"]

log = structlog.get_logger("llm_dispatcher.server")

_RECEIVE: Final = 65_536
_MOST_UNREAD: Final = 65_536
"""Bytes that may wait in the parser before the socket is not read any more: pipelining and fast senders."""
_MOST_DRAINED: Final = 65_536
"""Bytes of a body that nobody wanted which are read to keep the connection; for more it is closed."""
_LINGER: Final = 0.5
_PIECE: Final = 16_384
"""Bytes that are handed over at once when the client is slow: its progress is measured between."""
_SPEAK_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 34\r\n\r\n"
    b"This port speaks https, not http.\n"
)
_YIELD_EVERY: Final = 16
"""Writes that the kernel took at once after which other tasks get their turn in any case."""
_EXTENSIONS: Final[dict[str, dict[str, Any]]] = {"llm_dispatcher.cancel_on_disconnect": {}, FAREWELL: {}}


class ServerConnection:
    """See the module's docstring."""

    def __init__(
        self,
        server: Server,
        stream: trio.abc.Stream,
        client: tuple[str, int] | None,
        path: tuple[str, None] | None,
    ) -> None:
        """`client`: its address and port. `path`: that of the unix socket by which it came, as ASGI's `server`."""
        limits = server.limits
        self.server = server
        self.parser = RequestParser(most_head=limits.head, most_headers=limits.headers, most_body=limits.body)
        self.deadline = math.inf
        self.looked_at = math.inf
        self._stream = stream
        self._quick = stream if isinstance(stream, QuickStream | QuickTLS) else None
        self._client = client
        self._path = path
        self._waiter: trio.lowlevel.Task | None = None
        self._departed: trio.Event | None = None
        self._room = trio.Event()
        self._gone = False
        self._timed_out = False
        self._scope = trio.CancelScope()
        self._app_scope = trio.CancelScope()
        self._cycle: Cycle | None = None
        """The exchange whose application is running."""
        self._ending = False
        self._body_bytes = 0
        self._body_waited = 0.0
        self._pace: Pace | None = None
        self._writing = False
        self._torn = False
        self._cut_short = False
        self._streak = 0

    async def run(self) -> None:
        """Serve the connection until it ends. Raises nothing but cancellation."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    await self._serve()
                    nursery.cancel_scope.cancel()
            self._say_goodbye()
        except* BROKEN:
            pass
        finally:
            self.server.watchdog.forget(self)
            await trio.aclose_forcefully(self._stream)

    def expire(self) -> None:
        """The watchdog's word that a wait has lasted too long."""
        if self._writing:
            self._cut_slow()
        elif not self._timed_out:
            self._timed_out = True
            self._wake()
        else:
            self._scope.cancel()

    @property
    def idle(self) -> bool:
        """Whether no request is under way; a head that is not complete is none."""
        return self in self.server.idle

    def hurry(self, deadline: float) -> None:
        """Wait for the next request until `deadline` at the latest."""
        if self.deadline > deadline:
            self.server.watchdog.watch(self, deadline)

    def end(self) -> None:
        """End the running request, and tell its client that the server is stopping."""
        self._ending = True
        if self._cycle is not None:
            self._app_scope.cancel()
        elif self.idle:
            self._scope.cancel()

    def cut(self) -> None:
        """End it now, whatever is under way."""
        self._scope.cancel()

    # --- reading ----------------------------------------------------------------------------

    async def _read(self) -> None:
        if isinstance(self._stream, QuickTLS) and not await self._shake_hands(self._stream):
            self._leave()
            return
        while True:
            try:
                data = await self._stream.receive_some(_RECEIVE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                self._leave()
                return
            self.parser.feed(data)
            if self.parser.has_head:
                # From here on it must not be closed to make room: before the runner's turn others may have theirs.
                self.server.idle.pop(self, None)
            self._wake()
            if self.parser.buffered > _MOST_UNREAD:
                self._room = trio.Event()
                await self._room.wait()

    async def _shake_hands(self, stream: QuickTLS) -> bool:
        """Begin TLS; False when the client cannot, or takes longer than it may for a request's head."""
        with trio.move_on_after(self.server.limits.head_timeout):
            try:
                await stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                log.debug("no TLS with this client", client=self._client, error=str(error.__cause__ or error))
                if getattr(error.__cause__, "reason", None) == "HTTP_REQUEST":
                    with suppress(*BROKEN):
                        await stream.transport_stream.send_all(_SPEAK_TLS)
                return False
            return True
        return False

    def _leave(self) -> None:
        """There is no client any more."""
        self._gone = True
        self._wake()
        if self._departed is not None:
            self._departed.set()
        if self._cycle is not None:
            self._app_scope.cancel()

    def _wake(self) -> None:
        """There is news for whoever waits for some."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            trio.lowlevel.reschedule(waiter)

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _wait_for_news(self, deadline: float) -> bool:
        """Wait for more bytes; False when there will be none: the client has left, or the time is up."""
        self._room.set()
        if self._gone:
            return False
        if self._waiter is not None:
            raise trio.BusyResourceError("another task is receiving already")
        self.server.watchdog.watch(self, deadline)
        # A trio.Event for each wait would cost twice as much.
        self._waiter = trio.lowlevel.current_task()
        try:
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        finally:
            self.deadline = math.inf
        return not self._timed_out

    async def next_body(self) -> bytes | None:
        """The next piece of the present request's body; None when the client has left.

        Raises `BadRequest` when the body comes too slowly. Only time in which it is waited for counts.
        """
        while (piece := self.parser.body()) is None:
            limits = self.server.limits
            began = trio.current_time()
            credit = limits.body_grace + self._body_bytes / limits.body_rate - self._body_waited
            if not await self._wait_for_news(began + min(limits.stall, credit)):
                if self._timed_out:
                    raise BadRequest(408, "body_timeout", "the body arrived too slowly")
                return None
            self._body_waited += trio.current_time() - began
        self._body_bytes += len(piece)
        return piece

    async def wait_for_disconnect(self) -> None:
        """Until the client leaves."""
        if not self._gone:
            self._departed = self._departed or trio.Event()
            await self._departed.wait()

    # --- writing ----------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Send `data`. Raises `ClientDisconnected`; a client that takes it too slowly is cut off.

        Not always a checkpoint: the kernel nearly always takes a piece at once, and a trip through the
        scheduler costs as much as the rest of a streamed chunk.
        """
        if self._gone or self._torn:
            raise ClientDisconnected("the client has left")
        sent = 0
        if self._quick is not None:
            self._streak += 1
            if self._streak >= _YIELD_EVERY:
                self._streak = 0
                await trio.lowlevel.checkpoint()
            try:
                sent = self._quick.send_nowait(data)
            except OSError as error:
                raise self._lost() from error
            if sent == len(data):
                return
        await self._write_slowly(data, sent)

    async def _write_slowly(self, data: bytes, sent: int) -> None:
        """Send what is left of `data`, as fast as the client takes it."""
        limits = self.server.limits
        if self._pace is None:
            self._pace = Pace(limits.stall, limits.answer_rate, limits.answer_window)
        self._streak = 0
        with memoryview(data) as view:
            while sent < len(view):
                # Cancelled here, nobody can say any more where in the answer the client is.
                self._torn = sent > 0 or self._quick is None or self._quick.amid
                began = trio.current_time()
                self._writing = True
                self.server.watchdog.watch(self, began + self._pace.patience())
                try:
                    moved = await self._push(view[sent : sent + _PIECE])
                except BROKEN as error:
                    raise self._lost() from error
                finally:
                    self._writing = False
                    self.deadline = math.inf
                sent += moved
                if not self._pace.moved(moved, trio.current_time() - began):
                    self._cut_slow()
        self._torn = False

    async def _push(self, piece: memoryview) -> int:
        """Hand over a part of `piece` when the client makes room; returns how much."""
        with piece:
            if self._quick is None:
                await self._stream.send_all(piece)
                return len(piece)
            await self._quick.wait_send_all_might_not_block()
            return self._quick.send_nowait(piece)

    def _lost(self) -> ClientDisconnected:
        self._gone = True
        return ClientDisconnected("the client has left")

    def _cut_slow(self) -> None:
        if not self._scope.cancel_called:
            self.server.slow_clients += 1
            log.debug("client too slow", client=self._client)
        self._scope.cancel()

    # --- serving ----------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            # One scope for all applications: one that was cancelled is the connection's last.
            with self._app_scope:
                await self._serve_in_turn()
            cycle, self._cycle = self._cycle, None
            if cycle is not None and self._ending:
                await self._say_farewell(cycle)
            if not self.parser.body_done:
                await self._linger()
        except BadRequest as error:
            self.server.refused += error.status < 500
            await self._refuse(error)

    async def _serve_in_turn(self) -> None:
        """Serve requests until the client has left, has been idle for too long, or one of them was the last."""
        idle = self.server.idle
        while True:
            head = await self._next_head()
            if head is None:
                return
            idle.pop(self, None)
            if not await self._exchange(head) or self.server.draining or not await self._rest_drained():
                return
            self.server.rests(self)

    async def _next_head(self) -> RequestHead | None:
        """The next request; None when the client has left or has been idle for too long."""
        limits = self.server.limits
        deadline = trio.current_time() + self.server.idle_limit
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
        """Run the application for one request; True if the connection may be used again.

        An exchange that was cancelled before its end remains as `_cycle`, for its farewell.
        """
        server = self.server
        self._cycle = cycle = Cycle(self, head)
        self._body_bytes, self._body_waited, self._pace = 0, 0.0, None
        server.requests += 1
        server.in_flight += 1
        self._cut_short = True
        try:
            await server.app(self._asgi(head), cycle.receive, cycle.send)
        except ClientDisconnected:
            return False
        except Exception as error:
            if cycle.refusal is not None and not cycle.sent_head:
                raise cycle.refusal from None
            log.error("application failed", path=head.target.decode("latin-1"), exc_info=error)
            if not cycle.sent_head:
                failure = BadRequest(500, "internal_error", "internal error")
                raise failure.about(head.target, head.headers) from error
            return False
        finally:
            self._cut_short = not cycle.complete
            server.in_flight -= 1
            if cycle.complete or not self._app_scope.cancel_called:
                self._cycle = None
        if cycle.refusal is not None:
            if not cycle.sent_head:
                raise cycle.refusal
            return False
        return cycle.complete and cycle.keep_alive and not self._gone

    async def _say_farewell(self, cycle: Cycle) -> None:
        """The application was cancelled because the server is stopping: tell the client."""
        if not cycle.sent_head:
            message = "the server is stopping; send the request again"
            raise BadRequest(503, "server_draining", message).about(cycle.head.target, cycle.head.headers)
        if cycle.farewell is not None and not self._gone and not self._torn:
            await cycle.send({"type": "http.response.body", "body": cycle.farewell(), "more_body": False})

    def _asgi(self, head: RequestHead) -> dict[str, Any]:
        path, query = path_of(head.target)
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
            "server": self._path,
            "extensions": _EXTENSIONS,
        }

    async def _rest_drained(self) -> bool:
        """Read what is left of a body that the application did not want; False if that is too much."""
        drained = 0
        while not self.parser.body_done:
            try:
                piece = await self.next_body()
            except BadRequest:
                # The request has its answer already; a second one would be taken for the next one's.
                return False
            if piece is None:
                return False
            drained += len(piece)
            if drained > _MOST_DRAINED:
                return False
        return True

    async def _refuse(self, error: BadRequest) -> None:
        """Answer an error of the transport, and end the connection."""
        named, body = self.server.refusal(error)
        line = STATUS_LINES.get(error.status, b"HTTP/1.1 400 Bad Request\r\n")
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n%b%b" % (
            len(body),
            b"".join([b"%b: %b\r\n" % field for field in named]),
            b"retry-after: 1\r\n" if error.status == 503 else b"",
        )
        self._gone = self._gone and not self.parser.buffered
        try:
            await self.write(line + head + self.server.common_headers() + body)
        except ClientDisconnected:
            return
        await self._linger()

    def _say_goodbye(self) -> None:
        """End TLS properly, unless an answer was cut short: its client could take the rest for an end of it, then."""
        if isinstance(self._stream, QuickTLS) and not self._cut_short and not self._gone:
            self._stream.goodbye()

    async def _linger(self) -> None:
        """Read on for a moment: a socket that is closed over unread bytes is reset, and the answer may be lost."""
        if self._quick is None or self._gone or self._torn:
            return
        self._say_goodbye()
        self._quick.socket.shutdown(socket.SHUT_WR)
        with trio.move_on_after(_LINGER):
            while not self._gone:
                self.parser = RequestParser(most_head=1, most_headers=1, most_body=1)
                await self._wait_for_news(math.inf)
