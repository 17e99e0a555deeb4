"""The ASGI server: strict parsing, order, framing, waits, disconnection, draining."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from llm_dispatcher.runtime.wire.server_parser import BadRequest, RequestParser
from trio.testing import MockClock, memory_stream_pair

from tests.fuzz.guard import cpu_limit

GET = b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"


def parse(*pieces: bytes, most_body: int = 1000) -> list[tuple[str, bytes, bytes]]:
    """Method, target and body of every complete request."""
    parser = RequestParser(most_head=2000, most_headers=20, most_body=most_body)
    found: list[tuple[str, bytes, bytes]] = []
    head = None
    body = b""
    for piece in pieces:
        parser.feed(piece)
        while True:
            if head is None:
                head = parser.head()
                if head is None:
                    break
                body = b""
            got = parser.body()
            if got is None:
                break
            body += got
            if parser.body_done:
                found.append((head.method, head.target, body))
                head = None
    return found


POST = b"POST /y HTTP/1.1\r\nhost: h\r\n"
SHAPES = {
    "both lengths": (400, POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    "signed length": (400, POST + b"content-length: +3\r\n\r\nabc"),
    "list of lengths": (400, POST + b"content-length: 3, 3\r\n\r\nabc"),
    "two codings": (400, POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "other coding": (400, POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "identity": (400, POST + b"transfer-encoding: identity\r\n\r\n"),
    "chunked in 1.0": (400, b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "folding": (400, b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n c\r\n\r\n"),
    "bare line feed": (400, b"GET / HTTP/1.1\nhost: h\n\n"),
    "bare line feed in a header": (400, b"GET / HTTP/1.1\r\nhost: h\na: b\r\n\r\n"),
    "bare carriage return": (400, b"GET / HTTP/1.1\r\nhost: h\ra: b\r\n\r\n"),
    "space before colon": (400, b"GET / HTTP/1.1\r\nhost : h\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nhost: h\r\nabc\r\n\r\n"),
    "null": (400, b"GET / HTTP/1.1\r\nhost: h\r\na: b\0c\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
    "bad method": (400, b"G\x01T / HTTP/1.1\r\nhost: h\r\n\r\n"),
    "bad target": (400, b"GET x HTTP/1.1\r\nhost: h\r\n\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\nhost: h\r\n\r\n"),
    "other version": (505, b"GET / HTTP/2.0\r\nhost: h\r\n\r\n"),
    "no version": (400, b"GET /\r\nhost: h\r\n\r\n"),
    "tls on a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "large head": (431, b"GET / HTTP/1.1\r\nhost: h\r\na: " + b"x" * 3000),
    "many headers": (431, b"GET / HTTP/1.1\r\nhost: h\r\n" + b"a: b\r\n" * 21 + b"\r\n"),
    "large body": (413, POST + b"content-length: 1001\r\n\r\n"),
    "large chunks": (413, POST + b"transfer-encoding: chunked\r\n\r\n3e9\r\n"),
    "expectation": (417, POST + b"expect: miracles\r\ncontent-length: 1\r\n\r\na"),
    **{
        f"chunk size {size!r}": (
            400,
            POST + b"transfer-encoding: chunked\r\n\r\n" + size + b"\r\nabc\r\n0\r\n\r\n",
        )
        for size in (b"-3", b"+3", b"0x3", b" 3", b"3 ", b"", b"g", b"f" * 17, b"3\n")
    },
    "chunk too long": (400, POST + b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_whatever_could_be_read_in_two_ways_is_refused(name: str) -> None:
    status, raw = SHAPES[name]
    with pytest.raises(BadRequest) as caught:
        parse(raw)
    assert caught.value.status == status


GOOD = (
    GET
    + b"\r\n"
    + POST
    + b"content-length: 3\r\n\r\nabc"
    + POST
    + b"transfer-encoding: chunked\r\n\r\n2;ext=1\r\nab\r\n1\r\nc\r\n0\r\ntrailer: x\r\n\r\n"
    + b"HEAD http://h/abs HTTP/1.1\r\nhost: h\r\n\r\n"
)


@given(cuts=st.sets(st.integers(1, len(GOOD) - 1), max_size=10))
def test_where_the_network_cuts_makes_no_difference(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(GOOD)]
    assert parse(*(GOOD[a:b] for a, b in itertools.pairwise(edges))) == [
        ("GET", b"/x", b""),
        ("POST", b"/y", b"abc"),
        ("POST", b"/y", b"abc"),
        ("HEAD", b"http://h/abs", b""),
    ]


@given(
    junk=st.binary(max_size=300),
    before=st.sampled_from([b"", GET, POST, POST + b"transfer-encoding: chunked\r\n\r\n"]),
)
def test_junk_is_only_ever_refused(junk: bytes, before: bytes) -> None:
    with suppress(BadRequest):
        parse(before + junk)


# --- connections --------------------------------------------------------------------------------


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['method']} {scope['path']} ".encode() + body})


@pytest.mark.parametrize(
    "line", [b"a: \0", b"a:" + b" " * 60_000 + b"\0", b" folded"], ids=["value", "spaces", "folded"]
)
def test_a_bad_line_after_many_good_ones_is_refused_at_once(line: bytes) -> None:
    parser = RequestParser(most_head=100_000, most_headers=100, most_body=0)
    parser.feed(b"GET / HTTP/1.1\r\nhost: h\r\n" + b"x: y\r\n" * 60 + line + b"\r\n\r\n")
    with cpu_limit(1.0), pytest.raises(BadRequest) as caught:
        parser.head()
    assert caught.value.status == 400


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

    async def client(path: str, nursery: trio.Nursery) -> None:
        ours, theirs = memory_stream_pair()
        nursery.start_soon(server.serve_connection, theirs)
        if path:
            await ours.send_all(f"GET /{path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
        answer = await read_all(ours)
        answers[path] = (trio.current_time(), answer)

    async def clients() -> None:
        async with trio.open_nursery() as nursery:
            for path in ("", "5", "50"):
                nursery.start_soon(client, path, nursery)
            await trio.sleep(1)
            await server.drain(11.0)

    await clients()
    assert answers[""] == (1, b"")
    assert answers["5"][0] == 5
    assert b"connection: close" in answers["5"][1]
    assert answers["50"] == (11, b"")


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
