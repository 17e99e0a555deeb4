"""HTTP/2 towards vendors: shared connections, streams that end badly, windows, slots."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import h2.errors
import h2.settings
import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire.client_errors import NotProcessed, PoolOverflow, StaleConnection
from llm_dispatcher.runtime.wire.http2 import Http2Transport
from llm_dispatcher.runtime.wire.pool import ClientLimits
from trio.testing import MockClock

from tests.wire.client_peers import OK, MemoryStream, answering, post
from tests.wire.http2_peers import CLIENT, URL, Call, Vendor, contexts, playing

ErrorCodes = h2.errors.ErrorCodes
MOST_STREAMS = int(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS)


def transport_to(vendor: Vendor, **limits: float) -> Http2Transport:
    bounds = ClientLimits(**limits) if limits else ClientLimits()  # type: ignore[arg-type]
    return Http2Transport(dial=vendor.dial, ssl_context=CLIENT, limits=bounds)


async def fetch(transport: Http2Transport, body: bytes = b"{}", **timeout: float) -> tuple[int, bytes]:
    response = await transport.handle_async_request(post(body, url=URL, timeout={**timeout}))
    try:
        return response.status_code, await response.aread()
    finally:
        await response.aclose()


def idle(transport: Http2Transport) -> bool:
    """Whether nothing is under way and nothing waits."""
    statistics = transport.statistics()
    return (statistics.dialling, statistics.waiting) == (0, 0) and not any(
        origin.busy for origin in statistics.origins.values()
    )


async def echo(call: Call) -> None:
    await call.whole.wait()
    await call.answer(b"%b %b %b" % (call.headers[b":method"], call.headers[b":path"], bytes(call.body)))


async def silent(_call: Call) -> None:
    await trio.sleep_forever()


async def test_requests_at_once_share_one_connection(autojump_clock: MockClock) -> None:
    async def slow(call: Call) -> None:
        await trio.sleep(1)
        await echo(call)

    async with playing(slow, dial_seconds=1) as vendor:
        transport = transport_to(vendor)
        answers: list[tuple[int, bytes]] = []

        async def one(number: int) -> None:
            answers.append(await fetch(transport, b"%d" % number))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(one, number)
        assert trio.current_time() == 2
        assert sorted(answers) == sorted((200, b"POST /v1/chat %d" % number) for number in range(50))
        assert transport.statistics().opened == len(vendor.sides) == 1
        assert idle(transport)
        await transport.aclose()
        assert vendor.open == 0


async def test_what_http_2_has_no_place_for_is_left_out_and_the_rest_arrives(
    autojump_clock: MockClock,
) -> None:
    async with playing(echo) as vendor:
        transport = transport_to(vendor)
        headers = [
            (b"Host", b"other"),
            (b"Connection", b"keep-alive"),
            (b"X-Team", b" search "),
            (b"TE", b"gzip"),
        ]
        response = await transport.handle_async_request(post(b"", url=URL, headers=headers))
        assert await response.aread() == b"POST /v1/chat "
        assert (response.http_version, response.headers["x-a"]) == ("HTTP/2", "b")
        (call,) = vendor.calls
        assert call.headers == {
            b":method": b"POST", b":authority": b"other", b":scheme": b"https", b":path": b"/v1/chat", b"x-team": b"search",
        }  # fmt: skip
        await transport.aclose()


async def test_a_request_that_http_2_does_not_allow_is_refused_here(autojump_clock: MockClock) -> None:
    async with playing(echo) as vendor:
        transport = transport_to(vendor)
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(post(url=URL, headers=[(b"x a", b"1")]))
        assert await fetch(transport) == (200, b"POST /v1/chat {}")
        assert idle(transport)
        await transport.aclose()


async def test_pieces_arrive_when_they_are_sent(autojump_clock: MockClock) -> None:
    async def dripping(call: Call) -> None:
        await call.head()
        for number in range(3):
            await trio.sleep(1)
            await call.data(b"%d" % number, end=number == 2)

    async with playing(dripping) as vendor:
        transport = transport_to(vendor)
        response = await transport.handle_async_request(post(url=URL))
        arrivals = [(piece, trio.current_time()) async for piece in response.aiter_raw()]
        assert arrivals == [(b"0", 1.0), (b"1", 2.0), (b"2", 3.0)]
        await transport.aclose()


async def test_a_caller_that_leaves_ends_its_own_stream_and_no_other(autojump_clock: MockClock) -> None:
    async def endless(call: Call) -> None:
        await call.head()
        for _ in range(20):
            await trio.sleep(1)
            await call.data(b"x")
        await call.data(b"!", end=True)

    async with playing(endless) as vendor:
        transport = transport_to(vendor)
        bodies: list[bytes] = []

        async def stays() -> None:
            bodies.append((await fetch(transport))[1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stays)
            await trio.sleep(0.5)
            with trio.move_on_after(5):
                await fetch(transport)
            await trio.testing.wait_all_tasks_blocked()
            assert [call.reset for call in vendor.calls] == [None, ErrorCodes.CANCEL]
        assert bodies == [b"x" * 20 + b"!"]
        assert idle(transport)
        await transport.aclose()


@pytest.mark.slow
async def test_answers_that_were_broken_off_use_up_no_window(autojump_clock: MockClock) -> None:
    """All of them together are more than the connection's window: were it not given back, the last answer would stall."""

    async def large(call: Call) -> None:
        await call.whole.wait()
        await call.answer(bytes(200_000 if call.body == b"part" else 1_000_000))

    async with playing(large) as vendor:
        transport = transport_to(vendor)
        for number in range(150):
            response = await transport.handle_async_request(post(b"part", url=URL, timeout={"read": 5}))
            await trio.testing.wait_all_tasks_blocked()
            if number % 2:
                await anext(aiter(response.stream))  # type: ignore[arg-type]
            await response.aclose()
        assert len((await fetch(transport, b"whole", read=5))[1]) == 1_000_000
        assert len(vendor.sides) == 1
        await transport.aclose()


