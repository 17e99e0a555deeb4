"""CPU time per request, by piece: the library over an instant transport, and the daemon's whole way over loopback.

The vendor is a process of its own (this program with `--vendor`) that answers at once over a real socket, so its
time is not counted. Client and dispatcher share the measured process in the `daemon` row; the `client` row says
how much of that is the load generator's own, measured against the vendor directly.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx
import msgspec
import trio

from ..runtime import Dispatcher, Message, Request
from ..runtime.gateway.app import Gateway
from ..runtime.wire.client import TrioTransport
from ..runtime.wire.server import Server

__all__ = ["main"]

_BODY: Final = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"' + b"The quick brown fox jumps over the lazy dog. " * 8 + b'"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":30,"completion_tokens":80,"total_tokens":110}}'
)
_CHUNK: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":" word"},"finish_reason":null}]}\n\n'
)
_CHUNKS: Final = 50
_END: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
_CHAT: Final = {"model": "m", "messages": [{"role": "user", "content": "Tell me about foxes and dogs. " * 4}]}


async def _vendor_app(_scope: Any, receive: Any, send: Any) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}
    await send(start)
    if b'"stream":true' not in body:
        await send({"type": "http.response.body", "body": _BODY})
        return
    for _ in range(_CHUNKS):
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": _END})


async def _listen() -> tuple[list[trio.SocketListener], int]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listeners, int(listeners[0].socket.getsockname()[1])


async def _be_the_vendor() -> None:
    listeners, port = await _listen()
    print(port, flush=True)
    await Server(_vendor_app).serve(listeners)


def _configuration(port: int) -> dict[str, Any]:
    model = {"name": "m", "price": {"input": "1", "output": "2"}}
    limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**12}
    vendor = {
        "name": "v",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": "k",
        "models": [model],
        "limits": limits,
    }
    return {"vendors": [vendor]}


async def _measure(one: Callable[[], Awaitable[None]], requests: int, connections: int) -> float:
    """CPU microseconds of this process for each call of `one`."""

    async def worker(count: int) -> None:
        for _ in range(count):
            await one()

    await worker(20)
    begun = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(worker, requests // connections)
    return (time.process_time() - begun) / (requests // connections * connections) * 1e6


def _poster(transport: TrioTransport, url: str, *, stream: bool) -> Callable[[], Awaitable[None]]:
    body = msgspec.json.encode({**_CHAT, "stream": True} if stream else _CHAT)
    address = httpx.URL(url)
    headers = [
        (b"host", address.netloc),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]

    async def post() -> None:
        request = httpx.Request("POST", address, headers=headers, stream=httpx.ByteStream(body))
        response = await transport.handle_async_request(request)
        pieces = response.stream
        if response.status_code != 200 or not isinstance(pieces, httpx.AsyncByteStream):
            raise RuntimeError(f"status {response.status_code}")
        async for _ in pieces:
            pass
        await pieces.aclose()

    return post


async def _run(vendor_port: int, requests: int, connections: int) -> AsyncIterator[tuple[str, float]]:
    request = Request(model="m", messages=[Message("user", str(_CHAT["messages"]))])
    client = TrioTransport()
    direct = f"http://127.0.0.1:{vendor_port}/v1/chat/completions"
    yield (
        "client, plain request",
        await _measure(_poster(client, direct, stream=False), requests, connections),
    )
    streams = max(connections, requests // 20)
    yield "client, stream", await _measure(_poster(client, direct, stream=True), streams, connections)
    async with Dispatcher.open(_configuration(vendor_port)) as dispatcher:

        async def send() -> None:
            await dispatcher.send(request)

        yield "library, plain request", await _measure(send, requests, connections)
        listeners, port = await _listen()
        async with trio.open_nursery() as nursery:
            await nursery.start(Server(Gateway(dispatcher)).serve, listeners)
            ours = f"http://127.0.0.1:{port}/v1/chat/completions"
            plain = _poster(client, ours, stream=False)
            yield "daemon and client, plain request", await _measure(plain, requests, connections)
            streamed = _poster(client, ours, stream=True)
            yield "daemon and client, stream", await _measure(streamed, streams, connections)
            nursery.cancel_scope.cancel()
    await client.aclose()


async def _report(vendor_port: int, requests: int, connections: int) -> None:
    found: dict[str, float] = {}
    async for name, microseconds in _run(vendor_port, requests, connections):
        found[name] = microseconds
        print(f"{name:36} {microseconds:9.1f} µs CPU", flush=True)
    plain = found["daemon and client, plain request"] - found["client, plain request"]
    chunk = (found["daemon and client, stream"] - found["client, stream"]) / _CHUNKS
    print(f"{'so the daemon, plain request':36} {plain:9.1f} µs CPU")
    print(f"{'so the daemon, streamed chunk':36} {chunk:9.1f} µs CPU (request included)")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000, help="plain requests per row")
    parser.add_argument("--connections", type=int, default=16, help="requests under way at once")
    parser.add_argument("--vendor", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.vendor:
        trio.run(_be_the_vendor)
        return
    command = [sys.executable, "-m", "llm_dispatcher.benchmarks.hotpath", "--vendor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as vendor:
        try:
            line = vendor.stdout.readline() if vendor.stdout else ""
            trio.run(_report, int(line), chosen.requests, chosen.connections)
        finally:
            vendor.terminate()


if __name__ == "__main__":
    main()
