"""The whole house behind its server and real sockets: slow clients and the end of the process, with vendors watching."""

from __future__ import annotations

import json
import math
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.server import Server
from trio.testing import MockClock

from tests.fakes.scripted import Script, ScriptedTransport, config, hang, piece, stream


def request(*, streamed: bool = True) -> bytes:
    body = json.dumps({"model": "m", "stream": streamed, "messages": [{"role": "user", "content": "hello"}]})
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    )


class Endless(ScriptedTransport):
    """A vendor with very much to say. `handed_out` counts the pieces that were asked of it."""

    def __init__(self) -> None:
        self.handed_out = 0
        super().__init__(self._script)

    def _script(self) -> Script:
        return Script(pieces=_Counted(self, [piece("x" * 1000)] * 20_000))


class _Counted(list[bytes]):
    def __init__(self, owner: Endless, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self._owner = owner

    def __iter__(self) -> Any:
        for each in super().__iter__():
            self._owner.handed_out += 1
            yield each


@asynccontextmanager
async def daemon(transport: ScriptedTransport, **more: Any) -> AsyncIterator[tuple[Dispatcher, Server, int]]:
    """A house with one vendor, and the port that it is served at."""
    async with Dispatcher.open(
        config("a", **more), transports={"a": transport}, rng=random.Random(7)
    ) as dispatcher:
        server = Server(Gateway(dispatcher))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, listeners)
            yield dispatcher, server, int(listeners[0].socket.getsockname()[1])
            nursery.cancel_scope.cancel()


async def connect(port: int, receive_buffer: int = 0) -> trio.SocketStream:
    sock = trio.socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


@pytest.mark.slow
async def test_clients_that_stop_reading_stop_the_reading_from_the_vendor_who_is_not_blamed(
    autojump_clock: MockClock,
) -> None:
    crowd = 50
    vendor = Endless()
    async with daemon(vendor, timeouts={"between_tokens": "5s"}) as (dispatcher, server, port):
        clients = [await connect(port, 4096) for _ in range(crowd)]
        for client in clients:
            await client.send_all(request())
        await trio.sleep(10)
        taken = vendor.handed_out
        assert vendor.open == crowd
        # 64 KiB for the kernels of both ends, a kilobyte a piece.
        assert taken < crowd * 200
        await trio.sleep(15)
        assert vendor.handed_out == taken
        await trio.sleep(10)
        assert vendor.open == 0
        assert server.statistics().slow_clients == crowd
        told = dispatcher.statistics().vendors["a"]
        assert set(told.errors) == {"client_gone"}
        standing = (await dispatcher.standing())["a"].deployments["a/m"]
        assert standing.circuit == "closed"
        assert standing.in_flight == 0
        for client in clients:
            await client.aclose()


async def test_a_client_that_pauses_longer_than_a_vendor_may_be_silent_gets_the_rest(
    autojump_clock: MockClock,
) -> None:
    vendor = ScriptedTransport(stream(*["x" * 1000] * 500))
    async with daemon(vendor, timeouts={"between_tokens": "5s"}) as (dispatcher, _, port):
        client = await connect(port, 4096)
        await client.send_all(request())
        await trio.sleep(20)
        answer = b""
        while not answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            answer += await client.receive_some()
        await client.aclose()
        assert answer.count(b"x" * 1000) == 500
        assert dispatcher.statistics().vendors["a"].errors == {}


@pytest.mark.slow
async def test_when_draining_ends_every_stream_has_ended_or_been_told_and_is_settled(
    autojump_clock: MockClock,
) -> None:
    crowd, drain = 100, 20.0
    quick = stream("a", "b", gap=1.0)
    slow = stream(*["word"] * 1000, gap=1.0)
    vendor = ScriptedTransport(*([quick] * crowd), *([slow] * crowd), hang())
    answers: list[bytes] = []

    async def client(port: int, streamed: bool) -> None:
        stream_ = await connect(port)
        await stream_.send_all(request(streamed=streamed))
        answers.append(b"".join([data async for data in stream_]))
        await stream_.aclose()

    async with daemon(vendor) as (dispatcher, server, port), trio.open_nursery() as clients:
        for _ in range(2 * crowd):
            clients.start_soon(client, port, True)
            await trio.sleep(0.001)
        for _ in range(10):
            clients.start_soon(client, port, False)
        await trio.sleep(1)
        assert server.statistics().in_flight == 2 * crowd + 10
        begun = trio.current_time()
        await server.drain(begun + drain)
        await trio.testing.wait_all_tasks_blocked()
        assert math.isclose(trio.current_time(), begun + drain, abs_tol=1.0)
        assert server.statistics().connections == 0
        assert vendor.open == 0
        standing = (await dispatcher.standing())["a"].deployments["a/m"]
        assert standing.in_flight == 0
        assert standing.circuit == "closed"
        told = dispatcher.statistics().vendors["a"]
        assert told.succeeded == crowd
        assert told.errors == {"client_gone": crowd + 10}
    ended = [answer for answer in answers if b"data: [DONE]" in answer]
    told_so = [answer for answer in answers if b'"code":"server_draining"' in answer]
    assert len(ended) == crowd
    assert len(told_so) == crowd + 10
    assert not set(ended) & set(told_so)
    streams = [answer for answer in told_so if answer.startswith(b"HTTP/1.1 200")]
    assert len(streams) == crowd
    assert all(answer.endswith(b"\r\n0\r\n\r\n") for answer in streams), (
        "framed to the end, so that it can be read"
    )
    assert all(answer.startswith(b"HTTP/1.1 503") for answer in told_so if answer not in streams)