async def test_a_reader_that_does_not_read_holds_up_only_its_own_answer(autojump_clock: MockClock) -> None:
    async def large(call: Call) -> None:
        await call.whole.wait()
        await call.answer(bytes(3_000_000))

    async with playing(large) as vendor:
        transport = transport_to(vendor)
        held = await transport.handle_async_request(post(url=URL))
        await trio.sleep(1)
        assert vendor.sides[0].sent <= 300_000
        assert len((await fetch(transport, read=5))[1]) == 3_000_000
        assert len(await held.aread()) == 3_000_000
        await transport.aclose()


async def test_a_large_body_goes_through_the_vendors_window(autojump_clock: MockClock) -> None:
    async def count(call: Call) -> None:
        await call.whole.wait()
        await call.answer(b"%d" % len(call.body))

    class Parts(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(4):
                await trio.sleep(1)
                yield bytes(100_000)

    async with playing(count) as vendor:
        transport = transport_to(vendor)
        assert await fetch(transport, bytes(2_000_000), write=5, read=5) == (200, b"2000000")
        response = await transport.handle_async_request(post(url=URL, stream=Parts()))
        assert await response.aread() == b"400000"
        await transport.aclose()


async def test_a_refusal_ends_the_writing(autojump_clock: MockClock) -> None:
    async def refuse(call: Call) -> None:
        await call.answer(b"too large", 413)

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await trio.sleep(0.01)
                yield bytes(10_000)

    async with playing(refuse) as vendor:
        transport = transport_to(vendor)
        response = await transport.handle_async_request(post(url=URL, stream=Endless()))
        assert (response.status_code, await response.aread()) == (413, b"too large")
        await trio.testing.wait_all_tasks_blocked()
        assert vendor.calls[0].reset == ErrorCodes.NO_ERROR
        assert idle(transport)
        await transport.aclose()


@pytest.mark.parametrize(
    ("code", "begun", "error"),
    [
        (ErrorCodes.REFUSED_STREAM, False, NotProcessed),
        (ErrorCodes.INTERNAL_ERROR, False, httpx.ReadError),
        (ErrorCodes.INTERNAL_ERROR, True, httpx.ReadError),
        (ErrorCodes.CANCEL, True, httpx.ReadError),
    ],
)
async def test_a_stream_that_the_vendor_breaks_off_is_never_a_whole_answer(
    autojump_clock: MockClock, code: ErrorCodes, begun: bool, error: type[Exception]
) -> None:
    async def breaks(call: Call) -> None:
        if begun:
            await call.head()
            await call.data(b"part")
            await trio.sleep(1)
        await call.break_off(code)

    async with playing(breaks) as vendor:
        transport = transport_to(vendor)
        with pytest.raises(error, match="refused" if error is NotProcessed else code.name):
            await fetch(transport)
        assert idle(transport)
        assert vendor.open == 1, "the connection itself is well"
        await transport.aclose()


async def test_a_vendor_that_goes_away_ends_what_it_began_and_the_rest_is_told_apart(
    autojump_clock: MockClock,
) -> None:
    async def slow(call: Call) -> None:
        await call.head()
        await trio.sleep(3)
        await call.data(b"whole", end=True)

    async with playing(slow) as vendor:
        transport = transport_to(vendor)
        ends: list[object] = []

        async def one() -> None:
            try:
                ends.append(await fetch(transport))
            except httpx.TransportError as error:
                ends.append(type(error))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)
            await trio.sleep(1)
            await vendor.sides[0].go_away(last=3)
            await trio.testing.wait_all_tasks_blocked()
            assert ends == [NotProcessed]
            nursery.start_soon(one)
            await trio.sleep(1)
            assert len(vendor.sides) == 2, "nothing new begins on the first"
        assert ends == [NotProcessed] + [(200, b"whole")] * 3
        assert vendor.open == 1, "the first has been closed"
        await transport.aclose()


