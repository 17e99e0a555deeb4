"""The transport against scripted vendors over memory streams, in virtual time."""

import math
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.wire.client import ClientLimits, PoolOverflow, StaleConnection, TrioTransport
from trio.testing import MockClock

from tests.wire.client_peers import (
    OK,
    Peer,
    answering,
    busy,
    fetch,
    hang,
    opened,
    playing,
    post,
    read_request,
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello,\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"
)


class Parts(httpx.AsyncByteStream):
    """A request body in parts, `pause` seconds apart."""

    def __init__(self, *parts: bytes, pause: float = 0) -> None:
        self._parts = parts
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            await trio.sleep(self._pause)
            yield part


async def test_an_exchange_gives_status_headers_and_body() -> None:
    async with playing(
        answering(b"HTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok")
    ) as peer:
        transport = TrioTransport(dial=peer.dial)
        response = await transport.handle_async_request(post())
        assert await response.aread() == b"ok"
        assert (response.status_code, response.http_version) == (201, "HTTP/1.1")
        assert response.headers.get_list("x-a") == ["1", "2"]


async def test_it_serves_an_ordinary_httpx_client() -> None:
    async with playing(answering(OK)) as peer:
        async with httpx.AsyncClient(transport=TrioTransport(dial=peer.dial)) as client:
            assert (await client.post("http://vendor.test/", json={})).text == "ok"
            async with client.stream("GET", "http://vendor.test/") as response:
                assert [piece async for piece in response.aiter_raw()] == [b"ok"]
        assert len(peer.streams) == 1
        assert peer.open == 0


async def test_a_connection_is_used_again_and_counted() -> None:
    async with playing(answering(CHUNKED)) as peer:
        transport = TrioTransport(dial=peer.dial)
        for _ in range(5):
            assert await fetch(transport) == (200, b"hello, world")
        statistics = transport.statistics()
        assert (statistics.opened, statistics.reused, peer.open) == (1, 4, 1)
        assert statistics.origins["http://vendor.test:80"].idle == 1
        await transport.aclose()
        assert peer.open == 0


async def test_a_cut_at_any_byte_of_a_chunked_response_makes_no_difference() -> None:
    for cut in range(1, len(CHUNKED)):
        async with playing(answering(CHUNKED[:cut], CHUNKED[cut:])) as peer:
            transport = TrioTransport(dial=peer.dial)
            assert await fetch(transport) == (200, b"hello, world")
            assert (busy(transport), peer.open) == (0, 1)


async def test_an_end_at_any_byte_is_an_error_and_never_a_short_answer() -> None:
    for end in range(len(CHUNKED)):
        async with playing(
            answering(CHUNKED[:end], then_close=True) if end else _close_after_request
        ) as peer:
            transport = TrioTransport(dial=peer.dial)
            with pytest.raises(httpx.RemoteProtocolError) as caught:
                await fetch(transport)
            assert not isinstance(caught.value, StaleConnection)
            assert caught.value.request.method == "POST"
            assert (opened(transport), peer.open) == (0, 0)


async def _close_after_request(stream: trio.abc.Stream) -> None:
    await read_request(stream)


async def test_pieces_arrive_when_they_are_sent(autojump_clock: MockClock) -> None:
    head, *rest = CHUNKED.partition(b"6\r\n")
    async with playing(answering(head, b"".join(rest)[:11], b"".join(rest)[11:], pause=1)) as peer:
        response = await TrioTransport(dial=peer.dial).handle_async_request(post())
        assert trio.current_time() == pytest.approx(1)
        times = [(trio.current_time(), piece) async for piece in response.aiter_raw()]
        assert times == [(2, b"hello,"), (3, b" world")]


async def test_a_connection_whose_answer_said_close_is_closed() -> None:
    async with playing(
        answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    ) as peer:
        transport = TrioTransport(dial=peer.dial)
        assert await fetch(transport) == (200, b"ok")
        assert (opened(transport), peer.open) == (0, 0)


async def test_a_request_that_asks_to_close_is_the_last() -> None:
    async with playing(answering(OK)) as peer:
        transport = TrioTransport(dial=peer.dial)
        await fetch(transport, post(headers=[(b"Connection", b"close")]))
        assert peer.open == 0


async def test_closing_a_response_early_closes_its_connection_at_once() -> None:
    async with playing(answering(CHUNKED[:60])) as peer:
        transport = TrioTransport(dial=peer.dial)
        response = await transport.handle_async_request(post())
        await response.aclose()
        assert (opened(transport), peer.open) == (0, 0)
        with pytest.raises(httpx.StreamClosed):
            [piece async for piece in response.stream]  # type: ignore[union-attr]  # it is an async stream


