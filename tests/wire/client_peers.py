"""Vendors for the client's tests: scripted ones over memory streams, and small real ones over sockets.

A script is an async function that is given the vendor's end of one connection and plays it byte by byte.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import trio
import trio.testing
from llm_dispatcher.runtime.wire.client import TrioTransport

URL = "http://vendor.test/v1/chat"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class MemoryStream(trio.abc.Stream):
    """One end of a connection in memory, which knows whether it was closed."""

    def __init__(
        self, inner: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    ):
        self._inner = inner
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._inner.receive_some(max_bytes))

    def close(self) -> None:
        self.closed = True
        self._inner.send_stream.close()
        self._inner.receive_stream.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


Script = Callable[[trio.abc.Stream], Awaitable[None]]


class Peer:
    """Plays `script` on every connection dialled. `streams` are the client's ends, in order."""

    def __init__(self, script: Script, nursery: trio.Nursery, dial_seconds: float = 0) -> None:
        self.streams: list[MemoryStream] = []
        self._script = script
        self._nursery = nursery
        self._dial_seconds = dial_seconds

    async def dial(self, host: str, port: int) -> trio.abc.Stream:
        if self._dial_seconds:
            await trio.sleep(self._dial_seconds)
        mine, theirs = trio.testing.memory_stream_pair()
        stream = MemoryStream(mine)
        self.streams.append(stream)
        self._nursery.start_soon(self._play, theirs)
        return stream

    @property
    def open(self) -> int:
        return sum(not stream.closed for stream in self.streams)

    async def _play(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                await self._script(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def playing(script: Script, dial_seconds: float = 0) -> AsyncGenerator[Peer, None]:
    async with trio.open_nursery() as nursery:
        yield Peer(script, nursery, dial_seconds)
        nursery.cancel_scope.cancel()


async def read_request(stream: trio.abc.Stream) -> bytes:
    """One whole request with Content-Length or none; empty at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = bytes(await stream.receive_some())
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    while len(body) < length:
        more = bytes(await stream.receive_some())
        if not more:
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def answering(*parts: bytes, pause: float = 0, then_close: bool = False) -> Script:
    """Answers each request with `parts`, `pause` seconds apart."""

    async def script(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            for part in parts:
                await trio.sleep(pause)
                await stream.send_all(part)
            if then_close:
                return

    return script


async def hang(stream: trio.abc.Stream) -> None:
    """Takes everything and says nothing."""
    while await stream.receive_some():
        pass


def post(
    body: bytes = b"{}",
    *,
    url: str = URL,
    timeout: dict[str, float | None] | None = None,
    stream: httpx.AsyncByteStream | httpx.SyncByteStream | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
    method: str = "POST",
) -> httpx.Request:
    return httpx.Request(
        method,
        url,
        headers=headers,
        stream=httpx.ByteStream(body) if stream is None else stream,
        extensions={} if timeout is None else {"timeout": timeout},
    )


async def fetch(transport: TrioTransport, request: httpx.Request | None = None) -> tuple[int, bytes]:
    """Status and whole body."""
    response = await transport.handle_async_request(post() if request is None else request)
    return response.status_code, await response.aread()


def busy(transport: TrioTransport) -> int:
    return sum(origin.busy for origin in transport.statistics().origins.values())


def opened(transport: TrioTransport) -> int:
    return sum(origin.open for origin in transport.statistics().origins.values())


@asynccontextmanager
async def serving(script: Script, listener: trio.SocketListener) -> AsyncGenerator[None, None]:
    """Plays `script` on each connection accepted from a real socket."""

    async def play(stream: trio.SocketStream) -> None:
        try:
            await script(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, play, [listener])
        yield
        nursery.cancel_scope.cancel()


async def listen() -> tuple[trio.SocketListener, int]:
    """A listener on the loopback and its port."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener, listener.socket.getsockname()[1]
