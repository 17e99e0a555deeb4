"""A vendor's silence over the dispatcher's own transport, which keeps the time of each wait itself."""

from __future__ import annotations

import pytest
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta, errors
from llm_dispatcher.runtime.wire.client import TrioTransport
from trio.testing import MockClock

from tests.fakes.scripted import answer, config, piece
from tests.wire.client_peers import playing, read_request

HELLO = Request(model="m", messages=[Message("user", "hello")])
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PATIENCE = {"first_token": "20s", "between_tokens": "9s"}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def listen(dispatcher: Dispatcher, pause: float = 0.0) -> list[str]:
    seen: list[str] = []
    async with dispatcher.stream(HELLO) as events:
        async for event in events:
            seen += [event.text] if isinstance(event, TextDelta) else []
            await trio.sleep(pause)
    return seen


async def test_pings_do_not_put_off_the_end_of_patience(autojump_clock: MockClock) -> None:
    async def pings(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + chunk(piece("one")))
        while True:
            await trio.sleep(2)
            await stream.send_all(chunk(b": ping\n\n"))

    async with playing(pings) as peer:
        transport = TrioTransport(dial=peer.dial)
        async with Dispatcher.open(config("a", timeouts=PATIENCE), transports={"a": transport}) as dispatcher:
            with pytest.raises(errors.StreamTruncated) as caught:
                await listen(dispatcher)
            assert trio.current_time() == 9
            assert peer.open == 0
    assert caught.value.kind.value == "stalled"


async def test_every_content_begins_the_wait_anew(autojump_clock: MockClock) -> None:
    async def steady(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            await stream.send_all(HEAD)
            for number in range(10):
                await trio.sleep(4.5)
                await stream.send_all(chunk(piece(str(number))))
            await stream.send_all(chunk(piece(None, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async with playing(steady) as peer:
        transport = TrioTransport(dial=peer.dial)
        async with Dispatcher.open(config("a", timeouts=PATIENCE), transports={"a": transport}) as dispatcher:
            assert await listen(dispatcher) == [str(number) for number in range(10)]
            # A caller who takes his time between two events uses up none of the vendor's.
            assert len(await listen(dispatcher, pause=30)) == 10
            assert transport.statistics().opened == 1


async def test_silence_before_the_first_content_ends_on_time(autojump_clock: MockClock) -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + chunk(piece("")))
        await trio.sleep_forever()

    async with playing(silent) as peer:
        transport = TrioTransport(dial=peer.dial)
        async with Dispatcher.open(config("a", timeouts=PATIENCE), transports={"a": transport}) as dispatcher:
            with pytest.raises(errors.TimedOut):
                await listen(dispatcher)
            assert trio.current_time() == 20


async def test_a_connection_that_proves_stale_is_replaced_by_a_fresh_one(autojump_clock: MockClock) -> None:
    async def once(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        body = answer("hi").pieces[0]
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await read_request(stream)

    async with playing(once) as peer:
        transport = TrioTransport(dial=peer.dial)
        settings = config("a", retry={"attempts": 1, "budget": 0.0, "floor": 0.0})
        async with Dispatcher.open(settings, transports={"a": transport}) as dispatcher:
            faults = [[each.fault for each in (await dispatcher.send(HELLO)).attempts] for _ in range(3)]
    assert faults == [[None], ["stale_connection", None], ["stale_connection", None]]
    assert len(peer.streams) == 3
