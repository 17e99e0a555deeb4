"""HTTP of both sides, server-sent events, lines, and Google's array of elements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import trio
from llm_dispatcher.runtime.dialects.formats.generate_content.elements import ElementSplitter
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.wire.client_parser import ResponseParser
from llm_dispatcher.runtime.wire.eventstream import CorruptMessage, EventStreamDecoder, OversizedMessage
from llm_dispatcher.runtime.wire.ndjson import LineSplitter, OversizedLine
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from llm_dispatcher.runtime.wire.server_connection import ServerConnection
from llm_dispatcher.runtime.wire.server_parser import BadRequest, RequestParser
from llm_dispatcher.runtime.wire.sse import OversizedEvent, SSEDecoder
from trio.testing import MockClock, memory_stream_pair

from tests.wire.client_peers import busy, fetch, opened, playing, post

from . import seeds
from .guard import held
from .target import Target, pieces_of

__all__ = ["targets"]

_LIMIT: Final = 2000
"""A small limit, so that cases reach it."""
_OVERHEAD: Final = 64
"""Bytes of memory that a byte of input may hold: what arrives one by one is kept in objects."""


def targets() -> Iterator[Target]:
    """One for each parser, and one for each side's whole connection."""
    server = "tests/wire/test_server_parser.py"
    yield Target("http-requests", "http", lambda: seeds.REQUESTS, check_requests, home=server)
    yield Target("server-connection", "http", lambda: seeds.REQUESTS, check_server, home=server, slow=True)
    yield Target(
        "http-responses",
        "http",
        lambda: seeds.RESPONSES,
        check_responses,
        home="tests/wire/test_client_parser.py",
    )
    yield Target(
        "client-connection",
        "http",
        lambda: seeds.RESPONSES,
        check_client,
        home="tests/wire/test_client_transport.py",
        slow=True,
    )
    yield Target("sse", "sse", _every_stream, check_sse, home="tests/wire/test_sse.py")
    yield Target(
        "eventstream",
        "frames",
        lambda: seeds.streams("converse"),
        check_frames,
        home="tests/wire/test_eventstream.py",
    )
    yield Target("ndjson", "bytes", _lines, check_lines, home="tests/wire/test_client_ndjson.py")
    yield Target(
        "elements",
        "json",
        _arrays,
        check_elements,
        home="tests/runtime/dialects/test_generate_content_answers.py",
    )


def _every_stream() -> list[bytes]:
    return [
        stream
        for spoken in ("chat_completions", "messages", "generate_content", "cohere_chat")
        for stream in seeds.streams(spoken)
    ]


def _lines() -> list[bytes]:
    return [b'{"a": 1}\n{"b": 2}\r\n\n{"c": 3}', b"\r\r\n\n", b"x" * 1990 + b"\n"]


def _arrays() -> list[bytes]:
    return [json.dumps([{"a": '[{\\"}]'}, {"b": [1, [2]]}, "x", 5]).encode(), b'{"a": 1}\r\n{"b": 2}', b"[]"]


def same_for_every_cut(case: bytes, run: Callable[[list[bytes]], Any]) -> Any:
    """What `run` makes of the case, which must not depend on where the network cut it."""
    whole: Any = None
    for number, pieces in enumerate(pieces_of(case)):
        found = run(pieces)
        if number == 0:
            whole = found
        assert found == whole, f"cut into {[len(piece) for piece in pieces][:40]} it reads differently"
    return whole


# --- requests -----------------------------------------------------------------------------------


def check_requests(case: bytes) -> None:
    """A request is read or refused, the same in every cut; nothing but `BadRequest` is raised."""
    same_for_every_cut(case, _requests)


def _requests(pieces: list[bytes]) -> tuple[object, ...]:
    parser = RequestParser(most_head=_LIMIT, most_headers=20, most_body=_LIMIT)
    found: list[object] = []
    head, body = None, b""
    try:
        for piece in pieces:
            parser.feed(piece)
            while True:
                if head is None:
                    head = parser.head()
                    if head is None:
                        break
                    assert head.length is None or 0 <= head.length <= _LIMIT
                got = parser.body()
                if got is None:
                    break
                body += got
                assert len(body) <= _LIMIT, "more body than the limit allows"
                if parser.body_done:
                    found.append((head, body))
                    head, body = None, b""
            assert parser.buffered <= len(piece) + _LIMIT + 9000, "bytes pile up"
    except BadRequest as refusal:
        assert 400 <= refusal.status < 600
        return (*found, "refused")
    return (*found, head, body)


