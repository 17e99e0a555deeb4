"""Slow, silent and numerous clients over real sockets: they are bounded and let go, and nobody else notices."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.process import resident_bytes
from llm_dispatcher.runtime.wire.addresses import AddressQuota
from llm_dispatcher.runtime.wire.descriptors import Descriptors
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from tests.wire.test_server import echo, read_all

GET = b"GET /healthy HTTP/1.1\r\nhost: h\r\n\r\n"


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[int]:
    """`server` on a port of its own. Afterwards it has no connection left."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()
    assert server.statistics().connections == 0
    assert server.statistics().in_flight == 0


async def connect(port: int, receive_buffer: int = 0) -> trio.SocketStream:
    """A client's connection; its kernel takes hardly more than `receive_buffer` bytes unread."""
    sock = trio.socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


async def ask(stream: trio.SocketStream) -> bytes:
    """A healthy request on `stream`, and its answer."""
    await stream.send_all(GET)
    return bytes(await stream.receive_some())


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """A long answer in pieces of a kilobyte for a path that is their number, an echo else."""
    if not scope["path"][1:].isdigit():
        await echo(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(scope["path"][1:])):
        await trio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


ENDLESS = b"GET /5000 HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.mark.slow
async def test_clients_that_stop_reading_cost_little_and_are_cut_after_half_a_minute(
    autojump_clock: MockClock,
) -> None:
    crowd = 200
    server = Server(endless)
    async with serving(server) as port:
        healthy = await connect(port)
        await ask(healthy)
        before = resident_bytes()
        stopped = [await connect(port, 4096) for _ in range(crowd)]
        for stream in stopped:
            await stream.send_all(ENDLESS)
        await trio.sleep(20)
        assert server.statistics().in_flight == crowd
        assert b"GET /healthy" in await ask(healthy)
        during = resident_bytes()
        if before is not None and during is not None:
            # Both ends of every connection are in this process.
            assert during - before < crowd * 128 * 1024
        await trio.sleep(9)
        assert server.statistics().slow_clients == 0
        await trio.sleep(3)
        assert server.statistics().slow_clients == crowd
        assert server.statistics().in_flight == 0
        assert b"GET /healthy" in await ask(healthy)
        for stream in (*stopped, healthy):
            await stream.aclose()


@asynccontextmanager
async def taking_turns(server: Server) -> AsyncIterator[trio.abc.Stream]:
    """A client's end of a connection that holds nothing: what is sent waits until it is taken."""
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_connection, theirs)
        yield ours
        nursery.cancel_scope.cancel()


async def test_a_client_that_takes_less_than_a_kilobyte_a_second_is_cut_after_a_minute(
    autojump_clock: MockClock,
) -> None:
    server = Server(endless)
    async with taking_turns(server) as client:
        await client.send_all(ENDLESS)
        for _ in range(20):
            if not await client.receive_some(1000):
                break
            await trio.sleep(10)
        assert server.statistics().slow_clients == 1
        assert 60 <= trio.current_time() <= 80


async def test_a_client_that_is_slow_but_steady_gets_everything(autojump_clock: MockClock) -> None:
    server = Server(endless)
    async with taking_turns(server) as client:
        await client.send_all(b"GET /300 HTTP/1.1\r\nhost: h\r\n\r\n")
        answer = b""
        while not answer.endswith(b"end\r\n0\r\n\r\n"):
            await trio.sleep(2)
            for _ in range(5):
                answer += await client.receive_some(2000)
                if answer.endswith(b"end\r\n0\r\n\r\n"):
                    break
        assert answer.count(b"x" * 1000) == 300
        assert server.statistics().slow_clients == 0
        assert trio.current_time() > 100


async def test_a_large_answer_may_take_longer_than_a_stall(autojump_clock: MockClock) -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"y" * 400_000})

    async with taking_turns(Server(large)) as client:
        await client.send_all(GET)
        size = 0
        while size < 400_000:
            await trio.sleep(1)
            size += len(await client.receive_some(4000))
        assert trio.current_time() > 90


async def drip(port: int, head: bytes, ended: list[float]) -> None:
    """A slowloris: a byte every second, until the server has had enough."""
    stream = await connect(port)
    try:
        for byte in head:
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)
    except trio.BrokenResourceError:
        pass
    finally:
        ended.append(trio.current_time())
        await stream.aclose()


LORIS = b"GET / HTTP/1.1\r\nhost: h\r\nx-a: " + b"b" * 100


@pytest.mark.slow
async def test_slowloris_with_places_for_all_is_let_go_when_the_head_has_had_its_time(
    autojump_clock: MockClock,
) -> None:
    crowd = 300
    server = Server(echo)
    ended: list[float] = []
    async with serving(server) as port, trio.open_nursery() as nursery:
        for _ in range(crowd):
            nursery.start_soon(drip, port, LORIS, ended)
        await trio.sleep(5)
        assert server.statistics().connections == crowd
        client = await connect(port)
        assert b"GET /healthy" in await ask(client)
        await client.aclose()
    assert len(ended) == crowd
    assert 10 <= min(ended) <= max(ended) < 13
    assert server.statistics().refused == crowd


async def test_a_body_that_drips_is_refused_however_often_a_byte_comes(autojump_clock: MockClock) -> None:
    server = Server(echo)
    async with serving(server) as port:
        client = await connect(port)
        await client.send_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            for _ in range(100):
                await client.send_all(b"z")
                await trio.sleep(1)
        assert trio.current_time() < 8
        assert server.statistics().refused == 1
        await client.aclose()