async def test_a_body_until_the_end_of_the_connection_is_read_to_there() -> None:
    async with playing(answering(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd", then_close=True)) as peer:
        transport = TrioTransport(dial=peer.dial)
        assert await fetch(transport) == (200, b"abcd")
        assert opened(transport) == 0


async def test_interim_responses_are_skipped() -> None:
    async with playing(
        answering(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 X\r\nA: b\r\n\r\n" + OK)
    ) as peer:
        response = await TrioTransport(dial=peer.dial).handle_async_request(post())
        assert (response.status_code, dict(response.headers)) == (200, {"content-length": "2"})


async def test_unasked_bytes_after_an_answer_end_the_connection() -> None:
    async with playing(answering(OK + OK)) as peer:
        transport = TrioTransport(dial=peer.dial)
        assert await fetch(transport) == (200, b"ok")
        assert peer.open == 0


async def test_a_reused_connection_that_closes_without_a_byte_is_stale() -> None:
    async def once(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)

    async with playing(once) as peer:
        transport = TrioTransport(dial=peer.dial)
        await fetch(transport)
        with pytest.raises(StaleConnection):
            await fetch(transport)
        assert (opened(transport), peer.open) == (0, 0)


async def test_who_asks_for_a_fresh_connection_gets_none_that_was_idle() -> None:
    async with playing(answering(OK)) as peer:
        transport = TrioTransport(dial=peer.dial)
        await fetch(transport)
        request = post()
        request.extensions["fresh"] = True
        assert await fetch(transport, request) == (200, b"ok")
        assert len(peer.streams) == 2
        # Afterwards it is kept like any other.
        await fetch(transport)
        assert (len(peer.streams), opened(transport)) == (2, 2)


async def test_a_reused_connection_that_closes_after_a_byte_is_not_stale() -> None:
    async def once(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)
        await read_request(stream)
        await stream.send_all(b"H")

    async with playing(once) as peer:
        transport = TrioTransport(dial=peer.dial)
        await fetch(transport)
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await fetch(transport)
        assert not isinstance(caught.value, StaleConnection)


async def test_an_idle_connection_is_not_used_after_its_expiry(autojump_clock: MockClock) -> None:
    async with playing(answering(OK)) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(idle_expiry=10))
        await fetch(transport)
        await trio.sleep(9)
        await fetch(transport)
        assert len(peer.streams) == 1
        await trio.sleep(10)
        await fetch(transport)
        assert (len(peer.streams), peer.open) == (2, 1)


@pytest.mark.parametrize(
    ("timeout", "error", "seconds"),
    [
        ({"connect": 2.0}, httpx.ConnectTimeout, 2),
        ({"connect": 7.0, "read": 3.0}, httpx.ReadTimeout, 5 + 3),
        ({"connect": None, "read": 0.0}, httpx.ReadTimeout, 5),
    ],
)
async def test_each_step_has_its_own_timeout(
    autojump_clock: MockClock, timeout: dict[str, float | None], error: type[Exception], seconds: float
) -> None:
    async with playing(hang, dial_seconds=5) as peer:
        transport = TrioTransport(dial=peer.dial)
        with pytest.raises(error):
            await fetch(transport, post(timeout=timeout))
        assert trio.current_time() == pytest.approx(seconds)
        assert (peer.open, transport.statistics().dialling) == (0, 0)


async def test_without_a_timeout_it_waits(autojump_clock: MockClock) -> None:
    async with playing(answering(OK, pause=1e6), dial_seconds=1e6) as peer:
        assert await fetch(TrioTransport(dial=peer.dial)) == (200, b"ok")


async def test_a_peer_that_takes_nothing_is_a_write_timeout(autojump_clock: MockClock) -> None:
    mine, _theirs = trio.testing.lockstep_stream_pair()

    async def dial(host: str, port: int) -> trio.abc.Stream:
        return mine

    for body in (b"x", b"x" * 100_000):
        with pytest.raises(httpx.WriteTimeout):
            await fetch(TrioTransport(dial=dial), post(body, timeout={"write": 4}))
        mine, _theirs = trio.testing.lockstep_stream_pair()
    assert trio.current_time() == pytest.approx(8)


async def test_the_read_timeout_is_for_each_piece_not_for_the_whole(autojump_clock: MockClock) -> None:
    async with playing(answering(*(CHUNKED[i : i + 1] for i in range(len(CHUNKED))), pause=3)) as peer:
        transport = TrioTransport(dial=peer.dial)
        assert await fetch(transport, post(timeout={"read": 4})) == (200, b"hello, world")
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, post(timeout={"read": 2}))
        assert peer.open == 0


async def test_a_stall_in_the_body_is_a_read_timeout(autojump_clock: MockClock) -> None:
    async def stall(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(CHUNKED[:60])
        await trio.sleep(math.inf)

    async with playing(stall) as peer:
        transport = TrioTransport(dial=peer.dial)
        response = await transport.handle_async_request(post(timeout={"read": 5}))
        with pytest.raises(httpx.ReadTimeout) as caught:
            await response.aread()
        assert caught.value.request.url.host == "vendor.test"
        assert (opened(transport), peer.open) == (0, 0)


async def test_no_free_connection_in_time_is_a_pool_timeout(autojump_clock: MockClock) -> None:
    async with playing(hang) as peer, trio.open_nursery() as others:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1, max_waiting=1))
        others.start_soon(fetch, transport)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(httpx.PoolTimeout) as caught:
            await fetch(transport, post(timeout={"pool": 3}))
        assert not isinstance(caught.value, PoolOverflow)
        assert trio.current_time() == pytest.approx(3)
        others.start_soon(fetch, transport)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(PoolOverflow):
            await fetch(transport, post(timeout={"pool": 3}))
        assert trio.current_time() == pytest.approx(3)
        others.cancel_scope.cancel()


