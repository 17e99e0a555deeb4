"""CPU time of the server alone: a trivial ASGI application on it, and what a request costs beyond the application.

The callers are a process of their own. `raw` is the same exchange served by a bare trio loop that parses nothing: what
sockets and scheduler cost in any case on this machine, system calls included. The server's own share is the difference.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from ..runtime.wire.quick_socket import QuickStream
from ..runtime.wire.server import Server
from .crowd.daemon import running

__all__ = ["main"]

_REQUEST: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:4000\r\nuser-agent: benchmark\r\naccept: */*\r\n"
    b"content-type: application/json\r\nauthorization: Bearer sk-0123456789\r\ncontent-length: 100\r\n\r\n"
    + b"x"
    * 100
)
_BODY: Final = b"y" * 400
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 400\r\n\r\n" + _BODY
_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"400")],
}
_WHOLE: Final = {"type": "http.response.body", "body": _BODY}
_PIECE: Final = {"type": "http.response.body", "body": b"data: a word\n\n", "more_body": True}
_END: Final = {"type": "http.response.body", "body": b""}
_PIECES: Final = 50


async def _plain(_scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send(_START)
    await send(_WHOLE)


async def _streamed(_scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(_PIECES):
        await send(_PIECE)
    await send(_END)


async def _raw(stream: trio.SocketStream) -> None:
    quick = QuickStream(socket.socket(fileno=stream.socket.detach()))
    async with quick:
        while await quick.receive_some():
            quick.send_nowait(_ANSWER)


@asynccontextmanager
async def _serving(app: Any) -> AsyncIterator[int]:
    """The port at which `app` is served, or the bare loop for None."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        if app is None:
            nursery.start_soon(trio.serve_listeners, _raw, listeners)
        else:
            await nursery.start(Server(app).serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _measure(app: Any, requests: int, connections: int) -> float:
    """CPU microseconds of this process for each request."""
    async with _serving(app) as port:
        command = [sys.executable, "-m", "llm_dispatcher.benchmarks.serving", "--call", str(port)]
        command += ["--requests", str(requests), "--connections", str(connections)]
        with running(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as callers:
            if callers.stdout is None or callers.stdin is None:
                raise RuntimeError("the callers have no pipes")
            await trio.to_thread.run_sync(callers.stdout.readline)
            begun = time.process_time()
            callers.stdin.write("go\n")
            callers.stdin.flush()
            await trio.to_thread.run_sync(callers.stdout.readline)
            return (time.process_time() - begun) / requests * 1e6


def _call(port: int, requests: int, connections: int) -> None:
    """The callers: so many connections that each always have a request under way, served in turn."""
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for sock in socks:
        _exchange(sock)
    print("ready", flush=True)
    sys.stdin.readline()
    left = requests
    for sock in socks[:left]:
        sock.sendall(_REQUEST)
    while left:
        for sock in socks:
            if left:
                _read(sock)
                left -= 1
                if left >= connections:
                    sock.sendall(_REQUEST)
    print("done", flush=True)


def _exchange(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_REQUEST)
    _read(sock)


def _read(sock: socket.socket) -> None:
    data = b""
    while not data.endswith((_BODY, b"0\r\n\r\n")):
        more = sock.recv(65_536)
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more


async def _run(requests: int, connections: int) -> None:
    raw = await _measure(None, requests, connections)
    plain = await _measure(_plain, requests, connections)
    streamed = await _measure(_streamed, max(connections, requests // 10), connections)
    print(f"bare loop, an exchange         {raw:8.1f} µs CPU")
    print(f"server, a request              {plain:8.1f} µs CPU")
    print(f"so the server's own share      {plain - raw:8.1f} µs CPU")
    print(f"server, a streamed piece       {streamed / _PIECES:8.1f} µs CPU")


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=5000, help="requests a row")
    parser.add_argument("--connections", type=int, default=16, help="requests under way at once")
    parser.add_argument("--call", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    requests = max(chosen.requests, chosen.connections) // chosen.connections * chosen.connections
    if chosen.call is not None:
        _call(chosen.call, requests, chosen.connections)
        return
    trio.run(_run, requests, chosen.connections)


if __name__ == "__main__":
    main()
