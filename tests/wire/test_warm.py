"""Connections that are kept open in readiness."""

from __future__ import annotations

import itertools

import httpx
import pytest
import trio
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.wire.client import ClientLimits, TrioTransport
from llm_dispatcher.runtime.wire.client_errors import StaleConnection
from trio.testing import MockClock

from tests.wire.client_peers import OK, URL, answering, fetch, opened, playing, post, read_request

WHERE = httpx.URL(URL)


async def test_the_first_request_finds_a_connection_open(autojump_clock: MockClock) -> None:
    async with playing(answering(OK), dial_seconds=1) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial)
        nursery.start_soon(transport.keep_warm, WHERE, 2)
        await trio.sleep(5)
        assert (peer.open, transport.statistics().opened) == (2, 2)
        begun = trio.current_time()
        assert await fetch(transport) == (200, b"ok")
        assert trio.current_time() == begun
        assert transport.statistics().opened == 2
        nursery.cancel_scope.cancel()


async def test_they_are_replaced_before_they_expire_for_as_long_as_it_takes(
    autojump_clock: MockClock,
) -> None:
    async with playing(answering(OK)) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(idle_expiry=30))
        nursery.start_soon(transport.keep_warm, WHERE, 3)
        for _ in range(100):
            await trio.sleep(7.3)
            before = transport.statistics().opened
            assert await fetch(transport) == (200, b"ok")
            assert transport.statistics().opened == before, "a request had to open one itself"
            assert peer.open == opened(transport) == 3
        nursery.cancel_scope.cancel()


async def test_connections_in_use_count(autojump_clock: MockClock) -> None:
    async with playing(answering(OK[:-1])) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial)
        held = [await transport.handle_async_request(post()) for _ in range(2)]
        nursery.start_soon(transport.keep_warm, WHERE, 3)
        await trio.sleep(1)
        assert opened(transport) == 3
        for response in held:
            await response.aclose()
        nursery.cancel_scope.cancel()


async def test_no_request_waits_for_a_slot_because_of_them(autojump_clock: MockClock) -> None:
    """Only spare slots are used, and an idle connection makes room for one to elsewhere."""
    async with playing(answering(OK)) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=2))
        nursery.start_soon(transport.keep_warm, WHERE, 2)
        await trio.sleep(1)
        request = post(url="http://elsewhere.test/", timeout={"pool": 0.1})
        assert await fetch(transport, request) == (200, b"ok")
        await trio.sleep(100)
        assert peer.open == 2
        nursery.cancel_scope.cancel()


async def test_a_vendor_that_cannot_be_reached_is_tried_less_and_less_often(
    autojump_clock: MockClock,
) -> None:
    tries: list[float] = []

    async def dial(host: str, port: int) -> trio.abc.Stream:
        tries.append(trio.current_time())
        raise OSError("nobody there")

    transport = TrioTransport(dial=dial)
    with trio.move_on_after(3600):
        await transport.keep_warm(WHERE, 1)
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[:6] == [20, 40, 80, 160, 320, 320]
    assert transport.statistics().dialling == 0


@pytest.mark.parametrize("seconds", [0.5, 9.5, 10.5])
async def test_stopping_at_any_time_leaves_no_slot_behind(autojump_clock: MockClock, seconds: float) -> None:
    async with playing(answering(OK), dial_seconds=1) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=3))
        with trio.move_on_after(seconds):
            await transport.keep_warm(WHERE, 3)
        statistics = transport.statistics()
        assert (statistics.dialling, statistics.waiting) == (0, 0)
        assert peer.open == opened(transport)
        await transport.aclose()
        assert peer.open == 0


async def test_one_that_the_vendor_closed_meanwhile_is_stale(autojump_clock: MockClock) -> None:
    async def closes(stream: trio.abc.Stream) -> None:
        await read_request(stream)

    async with playing(closes) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial)
        nursery.start_soon(transport.keep_warm, WHERE, 1)
        await trio.sleep(1)
        with pytest.raises(StaleConnection):
            await fetch(transport)
        nursery.cancel_scope.cancel()


async def test_a_dispatcher_keeps_as_many_as_the_vendor_s_configuration_says() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    accepted = trio.Event()

    async def vendor(stream: trio.SocketStream) -> None:
        accepted.set()
        await stream.receive_some()

    vendor_table = {
        "name": "v",
        "base_url": f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1",
        "warm": 1,
        "models": [{"name": "m"}],
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, vendor, listeners)
        with trio.fail_after(5):
            async with Dispatcher.open({"vendors": [vendor_table]}):
                await accepted.wait()
        nursery.cancel_scope.cancel()