async def test_who_waits_for_a_connection_is_told_when_that_begins_and_ends(
    autojump_clock: MockClock,
) -> None:
    told: dict[str, list[tuple[bool, float]]] = {"first": [], "second": []}

    async def one(transport: TrioTransport, name: str) -> None:
        request = post()
        request.extensions["waiting"] = lambda waits: told[name].append((waits, trio.current_time()))
        await fetch(transport, request)

    async with playing(answering(OK, pause=2)) as peer, trio.open_nursery() as nursery:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1))
        nursery.start_soon(one, transport, "first")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one, transport, "second")
    assert told == {"first": [], "second": [(True, 0), (False, pytest.approx(2))]}


async def test_a_connection_elsewhere_that_is_idle_makes_room() -> None:
    async with playing(answering(OK)) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1))
        for url in ("http://a/", "http://b/", "http://b:81/", "http://a/"):
            assert await fetch(transport, post(url=url)) == (200, b"ok")
        assert (len(peer.streams), peer.open) == (4, 1)


async def test_an_unreachable_peer_is_a_connect_error_and_costs_no_slot() -> None:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        raise ConnectionRefusedError(f"{host}:{port}")

    transport = TrioTransport(dial=dial, limits=ClientLimits(max_connections=1))
    for _ in range(3):
        with pytest.raises(httpx.ConnectError):
            await fetch(transport)
    assert transport.statistics().dialling == 0


