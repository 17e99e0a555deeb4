"""One HTTP/2 connection to a vendor, and the exchanges that share it (RFC 9113).

The package h2 knows the protocol; here are the socket and the waiting. Two system tasks a connection: one reads and hands
out what has come, the other writes what the kernel would not take at once. So an exchange can be cancelled at any moment
without harm to the others: it says RST_STREAM, gives back its room, and is gone.

How much may lie unread is bounded by the windows that we grant: `_WINDOW` for an exchange, returned as its reader takes what
has come, so a slow reader slows down its own stream only.

GOAWAY is read here and not by h2, which takes it for the end: servers end their connections with it now and then (so as to
spread the load), and streams under way go on to their end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import httpx
import structlog
import trio

from .client_errors import BROKEN, NotProcessed, StaleConnection
from .client_request import Origin
from .quick_socket import RECEIVE_SIZE, QuickStream, close_now
from .quick_tls import QuickTLS
from .watchdog import Watchdog

__all__ = ["Exchange", "Http2Connection"]

log = structlog.get_logger("llm_dispatcher.client")

_WINDOW: Final = 256 * 1024
"""Bytes of one answer that may lie here unread."""
_ALL_WINDOWS: Final = 16 * 2**20
"""Bytes of all answers of one connection that may."""
_MOST_HEAD: Final = 64 * 1024
_MOST_UNSENT: Final = 128 * 1024
"""Bytes that may wait for the kernel: beyond it request bodies wait, and at twice that the peer is not listened to."""
_MOST_EXCHANGES: Final = 100
"""Exchanges at once where the server names no limit; fewer than that servers are advised not to allow (6.5.2)."""
_FRAME_HEAD: Final = 9
_GOAWAY: Final = 7
_MOST_FRAME: Final = 16_384
"""The largest frame that a server may send, as we have asked for no larger ones."""


class Exchange:
    """One request and its answer. `status` and `headers` are there once `wait_for_head` has returned.

    For one task, which ends it by `close` in every case.
    """

    __slots__ = (
        "_connection", "_event", "_failure", "_overrun", "_pieces", "_sent_at", "_taken", "deadline", "ended", "headers",
        "id", "looked_at", "status",
    )  # fmt: skip

    def __init__(self, connection: Http2Connection, stream_id: int, now: float) -> None:
        self.id = stream_id
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.ended = False
        self.deadline = inf
        self.looked_at = inf
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._taken = 0
        self._failure: httpx.TransportError | None = None
        self._event: trio.Event | None = None
        self._overrun = False
        self._sent_at = now

    async def wait_for_head(self, timeout: float | None) -> None:
        """Until the answer's head is there. Raises httpx.TransportError."""
        while not self.status:
            self._check()
            await self._wait(timeout)

    async def read(self, timeout: float | None) -> bytes:
        """The next bytes of the body as they arrive; empty at its end. `timeout` is for each wait."""
        while not self._pieces:
            if self.ended:
                return b""
            self._check()
            await self._wait(timeout)
        data = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._return_window()
        return data

    async def write(self, data: bytes, timeout: float | None) -> bool:
        """Send a part of the body; False when the peer wants no more of it. `timeout` is for each wait."""
        view = memoryview(data)
        while view and not self._refused():
            self._check()
            moved = self._connection.send_body(self.id, view)
            if moved:
                self._sent_at = trio.current_time()
            elif not await self._wait_to_write(timeout):
                raise httpx.WriteTimeout(f"could not write {len(view)} bytes within {timeout} s")
            view = view[moved:]
        return not self._refused()

    def finish(self) -> None:
        """The body is complete."""
        if not self._refused() and self._failure is None:
            self._connection.end_body(self.id)

    def close(self) -> None:
        """Give back what it holds; an answer that has not ended is broken off. Waits for nothing. Idempotent."""
        self._return_window()
        self._pieces.clear()
        self._connection.forget(self)

    def expire(self) -> None:
        """The watchdog's word that a wait has lasted too long."""
        self._overrun = True
        self.wake()

    # --- for the connection -----------------------------------------------------------------

    def add(self, data: bytes, windowed: int) -> None:
        """Bytes of the body have come, for which the window shrank by `windowed`."""
        self._taken += windowed
        if data:
            self._pieces.append(data)
            self.wake()

    def fail(self, error: httpx.TransportError) -> None:
        """It will not go on. What has come is still handed out, before the error is."""
        if not self.ended and self._failure is None:
            self._failure = error
        self.wake()

    def wake(self) -> None:
        """Something has changed."""
        if self._event is not None:
            self._event.set()

    @property
    def sent_at(self) -> float:
        """When something of the request was last sent."""
        return self._sent_at

    @property
    def begun(self) -> bool:
        """Whether anything of the answer has come."""
        return bool(self.status)

    # --- within -----------------------------------------------------------------------------

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _refused(self) -> bool:
        """Whether the answer is there before the request is: a refusal, or an end."""
        return self.ended or self.status >= 300

    async def _wait(self, timeout: float | None) -> None:
        if not await self._pause(timeout):
            self._connection.suspect(self)
            raise httpx.ReadTimeout(f"nothing received for {timeout} s")

    async def _wait_to_write(self, timeout: float | None) -> bool:
        self._connection.writers.add(self)
        try:
            return await self._pause(timeout)
        finally:
            self._connection.writers.discard(self)

    async def _pause(self, timeout: float | None) -> bool:
        """Until something changes; False after `timeout` seconds without."""
        self._event, self._overrun = trio.Event(), False
        watchdog = self._connection.watchdog
        if timeout is not None:
            watchdog.watch(self, trio.current_time() + timeout)
        try:
            await self._event.wait()
        finally:
            self._event = None
            self.deadline = inf
        return not self._overrun

    def _return_window(self) -> None:
        taken, self._taken = self._taken, 0
        if taken:
            self._connection.return_window(self.id, taken)