async def test_an_idle_connection_that_the_vendor_closed_is_not_used(autojump_clock: MockClock) -> None:
    async with playing(echo) as vendor:
        transport = transport_to(vendor)
        await fetch(transport)
        await vendor.sides[0].hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert await fetch(transport) == (200, b"POST /v1/chat {}")
        assert len(vendor.sides) == 2
        await transport.aclose()


async def test_an_idle_connection_is_not_used_after_its_expiry(autojump_clock: MockClock) -> None:
    async with playing(echo) as vendor:
        transport = transport_to(vendor, idle_expiry=10)
        for pause, connections in ((0, 1), (9, 1), (11, 2)):
            await trio.sleep(pause)
            await fetch(transport)
            assert (len(vendor.sides), vendor.open) == (connections, 1)
        await transport.aclose()


async def test_who_asks_for_a_fresh_connection_gets_none_that_was_idle(autojump_clock: MockClock) -> None:
    async with playing(echo) as vendor:
        transport = transport_to(vendor)
        await fetch(transport)
        request = post(url=URL)
        request.extensions["fresh"] = True
        response = await transport.handle_async_request(request)
        await response.aread()
        assert len(vendor.sides) == 2
        await transport.aclose()


@pytest.mark.parametrize(("carried", "error"), [(0, httpx.ReadError), (1, StaleConnection)])
async def test_a_connection_that_closes_without_a_byte_is_stale_if_it_was_used_before(
    autojump_clock: MockClock, carried: int, error: type[Exception]
) -> None:
    async def hangs_up(call: Call) -> None:
        if len(call.side.calls) <= carried:
            await echo(call)
            return
        await trio.sleep(1)
        await call.side.hang_up()

    async with playing(hangs_up) as vendor:
        transport = transport_to(vendor)
        for _ in range(carried):
            await fetch(transport)
        await trio.sleep(1)
        with pytest.raises(error):
            await fetch(transport)
        assert idle(transport)
        await transport.aclose()


