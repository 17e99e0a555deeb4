"""One HTTP/1.1 connection to a vendor: one exchange after another, never two at once.

Most requests are one write that the kernel takes at once and one read that brings the whole answer;
that path is straight and enters no cancel scope (see `watchdog`). The other path is for large or
streamed bodies, where the peer may answer before it has read everything ("413", "401"): there we
listen while we write.

A failed or cancelled exchange leaves the connection in an unknown state. Closing it is the owner's
part, and takes no waiting.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import inf

import httpx
import trio

from .client_errors import BROKEN, StaleConnection, read_failed, write_failed
from .client_parser import ResponseParser
from .client_request import JOINED_BODY_BYTES, Origin, Outgoing
from .quick_socket import RECEIVE_SIZE, QuickStream, close_now
from .quick_tls import QuickTLS
from .watchdog import Watchdog

MAX_EARLY_ANSWER_BYTES = 256 * 1024
"""How much of an early refusal is read while our own writing is still blocked."""


class Timeouts:
    """Seconds that single steps may take, None for no limit: the meaning of httpx's `timeout` extension."""

    __slots__ = ("connect", "pool", "read", "write")

    def __init__(self, extension: dict[str, float | None]) -> None:
        get = extension.get
        self.connect = get("connect")
        self.read = get("read")
        self.write = get("write")
        self.pool = get("pool")