class Http2Connection:
    """Owns `stream`, over which the server has agreed to speak HTTP/2. `on_change` is called when it has or loses room.

    `expires_at`: when one that carries nothing should not be used any more.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        origin: Origin,
        watchdog: Watchdog,
        on_change: Callable[[Http2Connection], None],
    ) -> None:
        self.origin = origin
        self.watchdog = watchdog
        self.expires_at = inf
        self.writers: set[Exchange] = set()
        """Exchanges that wait until they can write on."""
        self.closed = False
        self.told = False
        """Whether the server has said yet how many exchanges it takes at once."""
        self._stream = stream
        self._quick = stream if isinstance(stream, QuickStream | QuickTLS) else None
        self._on_change = on_change
        self._retired = False
        self._exchanges: dict[int, Exchange] = {}
        self._carried = 0
        self._heard_at = trio.current_time()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._to_write = trio.Event()
        self._to_read = trio.Event()
        self._h2 = _protocol()
        self._flush()

    @property
    def stream(self) -> trio.abc.Stream:
        """What the connection runs over; for looking, not for reading or writing."""
        return self._stream

    @property
    def busy(self) -> int:
        """Exchanges under way."""
        return len(self._exchanges)

    def has_room(self) -> bool:
        """Whether a further exchange may begin."""
        return not self.closed and not self._retired and len(self._exchanges) < self._most()

    def _most(self) -> int:
        if not self.told:
            return 1
        most = self._h2.remote_settings.max_concurrent_streams
        return _MOST_EXCHANGES if most > 2**31 else most

    def begin(self, headers: list[tuple[bytes, bytes]], *, end: bool) -> Exchange:
        """Send the head of a request; `end`: it has no body. LocalProtocolError for one that HTTP/2 does not allow."""
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers, end_stream=end)
        except h2.exceptions.NoAvailableStreamIDError:
            self.retire()
            raise NotProcessed("this connection has carried all that it can") from None
        except h2.exceptions.ProtocolError as error:
            raise httpx.LocalProtocolError(str(error) or type(error).__name__) from error
        exchange = self._exchanges[stream_id] = Exchange(self, stream_id, trio.current_time())
        self._carried += 1
        self.expires_at = inf
        self._flush()
        return exchange

    def send_body(self, stream_id: int, data: memoryview) -> int:
        """How many bytes of `data` could be sent, 0 if the peer or the kernel wants no more at present."""
        if len(self._outbox) > _MOST_UNSENT:
            return 0
        try:
            room = min(
                self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size, len(data)
            )
            if room > 0:
                self._h2.send_data(stream_id, bytes(data[:room]))
        except h2.exceptions.ProtocolError as error:
            raise httpx.WriteError(f"the stream is closed: {error}") from error
        self._flush()
        return max(0, room)

    def end_body(self, stream_id: int) -> None:
        """The request is complete."""
        try:
            self._h2.end_stream(stream_id)
        except h2.exceptions.ProtocolError as error:
            raise httpx.WriteError(f"the stream is closed: {error}") from error
        self._flush()

    def return_window(self, stream_id: int, count: int) -> None:
        """So many bytes have been taken: as many more may come."""
        if not self.closed:
            self._h2.acknowledge_received_data(count, stream_id)
            self._flush()

    def forget(self, exchange: Exchange) -> None:
        """`exchange` is over; if its answer is not, the server is told to stop."""
        self.watchdog.forget(exchange)
        if self._exchanges.pop(exchange.id, None) is None:
            return
        if not self.closed:
            self._reset(exchange, h2.errors.ErrorCodes.CANCEL)
            self._flush()
        self._freed()

    def suspect(self, exchange: Exchange) -> None:
        """The wait for `exchange` was too long. If nothing at all was heard meanwhile, the way may lead nowhere any more."""
        if self._heard_at <= exchange.sent_at:
            self.retire()

    def retire(self) -> None:
        """Begin nothing more on it, and close it when what is under way has ended."""
        self._retired = True
        self._freed()

    def close(self) -> None:
        """Close at once; what is under way fails. Idempotent."""
        self._end(httpx.ReadError, "the connection was closed")

    # --- reading and writing ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to read and write, in tasks of its own, until it is closed."""
        trio.lowlevel.spawn_system_task(self._run, name="HTTP/2 connection")

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read()
                nursery.cancel_scope.cancel()
        except* (*BROKEN, h2.exceptions.ProtocolError) as group:
            self._lost(group.exceptions[0])
        except* Exception as group:
            log.exception("an HTTP/2 connection failed", exc_info=group)
            self._lost(group.exceptions[0])
        finally:
            self.close()

    async def _read(self) -> None:
        while not self.closed:
            data = await self._stream.receive_some(RECEIVE_SIZE)
            if not data:
                self._lost(None)
                return
            self._heard_at = trio.current_time()
            for event in self._events(bytes(data)):
                self._handle(event)
            self._flush()
            while len(self._outbox) > 2 * _MOST_UNSENT:
                # Answers to pings pile up: who sends and takes nothing is not listened to.
                self._to_read = trio.Event()
                await self._to_read.wait()

    def _flush(self) -> None:
        """Send what there is to be said as far as the kernel takes it, and leave the rest to the writing task."""
        self._outbox += self._h2.data_to_send()
        if not self._outbox or self.closed:
            return
        if self._quick is not None:
            try:
                sent = self._quick.send_nowait(self._outbox)
            except OSError:
                # The reader meets the same end, and what came before it.
                return
            del self._outbox[:sent]
        if self._outbox:
            self._to_write.set()

    async def _write(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write = trio.Event()
            if self._quick is None:
                data, self._outbox = bytes(self._outbox), bytearray()
                await self._stream.send_all(data)
            else:
                await self._quick.wait_send_all_might_not_block()
            self._flush()
            if len(self._outbox) <= _MOST_UNSENT:
                self._to_read.set()
                self._wake_writers()

    def _events(self, data: bytes) -> list[h2.events.Event]:
        """What the bytes say. GOAWAY is kept from h2; see the module's text."""
        inbox = self._inbox
        inbox += data
        start = end = 0
        events: list[h2.events.Event] = []
        while len(inbox) - end >= _FRAME_HEAD:
            length = int.from_bytes(inbox[end : end + 3], "big")
            if length > _MOST_FRAME:
                raise h2.exceptions.FrameTooLargeError(f"a frame of {length} bytes")
            after = end + _FRAME_HEAD + length
            if len(inbox) < after:
                break
            if inbox[end + 3] == _GOAWAY:
                events += self._h2.receive_data(bytes(inbox[start:end]))
                self._go_away(bytes(inbox[end + _FRAME_HEAD : after]))
                start = after
            end = after
        events += self._h2.receive_data(bytes(inbox[start:end]))
        del inbox[:end]
        return events

    def _handle(self, event: h2.events.Event) -> None:
        exchange = self._exchanges.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self.told = self.told or isinstance(event, h2.events.RemoteSettingsChanged)
            self._wake_writers()
            self._on_change(self)
        elif exchange is None:
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.return_window(event.stream_id or 0, event.flow_controlled_length)
        elif isinstance(event, h2.events.ResponseReceived):
            exchange.headers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            exchange.status = _take_status(exchange.headers)
            exchange.wake()
        elif isinstance(event, h2.events.DataReceived):
            exchange.add(event.data or b"", event.flow_controlled_length or 0)
        elif isinstance(event, h2.events.StreamEnded):
            exchange.ended = True
            self._over(exchange)
        elif isinstance(event, h2.events.StreamReset):
            exchange.fail(_reset(event.error_code))
            self._over(exchange)

    def _over(self, exchange: Exchange) -> None:
        """The server has said its last word about `exchange`, which may still have something to read."""
        if exchange.ended and not self._sent_whole(exchange.id):
            # An answer before the whole request: the rest of it is not wanted.
            self._reset(exchange, h2.errors.ErrorCodes.NO_ERROR)
        del self._exchanges[exchange.id]
        exchange.wake()
        self._freed()

    def _reset(self, exchange: Exchange, code: h2.errors.ErrorCodes) -> None:
        # It may just have ended by itself.
        with suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(exchange.id, code)

    def _sent_whole(self, stream_id: int) -> bool:
        stream = self._h2.streams.get(stream_id)
        return stream is None or stream.closed

    # --- the end ----------------------------------------------------------------------------

    def _go_away(self, payload: bytes) -> None:
        """The server begins nothing more, and has seen nothing of the exchanges after the last one that it names."""
        last = int.from_bytes(payload[:4], "big") & 0x7FFF_FFFF
        code = int.from_bytes(payload[4:8], "big")
        self._retired = True
        for exchange in [each for each in self._exchanges.values() if each.id > last]:
            exchange.fail(NotProcessed(f"the server went away before it saw the request ({_name(code)})"))
            del self._exchanges[exchange.id]
        self._freed()

    def _freed(self) -> None:
        """There may be room, or an end."""
        if not self._exchanges and self._retired:
            self.close()
        self._on_change(self)

    def _lost(self, error: BaseException | None) -> None:
        """The connection has ended; those under way learn how."""
        reason = f"connection lost: {error}" if error is not None else "the server closed the connection"
        kind = (
            httpx.RemoteProtocolError if isinstance(error, h2.exceptions.ProtocolError) else httpx.ReadError
        )
        for exchange in list(self._exchanges.values()):
            if not exchange.begun and self._carried > 1 and self._heard_at <= exchange.sent_at:
                exchange.fail(StaleConnection(f"a reused connection was closed: {reason}"))
        self._end(kind, reason)

    def _end(self, kind: type[httpx.TransportError], reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        exchanges, self._exchanges = list(self._exchanges.values()), {}
        for exchange in exchanges:
            exchange.fail(kind(reason))
        close_now(self._stream)
        self._on_change(self)

    def _wake_writers(self) -> None:
        for exchange in self.writers:
            exchange.wake()


def _protocol() -> h2.connection.H2Connection:
    """The protocol's state at the beginning of a connection, with what we ask of the server."""
    config = h2.config.H2Configuration(client_side=True, header_encoding=None)
    protocol = h2.connection.H2Connection(config)
    codes = h2.settings.SettingCodes
    protocol.local_settings = h2.settings.Settings(
        client=True,
        initial_values={
            codes.ENABLE_PUSH: 0,
            codes.INITIAL_WINDOW_SIZE: _WINDOW,
            codes.MAX_HEADER_LIST_SIZE: _MOST_HEAD,
            codes.MAX_FRAME_SIZE: _MOST_FRAME,
        },
    )
    protocol.initiate_connection()
    protocol.increment_flow_control_window(_ALL_WINDOWS - protocol.inbound_flow_control_window)
    return protocol


def _take_status(headers: list[tuple[bytes, bytes]]) -> int:
    """The status, taken out of `headers`, of which h2 has checked that it is there."""
    for number, (name, value) in enumerate(headers):
        if name == b":status":
            del headers[number]
            return int(value)
    raise h2.exceptions.ProtocolError("an answer without a status")


def _reset(code: h2.errors.ErrorCodes | int | None) -> httpx.TransportError:
    if code == h2.errors.ErrorCodes.REFUSED_STREAM:
        return NotProcessed("the server refused the stream before it looked at the request")
    return httpx.ReadError(f"the server broke off the stream ({_name(code)})")


def _name(code: h2.errors.ErrorCodes | int | None) -> str:
    try:
        return h2.errors.ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