@pytest.mark.parametrize(
    "junk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 20, bytes(9) + b"\0\0\x01\x09\0\0\0\0\x01x"]
)
async def test_what_is_no_http_2_is_an_error_of_the_vendors(autojump_clock: MockClock, junk: bytes) -> None:
    async def babbles(call: Call) -> None:
        await call.side.say(junk)

    async with playing(babbles) as vendor:
        transport = transport_to(vendor)
        with pytest.raises(httpx.RemoteProtocolError, match="connection lost"):
            await fetch(transport, read=5)
        assert (idle(transport), vendor.open) == (True, 0)
        await transport.aclose()


async def test_a_connection_lost_in_the_middle_fails_all_that_it_carried(autojump_clock: MockClock) -> None:
    async def half(call: Call) -> None:
        await call.head()
        await call.data(b"half")

    async with playing(half) as vendor:
        transport = transport_to(vendor)
        responses = [await transport.handle_async_request(post(url=URL)) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        await vendor.sides[0].hang_up()
        for response in responses:
            pieces = response.aiter_raw()
            assert await anext(pieces) == b"half"
            with pytest.raises(httpx.ReadError):
                await anext(pieces)
        assert idle(transport)
        await transport.aclose()


async def test_a_way_that_leads_nowhere_any_more_is_left(autojump_clock: MockClock) -> None:
    """Nothing at all was heard since the request went out: the next one takes another connection."""
    async with playing(silent) as vendor:
        transport = transport_to(vendor)
        for number in (1, 2):
            with pytest.raises(httpx.ReadTimeout):
                await fetch(transport, read=3)
            assert (trio.current_time(), len(vendor.sides), vendor.open) == (3 * number, number, 0)
        await transport.aclose()


async def test_a_slow_answer_among_quick_ones_costs_no_connection(autojump_clock: MockClock) -> None:
    async def some(call: Call) -> None:
        await call.whole.wait()
        if call.body == b"slow":
            await trio.sleep_forever()
        await call.answer()

    async with playing(some) as vendor, trio.open_nursery() as nursery:
        transport = transport_to(vendor)

        async def slow() -> None:
            with pytest.raises(httpx.ReadTimeout):
                await fetch(transport, b"slow", read=3)

        nursery.start_soon(slow)
        for _ in range(10):
            await trio.sleep(1)
            assert await fetch(transport) == (200, b"ok")
        assert len(vendor.sides) == 1
        await transport.aclose()


async def test_each_step_has_its_own_timeout(autojump_clock: MockClock) -> None:
    async with playing(silent, dial_seconds=10) as vendor:
        transport = transport_to(vendor)
        with pytest.raises(httpx.ConnectTimeout):
            await fetch(transport, connect=5)
        assert trio.current_time() == 5
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, connect=11, read=2)
        assert trio.current_time() == 17
        assert idle(transport)
        await transport.aclose()


async def test_more_requests_than_a_connection_takes_open_another(autojump_clock: MockClock) -> None:
    async def slow(call: Call) -> None:
        await trio.sleep(1)
        await call.answer()

    async with playing(slow, settings={MOST_STREAMS: 2}) as vendor:
        transport = transport_to(vendor)
        assert await fetch(transport) == (200, b"ok")
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(fetch, transport)
        assert len(vendor.sides) == 3
        assert [len(side.calls) for side in vendor.sides] == [3, 2, 1]
        await transport.aclose()


async def test_no_more_requests_than_allowed_are_under_way_and_few_wait(autojump_clock: MockClock) -> None:
    async with playing(silent) as vendor, trio.open_nursery() as nursery:
        transport = transport_to(vendor, max_connections=2, max_waiting=1)
        for _ in range(2):
            nursery.start_soon(fetch, transport)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(httpx.PoolTimeout):
            await fetch(transport, pool=1)
        assert trio.current_time() == 1
        nursery.start_soon(fetch, transport)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(PoolOverflow):
            await fetch(transport, pool=1)
        assert trio.current_time() == 1
        assert len(vendor.calls) == 2
        nursery.cancel_scope.cancel()