async def _app(scope: Mapping[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    body = b""
    while scope["method"] == "POST":
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 \d\d\d [^\r\n]*\r\n")


class _LoudServer(Server):
    """Does not keep the crash of a connection to itself."""

    async def serve_connection(self, stream: trio.abc.Stream) -> None:
        await ServerConnection(self, stream, None, None).run()


def check_server(case: bytes) -> None:
    """A connection answers or refuses what it is sent, and ends once the client has left."""
    for pieces in list(pieces_of(case))[:2]:
        trio.run(_serve, pieces, clock=MockClock(autojump_threshold=0))


async def _serve(pieces: list[bytes]) -> None:
    server = _LoudServer(_app, ServerLimits(head=_LIMIT, body=_LIMIT, headers=20))
    client, accepted = memory_stream_pair()
    with trio.fail_after(300):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_pieces, client, pieces)
            nursery.start_soon(_receive_all, client)
            await server.serve_connection(accepted)
            nursery.cancel_scope.cancel()
    assert server.in_flight == 0


async def _send_pieces(client: trio.StapledStream[Any, Any], pieces: list[bytes]) -> None:
    try:
        for piece in pieces:
            await client.send_all(piece)
        await client.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _receive_all(client: trio.StapledStream[Any, Any]) -> None:
    received = b""
    try:
        while piece := await client.receive_some(65_536):
            received += piece
    except trio.BrokenResourceError:
        pass
    assert not received or _STATUS_LINE.match(received), "what was answered is not HTTP"


# --- responses ----------------------------------------------------------------------------------


def check_responses(case: bytes) -> None:
    """A response is read or refused, the same in every cut; nothing but `RemoteProtocolError` is raised."""
    same_for_every_cut(case, _response)


def _response(pieces: list[bytes]) -> object:
    parser = ResponseParser()
    body = b""
    try:
        for piece in pieces:
            parser.feed(piece)
            got = parser.take()
            assert len(got) <= len(piece), "more came out than went in"
            body += got
            if parser.complete:
                break
        if not parser.complete:
            parser.end()
    except httpx.RemoteProtocolError:
        return "refused"
    assert 200 <= parser.status <= 999
    return parser.status, parser.version, parser.headers, body


def check_client(case: bytes) -> None:
    """A request that is answered so ends: with an answer or a transport error, and with nothing left open."""
    for pieces in list(pieces_of(case))[:2]:
        trio.run(_exchange, pieces, clock=MockClock(autojump_threshold=0))


async def _exchange(pieces: list[bytes]) -> None:
    async def script(stream: trio.abc.Stream) -> None:
        await stream.receive_some(70_000)
        for piece in pieces:
            await stream.send_all(piece)

    async with playing(script) as peer:
        transport = TrioTransport(dial=peer.dial)
        for _ in range(2):
            with trio.fail_after(60):
                request = post(b"x", timeout={"read": 5, "write": 5, "connect": 5, "pool": 5})
                try:
                    status, _ = await fetch(transport, request)
                    assert status >= 200
                except httpx.TransportError:
                    pass
            assert busy(transport) == 0
        assert opened(transport) == peer.open


# --- events, lines, elements --------------------------------------------------------------------


def check_sse(case: bytes) -> None:
    """Events come out the same in every cut, none longer than the limit; what is held is bounded."""

    def run(pieces: list[bytes]) -> object:
        decoder = SSEDecoder(_LIMIT)
        events = []
        try:
            for piece in pieces:
                events += decoder.feed(piece)
                assert all(len(event.data) <= _LIMIT for event in events)
            residue = decoder.close()
        except OversizedEvent:
            return events, "oversized"
        assert held(decoder) < _OVERHEAD * _LIMIT
        return events, residue, decoder.comments, decoder.last_event_id, decoder.retry

    same_for_every_cut(case, run)


def check_frames(case: bytes) -> None:
    """The same messages in every cut, each within the limit; nothing but the two refusals is raised."""
    same_for_every_cut(case, _frames)


def _frames(pieces: list[bytes]) -> list[object]:
    decoder = EventStreamDecoder(_LIMIT)
    found: list[object] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
            assert held(decoder) <= _OVERHEAD * (len(piece) + _LIMIT), "bytes pile up"
        found.append(decoder.close())
    except (CorruptMessage, OversizedMessage) as refusal:
        found.append(str(refusal))
    return found


def check_lines(case: bytes) -> None:
    """Lines come out the same in every cut, none longer than the limit, and they add up to the body."""

    def run(pieces: list[bytes]) -> object:
        splitter = LineSplitter(_LIMIT)
        lines = []
        try:
            for piece in pieces:
                lines += splitter.feed(piece)
            last = splitter.close()
        except OversizedLine:
            return lines, "oversized"
        assert held(splitter) < _OVERHEAD * _LIMIT
        return lines, last

    lines, last = same_for_every_cut(case, run)
    assert all(line and len(line) <= _LIMIT for line in lines)
    if last != "oversized":
        expected = [line.removesuffix(b"\r") for line in case.split(b"\n")]
        assert [*lines, *([last] if last else [])] == [line for line in expected if line]


def check_elements(case: bytes) -> None:
    """Elements come out the same in every cut, none longer than the limit, and each begins as an object or a list."""

    def run(pieces: list[bytes]) -> object:
        splitter = ElementSplitter(_LIMIT)
        elements = [element for piece in pieces for element in splitter.feed(piece)]
        assert all(len(element) <= _LIMIT and element[:1] in (b"{", b"[") for element in elements)
        assert held(splitter) < _OVERHEAD * _LIMIT
        return elements, splitter.oversized or (splitter.ended, splitter.close())

    same_for_every_cut(case, run)
