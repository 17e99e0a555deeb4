"""A vendor that speaks HTTP/2, for the client's tests: h2's other side over TLS, in memory and so in virtual time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trio
import trio.testing

from tests.wire.client_peers import MemoryStream
from tests.wire.test_client_sockets import AUTHORITY

URL = "https://localhost/v1/chat"


def contexts(*protocols: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's, which offers HTTP/2, and that of a server which speaks `protocols`."""
    client = ssl.create_default_context()
    AUTHORITY.configure_trust(client)
    client.set_alpn_protocols(["h2", "http/1.1"])
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(server)
    server.set_alpn_protocols(list(protocols))
    return client, server


CLIENT, SERVER = contexts("h2")


class Call:
    """One request as the vendor sees it, and what it can do about it."""

    def __init__(self, side: Side, stream_id: int, headers: dict[bytes, bytes]) -> None:
        self.side = side
        self.id = stream_id
        self.headers = headers
        self.body = bytearray()
        self.whole = trio.Event()
        self.window = trio.Event()
        self.reset: int | None = None
        self.scope = trio.CancelScope()

    async def head(self, status: int = 200, *, end: bool = False) -> None:
        self.side.h2.send_headers(self.id, [(":status", str(status)), ("x-a", "b")], end_stream=end)
        await self.side.flush()

    async def data(self, data: bytes, *, end: bool = False) -> None:
        """As the client's windows allow."""
        view = memoryview(data)
        while view:
            room = min(self.side.h2.local_flow_control_window(self.id), 16_384, len(view))
            if room == 0:
                self.window = trio.Event()
                await self.window.wait()
                continue
            self.side.h2.send_data(self.id, bytes(view[:room]), end_stream=end and room == len(view))
            self.side.sent += room
            view = view[room:]
            await self.side.flush()

    async def answer(self, body: bytes = b"ok", status: int = 200) -> None:
        await self.head(status)
        await self.data(body, end=True)

    async def break_off(self, code: h2.errors.ErrorCodes) -> None:
        self.side.h2.reset_stream(self.id, code)
        await self.side.flush()


Handler = Callable[[Call], Awaitable[None]]


class Side:
    """The vendor's side of one connection."""

    def __init__(self, stream: trio.abc.Stream, handler: Handler, settings: dict[int, int]) -> None:
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        self.calls: dict[int, Call] = {}
        self.sent = 0
        self._handler = handler
        self._settings = settings
        self._stream = stream
        self._lock = trio.Lock()

    async def flush(self) -> None:
        # A call that is cancelled must not tear the connection that it shares.
        with trio.CancelScope(shield=True):
            async with self._lock:
                if data := self.h2.data_to_send():
                    await self._stream.send_all(data)

    async def go_away(self, last: int) -> None:
        """Begin nothing after the stream `last`."""
        frame = b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + bytes(4)
        async with self._lock:
            await self._stream.send_all(frame)

    async def say(self, data: bytes) -> None:
        """Bytes as they are."""
        async with self._lock:
            await self._stream.send_all(data)

    async def hang_up(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def run(self) -> None:
        self.h2.initiate_connection()
        self.h2.update_settings(
            {h2.settings.SettingCodes(key): value for key, value in self._settings.items()}
        )
        await self.flush()
        async with trio.open_nursery() as nursery:
            while data := await self._stream.receive_some():
                for event in self.h2.receive_data(bytes(data)):
                    self._handle(event, nursery)
                await self.flush()
            nursery.cancel_scope.cancel()

    def _handle(self, event: h2.events.Event, nursery: trio.Nursery) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            assert event.headers is not None
            headers = {bytes(name): bytes(value) for name, value in event.headers}
            call = self.calls[event.stream_id] = Call(self, event.stream_id, headers)
            nursery.start_soon(self._play, call)
        elif isinstance(event, h2.events.WindowUpdated):
            for call in self.calls.values():
                call.window.set()
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            assert event.data is not None
            self.calls[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.calls[event.stream_id or 0].whole.set()
        elif isinstance(event, h2.events.StreamReset):
            call = self.calls[event.stream_id or 0]
            call.reset = int(event.error_code or 0)
            call.scope.cancel()

    async def _play(self, call: Call) -> None:
        # Its client may have left in the very moment in which it says something.
        with call.scope, suppress(h2.exceptions.ProtocolError, KeyError):
            await self._handler(call)


class Vendor:
    """Plays `handler` for every request on every connection. `sides`: its connections, the first one first."""

    def __init__(
        self, handler: Handler, nursery: trio.Nursery, dial_seconds: float, settings: dict[int, int]
    ) -> None:
        self.streams: list[MemoryStream] = []
        self.sides: list[Side] = []
        self._handler = handler
        self._nursery = nursery
        self._dial_seconds = dial_seconds
        self._settings = settings

    async def dial(self, _host: str, _port: int) -> trio.abc.Stream:
        await trio.sleep(self._dial_seconds)
        mine, theirs = trio.testing.memory_stream_pair()
        self.streams.append(MemoryStream(mine))
        self._nursery.start_soon(self._serve, theirs)
        return self.streams[-1]

    @property
    def open(self) -> int:
        return sum(not stream.closed for stream in self.streams)

    @property
    def calls(self) -> list[Call]:
        return [call for side in self.sides for call in side.calls.values()]

    async def _serve(self, stream: trio.abc.Stream) -> None:
        secured = trio.SSLStream(stream, SERVER, server_side=True, https_compatible=True)
        side = Side(secured, self._handler, self._settings)
        self.sides.append(side)
        try:
            await side.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


@asynccontextmanager
async def playing(
    handler: Handler, dial_seconds: float = 0, settings: dict[int, int] | None = None
) -> AsyncIterator[Vendor]:
    async with trio.open_nursery() as nursery:
        yield Vendor(handler, nursery, dial_seconds, settings or {})
        nursery.cancel_scope.cancel()
