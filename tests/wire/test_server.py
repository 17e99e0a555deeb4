"""The ASGI server: order, framing, waits, disconnection, draining."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from trio.testing import MockClock, memory_stream_pair

from tests.wire.test_server_parser import GET, GOOD, POST


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['method']} {scope['path']} ".encode() + body})


@asynccontextmanager
async def client_of(app: Any, **limits: Any) -> AsyncIterator[tuple[trio.abc.Stream, Server]]:
    """A client's end of a connection in memory. Afterwards the server has none left."""
    server = Server(app, ServerLimits(**limits))
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_connection, theirs)
        yield ours, server
        await ours.aclose()
    assert server.statistics().connections == 0
    assert server.statistics().in_flight == 0


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_pipelined_requests_are_answered_in_order(autojump_clock: MockClock) -> None:
    async with client_of(echo) as (client, _):
        await client.send_all(GOOD + b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        answers = await read_all(client)
    assert [answers.find(word) for word in (b"GET /x ", b"POST /y abc", b"GET /last")] == sorted(
        answers.find(word) for word in (b"GET /x ", b"POST /y abc", b"GET /last")
    )
    assert answers.count(b"HTTP/1.1 200 OK") == 5
    assert answers.count(b"connection: close") == 1


async def test_streams_are_chunked_and_whole_answers_are_not(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async with client_of(app) as (client, _):
        await client.send_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        assert (await read_all(client)).endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    async with client_of(app) as (client, _):
        await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
        answer = await read_all(client)
    assert answer.endswith(b"\r\n\r\nonetwo")
    assert b"transfer-encoding" not in answer


async def test_a_head_request_and_an_empty_status_have_no_body(autojump_clock: MockClock) -> None:
    async with client_of(echo) as (client, _):
        await client.send_all(b"HEAD / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        answer = await read_all(client)
    assert b"content-length: 7" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_client_that_asks_is_told_to_go_on(autojump_clock: MockClock) -> None:
    async with client_of(echo) as (client, _):
        await client.send_all(POST + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await client.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_all(b"abc")
        assert b"POST /y abc" in await client.receive_some()


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost", 10, b"408"),
        (POST + b"content-length: 30\r\n\r\nabc", 5, b"408"),
        (b"", 75, b""),
        (GET, 75, b"200"),
    ],
)
async def test_a_client_that_keeps_us_waiting_is_let_go(
    autojump_clock: MockClock, sent: bytes, seconds: float, status: bytes
) -> None:
    async with client_of(echo) as (client, _):
        if sent:
            await client.send_all(sent)
        answer = await read_all(client)
        assert answer[9:12] == status
        assert seconds <= trio.current_time() < seconds + 0.2


async def test_a_client_that_stops_reading_is_cut(autojump_clock: MockClock) -> None:
    finished = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        finally:
            finished.set()

    server = Server(app)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        client = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
        await client.send_all(GET)
        await finished.wait()
        assert 30 <= trio.current_time() < 32
        await client.aclose()
        nursery.cancel_scope.cancel()


async def test_long_answers_with_pauses_are_not_cut(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10):
            await trio.sleep(25)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    async with client_of(app) as (client, _):
        for _ in range(2):
            await client.send_all(GET)
            answer = b""
            while b"end\r\n0\r\n\r\n" not in answer:
                answer += await client.receive_some()
            await trio.sleep(60)


async def test_the_application_is_cancelled_when_its_client_leaves(autojump_clock: MockClock) -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert "llm_dispatcher.cancel_on_disconnect" in scope["extensions"]
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with client_of(app) as (client, _):
        await client.send_all(GET)
        await trio.sleep(3)
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
    assert ended == [3]


async def test_a_failing_application_is_a_500_or_an_answer_cut_short(autojump_clock: MockClock) -> None:
    async def before(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async def after(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ZeroDivisionError

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def injected(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]})
        await send({"type": "http.response.body", "body": b""})

    answers = []
    for app in (before, after, silent, injected):
        async with client_of(app) as (client, _):
            await client.send_all(GET)
            answers.append(await read_all(client))
    assert answers[0].startswith(b"HTTP/1.1 500")
    assert b'"code":"internal_error"' in answers[0]
    assert answers[1].endswith(b"3\r\nabc\r\n")
    assert answers[2] == b""
    assert answers[3].startswith(b"HTTP/1.1 500")


async def test_draining_closes_the_idle_lets_the_busy_end_and_cuts_the_rest(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(float(scope["path"][1:]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    server = Server(app)
    answers: dict[str, tuple[float, bytes]] = {}

    async def client(path: str, nursery: trio.Nursery, at: float = 0.0) -> None:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(server.serve_connection, theirs)
        await trio.sleep(at)
        if path:
            await ours.send_all(f"GET /{path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
        answer = await read_all(ours)
        answers[path] = (trio.current_time(), answer)

    async def clients() -> None:
        async with trio.open_nursery() as nursery:
            for path in ("", "5", "50"):
                nursery.start_soon(client, path, nursery)
            # This one's request is on its way.
            nursery.start_soon(client, "3", nursery, 1.1)
            await trio.sleep(1)
            await server.drain(11.0)

    await clients()
    assert answers[""] == (1.2, b"")
    assert answers["3"][1].startswith(b"HTTP/1.1 200 ")
    assert answers["5"][0] == 5
    assert b"connection: close" in answers["5"][1]
    assert answers["50"][0] == 11
    assert answers["50"][1].startswith(b"HTTP/1.1 503 ")
    assert b'"code":"server_draining"' in answers["50"][1]


async def test_real_clients_over_real_sockets() -> None:
    server = Server(echo)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        await _fifty_calls(url)
        assert server.statistics().requests == 50
        nursery.cancel_scope.cancel()


async def _fifty_calls(url: str) -> None:
    async with httpx.AsyncClient() as client, trio.open_nursery() as callers:

        async def call(number: int) -> None:
            answer = await client.post(f"{url}/{number}", content=b"z" * number * 1000)
            assert answer.content == f"POST /{number} ".encode() + b"z" * number * 1000

        for number in range(50):
            callers.start_soon(call, number)