async def test_a_stream_that_cannot_be_closed_at_once_is_refused() -> None:
    class Slow(trio.abc.ReceiveStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            raise trio.ClosedResourceError

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    async def dial(host: str, port: int) -> trio.abc.Stream:
        return trio.StapledStream(trio.testing.MemorySendStream(), Slow())

    with pytest.raises(TypeError, match="closed without waiting"):
        await fetch(TrioTransport(dial=dial))


async def test_a_closed_transport_refuses_requests_and_ends_those_under_way() -> None:
    async with playing(hang) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1))
        ends: list[type[BaseException]] = []

        async def watch() -> None:
            try:
                await fetch(transport)
            except (httpx.ReadError, RuntimeError) as error:
                ends.append(type(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            await transport.aclose()
        assert sorted(end.__name__ for end in ends) == ["ReadError", "RuntimeError"]
        assert (peer.open, transport.statistics().dialling, transport.statistics().waiting) == (0, 0, 0)
        with pytest.raises(RuntimeError):
            await fetch(transport)


async def test_a_transport_closed_while_dialling_keeps_nothing_open(autojump_clock: MockClock) -> None:
    async with playing(answering(OK), dial_seconds=5) as peer:
        transport = TrioTransport(dial=peer.dial)

        async def close_soon() -> None:
            await trio.sleep(1)
            await transport.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close_soon)
            with pytest.raises(RuntimeError):
                await fetch(transport)
        assert (peer.open, transport.statistics().dialling) == (0, 0)


async def test_a_streamed_body_arrives_chunked_and_in_order() -> None:
    received = bytearray()

    async def script(stream: trio.abc.Stream) -> None:
        while not received.endswith(b"0\r\n\r\n"):
            received.extend(await stream.receive_some())
        await stream.send_all(OK)

    async with playing(script) as peer:
        transport = TrioTransport(dial=peer.dial)
        assert await fetch(transport, post(stream=Parts(b"hello", b"", b"world!"))) == (200, b"ok")
        assert received.endswith(b"\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n")
        assert peer.open == 1


async def test_a_large_body_arrives_whole() -> None:
    bodies: list[bytes] = []

    async def script(stream: trio.abc.Stream) -> None:
        bodies.append((await read_request(stream)).partition(b"\r\n\r\n")[2])
        await stream.send_all(OK)

    body = bytes(range(256)) * 2000
    async with playing(script) as peer:
        assert await fetch(TrioTransport(dial=peer.dial), post(body)) == (200, b"ok")
    assert bodies == [body]


@pytest.mark.parametrize("parts", [(b"abc",), (b"abc", b"def")])
async def test_a_body_that_does_not_keep_its_length_is_our_fault(parts: tuple[bytes, ...]) -> None:
    async with playing(hang) as peer:
        transport = TrioTransport(dial=peer.dial)
        with pytest.raises(httpx.LocalProtocolError):
            await fetch(transport, post(stream=Parts(*parts), headers=[(b"Content-Length", b"5")]))
        assert (opened(transport), peer.open) == (0, 0)


async def test_an_error_of_the_body_itself_reaches_the_caller_as_it_is() -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            raise FileNotFoundError("the file has gone")

    async with playing(hang) as peer:
        transport = TrioTransport(dial=peer.dial)
        with pytest.raises(FileNotFoundError):
            await fetch(transport, post(stream=Broken()))
        assert peer.open == 0


async def _refuse(stream: trio.abc.Stream) -> None:
    await stream.receive_some(1000)
    await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\ntoo")
    await trio.sleep(1)
    await stream.send_all(b" big")
    await trio.sleep(math.inf)


async def test_a_refusal_while_we_still_write_is_read(autojump_clock: MockClock) -> None:
    async with playing(_refuse) as peer:
        transport = TrioTransport(dial=peer.dial)
        endless = Parts(*[b"x"] * 100, pause=1)
        assert await fetch(transport, post(stream=endless, timeout={"write": 5, "read": 5})) == (
            413,
            b"too big",
        )
        assert trio.current_time() < 5
        assert (opened(transport), peer.open) == (0, 0)


async def test_a_good_answer_that_begins_early_does_not_end_our_writing(autojump_clock: MockClock) -> None:
    received = bytearray()

    async def eager(stream: trio.abc.Stream) -> None:
        received.extend(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received.extend(await stream.receive_some())
        await stream.send_all(b"ok")

    async with playing(eager) as peer:
        transport = TrioTransport(dial=peer.dial)
        body = Parts(b"a", b"b", b"c", pause=1)
        assert await fetch(transport, post(stream=body, timeout={"read": 2})) == (200, b"ok")
        assert received.endswith(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")


async def test_a_peer_that_leaves_while_we_write_is_an_error_at_once(autojump_clock: MockClock) -> None:
    async def leave(stream: trio.abc.Stream) -> None:
        await stream.receive_some(100)

    async with playing(leave) as peer:
        transport = TrioTransport(dial=peer.dial)
        with pytest.raises(httpx.TransportError):
            await fetch(transport, post(stream=Parts(*[b"x"] * 1000, pause=1)))
        assert trio.current_time() < 5
        assert peer.open == 0


async def test_two_hundred_requests_at_once_share_ten_connections(autojump_clock: MockClock) -> None:
    async with playing(answering(CHUNKED[:50], CHUNKED[50:], pause=1)) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=10))
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(fetch, transport)
        assert trio.current_time() == pytest.approx(2 * 200 / 10)
        assert (len(peer.streams), busy(transport)) == (10, 0)


async def test_peers_of_one_transport_are_told_apart_in_the_statistics() -> None:
    async def statistics(peer: Peer) -> dict[str, tuple[int, int, int]]:
        transport = TrioTransport(dial=peer.dial)
        await fetch(transport, post(url="http://a/"))
        held = await transport.handle_async_request(post(url="http://b/", timeout={}))
        counts = {
            name: (one.open, one.idle, one.busy) for name, one in transport.statistics().origins.items()
        }
        await held.aclose()
        return counts

    async with playing(answering(CHUNKED[:60], CHUNKED[60:])) as peer:
        counts = await statistics(peer)
    assert counts == {"http://a:80": (1, 1, 0), "http://b:80": (1, 0, 1)}