async def test_silent_connections_make_room_oldest_first_and_running_requests_stay(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(5)
        await echo(scope, receive, send)

    server = Server(app, ServerLimits(connections=3))
    async with serving(server) as port:
        busy = await connect(port)
        await busy.send_all(GET)
        older = await connect(port)
        await trio.sleep(0.1)
        newer = await connect(port)
        await trio.sleep(0.1)
        another = await connect(port)
        await another.send_all(GET)
        assert await older.receive_some() == b""
        assert b"200 OK" in await busy.receive_some()
        assert b"200 OK" in await another.receive_some()
        await newer.send_all(GET)
        assert b"200 OK" in await newer.receive_some()
        for stream in (busy, older, newer, another):
            await stream.aclose()


async def test_a_request_that_has_begun_is_not_cut_to_make_room() -> None:
    """Nor one whose head has just come: between that and its beginning, others have their turns."""
    begun = answered = 0

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal begun
        begun += 1
        await trio.lowlevel.checkpoint()
        await echo(scope, receive, send)

    for turn in range(60):
        server = Server(counting)
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_connection, theirs)
            await trio.testing.wait_all_tasks_blocked()
            await ours.send_all(GET)
            for _ in range(turn % 4):
                await trio.lowlevel.cancel_shielded_checkpoint()
            server._evict()
            answered += bool(await ours.receive_some())
            nursery.cancel_scope.cancel()
    assert begun == answered
    assert answered > 0


async def test_when_all_are_busy_a_new_client_waits_for_a_place(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(5)
        await echo(scope, receive, send)

    server = Server(app, ServerLimits(connections=2))
    async with serving(server) as port:
        streams = []
        for _ in range(3):
            streams.append(await connect(port))
            await streams[-1].send_all(GET)
            await trio.sleep(0.1)
        for stream in streams:
            assert b"200 OK" in await stream.receive_some()
        assert 10 <= trio.current_time() < 11
        for stream in streams:
            await stream.aclose()


async def test_accepting_pauses_while_file_descriptors_run_short(autojump_clock: MockClock) -> None:
    used = 95
    server = Server(echo, descriptors=Descriptors(100, lambda: used))
    async with serving(server) as port:
        client = await connect(port)
        await client.send_all(GET)
        await trio.sleep(5)
        assert server.statistics().paused
        assert server.statistics().connections == 0
        used = 50
        assert b"GET /healthy" in await client.receive_some()
        assert not server.statistics().paused
        await client.aclose()


async def test_an_address_with_too_many_connections_is_told_so(autojump_clock: MockClock) -> None:
    server = Server(echo, addresses=AddressQuota(2, exempt=lambda host: False))
    async with serving(server) as port:
        streams = [await connect(port) for _ in range(3)]
        assert b"429" in await read_all(streams[2])
        assert b"GET /healthy" in await ask(streams[0])
        await streams[0].aclose()
        await trio.sleep(0.1)
        streams.append(await connect(port))
        assert b"GET /healthy" in await ask(streams[3])
        assert server.statistics().turned_away == 1
        for stream in streams:
            await stream.aclose()


async def test_under_strain_idle_connections_are_kept_for_five_seconds_only(
    autojump_clock: MockClock,
) -> None:
    server = Server(echo)
    async with serving(server) as port:
        client, later = await connect(port), await connect(port)
        await ask(client)
        await trio.sleep(20)
        server.strain(True)
        assert await client.receive_some() == b""
        assert 25 <= trio.current_time() < 25.2
        server.strain(False)
        assert await later.receive_some() == b""
        third = await connect(port)
        await ask(third)
        began = trio.current_time()
        assert await third.receive_some() == b""
        assert trio.current_time() - began > 70
        for stream in (client, later, third):
            await stream.aclose()


async def test_an_answer_before_the_body_arrives_even_if_the_body_is_large() -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"not now"})

    server = Server(refusing)
    async with serving(server) as port:
        client = await connect(port)
        body = b"q" * 3_000_000
        async with trio.open_nursery() as nursery:

            async def push() -> None:
                with suppress(trio.BrokenResourceError):
                    await client.send_all(
                        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3000000\r\n\r\n" + body
                    )

            nursery.start_soon(push)
            assert b"not now" in await read_all(client)
            nursery.cancel_scope.cancel()
        await client.aclose()


async def test_a_client_that_waits_to_be_told_to_go_on_and_is_refused_can_rely_on_the_end(
    autojump_clock: MockClock,
) -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"not now"})

    async with serving(Server(refusing)) as port:
        client = await connect(port)
        await client.send_all(
            b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 30\r\n\r\n"
        )
        answer = await read_all(client)
        assert answer.count(b"HTTP/1.1") == 1
        assert b"connection: close" in answer
        assert trio.current_time() < 1
        await client.aclose()


class Failing(trio.abc.Listener[trio.abc.Stream]):
    """Its first `failures` connections are failures; the others are streams in memory."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](9)

    def connect(self) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._send.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        if self._failures:
            await trio.lowlevel.checkpoint()
            raise self._failures.pop()
        return await self._receive.receive()

    async def aclose(self) -> None:
        await self._send.aclose()


async def test_accepting_goes_on_after_whatever_went_wrong_with_it(autojump_clock: MockClock) -> None:
    listener = Failing(OSError(22, "invalid argument"), ValueError("a mistake of ours"))
    async with trio.open_nursery() as nursery:
        await nursery.start(Server(echo).serve, [listener])
        client = listener.connect()
        await client.send_all(GET)
        assert b"GET /healthy" in await client.receive_some()
        assert trio.current_time() <= 0.1
        nursery.cancel_scope.cancel()


async def test_without_a_listener_accepting_ends(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(trio.ClosedResourceError, flatten_subgroups=True):
        await Server(echo).serve([Failing(trio.ClosedResourceError())])