async def test_a_vendor_that_does_not_speak_it_is_spoken_to_in_http_1_1(autojump_clock: MockClock) -> None:
    _, server = contexts("http/1.1")
    dialled: list[str | None] = []

    async def dial(_host: str, _port: int) -> trio.abc.Stream:
        mine, theirs = trio.testing.memory_stream_pair()

        async def serve() -> None:
            secured = trio.SSLStream(theirs, server, server_side=True, https_compatible=True)
            await secured.do_handshake()
            dialled.append(secured.selected_alpn_protocol())
            await answering(OK)(secured)

        nursery.start_soon(serve)
        return MemoryStream(mine)

    async with trio.open_nursery() as nursery:
        transport = Http2Transport(dial=dial, ssl_context=CLIENT)
        for _ in range(3):
            assert await fetch(transport) == (200, b"ok")
        assert len(dialled) == 2, "one to learn it, one to use"
        nursery.cancel_scope.cancel()
        await transport.aclose()


async def test_a_connection_kept_warm_is_there_before_the_first_request(autojump_clock: MockClock) -> None:
    async with playing(echo, dial_seconds=1) as vendor, trio.open_nursery() as nursery:
        transport = transport_to(vendor, idle_expiry=30)
        nursery.start_soon(transport.keep_warm, httpx.URL(URL), 5)
        await trio.sleep(100)
        begun = trio.current_time()
        assert await fetch(transport) == (200, b"POST /v1/chat {}")
        assert trio.current_time() == begun
        assert vendor.open == 1
        nursery.cancel_scope.cancel()
        await transport.aclose()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_a_storm_of_cancellations_loses_no_slot_and_no_connection(
    autojump_clock: MockClock, seed: int
) -> None:
    rng = random.Random(seed)

    async def moody(call: Call) -> None:
        mood = rng.random()
        await trio.sleep(rng.randrange(4) / 100)
        if mood < 0.03:
            await call.side.hang_up()
        elif mood < 0.06:
            await call.side.go_away(call.id)
        elif mood < 0.1:
            await call.break_off(ErrorCodes.REFUSED_STREAM)
        if mood >= 0.06:
            await call.head()
            await trio.sleep(rng.randrange(3) / 100)
            await call.data(b"ok", end=True)

    ends: dict[str, int] = {}
    async with playing(moody, dial_seconds=0.01, settings={MOST_STREAMS: 5}) as vendor:
        transport = transport_to(vendor, max_connections=20, max_waiting=100)

        async def one() -> None:
            end = "cancelled"
            await trio.sleep(rng.randrange(100) / 100)
            with trio.move_on_after(rng.choice([0.0, 0.01, 0.02, 0.03, 0.05, 10.0, 10.0])):
                try:
                    await fetch(transport, pool=0.05, read=0.03, connect=0.05)
                    end = "answered"
                except httpx.TransportError as error:
                    end = type(error).__name__
            ends[end] = ends.get(end, 0) + 1

        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(one)
        assert min(ends["cancelled"], ends["answered"], ends["NotProcessed"]) > 10, ends
        assert idle(transport)
        # Every slot is there again.
        async with playing(silent) as calm, trio.open_nursery() as nursery:
            transport._connector._dial = calm.dial
            for connection in list(transport._live):
                connection.close()
            for _ in range(20):
                nursery.start_soon(fetch, transport)
            await trio.testing.wait_all_tasks_blocked()
            assert len(calm.calls) == 20
            with pytest.raises(httpx.PoolTimeout):
                await fetch(transport, pool=1)
            nursery.cancel_scope.cancel()
        await transport.aclose()
        assert vendor.open == calm.open == 0