class Connection:
    """Owns `stream`, connected to `origin` and ready for HTTP. `exchanges` counts the requests it has carried."""

    __slots__ = (
        "_overrun", "_quick", "_stream", "_watchdog",
        "deadline", "exchanges", "expires_at", "looked_at", "origin", "parser",
    )  # fmt: skip

    def __init__(self, stream: trio.abc.Stream, origin: Origin, watchdog: Watchdog) -> None:
        self.origin = origin
        self.exchanges = 0
        self.expires_at = 0.0
        self.deadline = inf
        self.looked_at = inf
        self._watchdog = watchdog
        self._overrun = False
        self.parser = ResponseParser()
        self._stream = stream
        self._quick = stream if isinstance(stream, QuickStream | QuickTLS) else None

    @property
    def stream(self) -> trio.abc.Stream:
        """What the connection runs over; for looking, not for reading or writing."""
        return self._stream

    @property
    def _lay_idle(self) -> bool:
        """Whether it did before the present exchange, after another one or after it was opened to be kept warm."""
        return self.exchanges > 1 or self.expires_at > 0.0

    def is_quiet(self) -> bool:
        """Whether the peer has neither closed nor sent anything unasked.

        Only sockets can tell, with TLS over them or not; other streams count as quiet.
        """
        return self._quick is None or self._quick.is_quiet()

    def close(self) -> None:
        """Close at once. Idempotent."""
        self._watchdog.forget(self)
        self.parser.close()
        close_now(self._stream)

    async def exchange(self, outgoing: Outgoing, timeouts: Timeouts) -> None:
        """Send a request and receive the head of its response, then to be found in `parser`.

        Raises httpx.TransportError, and StaleConnection if the connection had been used before and
        proves to be closed before the response began.
        """
        self.exchanges += 1
        self.parser.start(answers_head=outgoing.is_head, may_keep=not outgoing.closes)
        try:
            if outgoing.body is None:
                unsent = await self._send_small(outgoing.first, timeouts.write)
            else:
                unsent = await self._send_large(outgoing, timeouts)
            await self._receive_head(timeouts.read, unsent)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            if self._lay_idle and not self.parser.begun:
                raise StaleConnection(f"a reused connection was closed: {error}") from error
            raise

    async def read_body(self, timeout: float | None) -> bytes:
        """The next bytes of the body as they arrive; empty at its end. `timeout` is for each wait."""
        parser = self.parser
        while not parser.pieces and not parser.complete:
            await self._receive(timeout)
        return parser.take()

    def expire(self) -> None:
        """The wait for the peer has lasted too long: end it, and with it the connection."""
        if self._quick is not None:
            self._overrun = True
            self._quick.wake()

    async def _receive(self, timeout: float | None) -> None:
        data: bytes | bytearray | None = None
        self._overrun = False
        try:
            if timeout is None:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            elif self._quick is not None:
                self._watchdog.watch(self, trio.current_time() + timeout)
                data = await self._stream.receive_some(RECEIVE_SIZE)
            else:
                with trio.CancelScope(deadline=trio.current_time() + timeout):
                    data = await self._stream.receive_some(RECEIVE_SIZE)
        except BROKEN as error:
            if not self._overrun:
                raise read_failed(error) from error
        finally:
            self.deadline = inf
        if data:
            self.parser.feed(bytes(data))
        elif data is None:
            raise httpx.ReadTimeout(f"nothing received for {timeout} s")
        else:
            self.parser.end()

    async def _receive_head(self, timeout: float | None, unsent: httpx.WriteError | None) -> None:
        """If the request was not `unsent` in part, any end counts; else an answer may still lie in our buffers."""
        parser = self.parser
        try:
            while not parser.head_complete:
                await self._receive(timeout)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            if unsent is not None and not parser.begun:
                raise unsent from None
            raise
        if unsent is not None:
            parser.forbid_reuse()

    async def _send_small(self, data: bytes, timeout: float | None) -> httpx.WriteError | None:
        try:
            sent = 0 if self._quick is None else self._quick.send_nowait(data)
            if sent < len(data):
                await self._send(data[sent:], timeout)
        except BROKEN as error:
            return write_failed(error)
        return None

    async def _send(self, data: bytes | memoryview, timeout: float | None) -> None:
        if timeout is None:
            await self._stream.send_all(data)
            return
        with trio.CancelScope(deadline=trio.current_time() + timeout) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise httpx.WriteTimeout(f"could not write {len(data)} bytes within {timeout} s")

    async def _send_large(self, outgoing: Outgoing, timeouts: Timeouts) -> httpx.WriteError | None:
        """Write head and body, listening at the same time; an error answer ends the writing.

        Errors are carried out of the nursery by hand, so that nobody has to unpack a group.
        """
        failures: list[Exception] = []
        written = False
        unsent: httpx.WriteError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery.cancel_scope, timeouts.read, failures)
            try:
                unsent = await self._write(outgoing, timeouts.write)
                written = unsent is None
            except Exception as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
        refused = self._refused_early()
        if failures and not (refused and isinstance(failures[0], httpx.WriteTimeout)):
            raise failures[0]
        if refused and not written:
            self.parser.forbid_reuse()
        return unsent

    async def _listen(
        self, scope: trio.CancelScope, timeout: float | None, failures: list[Exception]
    ) -> None:
        """Await an answer while the request is being written.

        A refusal is read to its end, within bounds, before the writing is cancelled: a TLS stream
        cannot be read from any more once a write to it was cancelled.
        """
        parser = self.parser
        try:
            while not parser.head_complete:
                await self._receive(None)
        except httpx.TransportError as error:
            failures.append(error)
            scope.cancel()
            return
        if not self._refused_early():
            # The peer has begun a good answer and wants the rest of the request.
            return
        try:
            gathered = 0
            while not parser.complete and gathered < MAX_EARLY_ANSWER_BYTES:
                known = len(parser.pieces)
                await self._receive(timeout)
                gathered += sum(map(len, parser.pieces[known:]))
        except httpx.TransportError:
            # The status stands. Who reads the body to its end will meet the same error again.
            parser.forbid_reuse()
        scope.cancel()

    def _refused_early(self) -> bool:
        return self.parser.head_complete and self.parser.status >= 300

    async def _write(self, outgoing: Outgoing, timeout: float | None) -> httpx.WriteError | None:
        """Write it all; a WriteError is returned when the peer is gone. Errors of the body itself are raised."""
        left = outgoing.length
        if not await self._write_piece(outgoing.first, timeout):
            return self._peer_gone()
        # Closed by hand: a generator left to the garbage collector cannot await its own clean-up.
        async with aclosing(parts_of(outgoing.body)) as parts:
            async for part in parts:
                if left is None:
                    framed = b"%x\r\n%b\r\n" % (len(part), part)
                elif (left := left - len(part)) < 0:
                    raise httpx.LocalProtocolError("the body is longer than its Content-Length")
                else:
                    framed = part
                if not await self._write_piece(framed, timeout):
                    return self._peer_gone()
        if left:
            raise httpx.LocalProtocolError(f"the body is {left} bytes shorter than its Content-Length")
        if left is None and not await self._write_piece(b"0\r\n\r\n", timeout):
            return self._peer_gone()
        return None

    async def _write_piece(self, data: bytes, timeout: float | None) -> bool:
        """Write `data`, cut up so that `timeout` measures progress; False if the peer is gone."""
        try:
            with memoryview(data) as view:
                for start in range(0, len(view), JOINED_BODY_BYTES):
                    with view[start : start + JOINED_BODY_BYTES] as piece:
                        await self._send(piece, timeout)
        except BROKEN:
            return False
        return True

    def _peer_gone(self) -> httpx.WriteError:
        return httpx.WriteError("connection lost while writing the request body")


async def parts_of(
    body: bytes | httpx.SyncByteStream | httpx.AsyncByteStream | None,
) -> AsyncGenerator[bytes, None]:
    """The non-empty parts of a request body, whatever its kind."""
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, httpx.AsyncByteStream):
        parts = aiter(body)
        try:
            async for part in parts:
                if part:
                    yield part
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()
    elif body is not None:
        for part in body:
            if part:
                yield part
