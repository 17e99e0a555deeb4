"""The pool by itself, with connections that are only names; and under a storm of cancellations."""

import random

import httpx
import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.wire.client import ClientLimits, PoolOverflow, TrioTransport
from llm_dispatcher.runtime.wire.client_request import Origin
from llm_dispatcher.runtime.wire.pool import Pool
from trio.testing import MockClock

from tests.wire.client_peers import Peer, Script, busy, fetch, playing, post, read_request

A: Origin = ("http", b"a", 80)
B: Origin = ("http", b"b", 80)


class Named:
    """A connection that goes nowhere."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.expires_at = 0.0
        self.quiet = True
        self.closed = False

    def is_quiet(self) -> bool:
        return self.quiet

    def close(self) -> None:
        self.closed = True


def connect(pool: Pool[Named], origin: Origin = A) -> Named:
    assert pool.claim()
    connection = Named(origin)
    pool.adopt(connection)
    return connection


def test_the_connection_used_last_is_used_first() -> None:
    pool: Pool[Named] = Pool(ClientLimits())
    old, new = connect(pool), connect(pool)
    pool.release(old, now=1)
    pool.release(new, now=2)
    assert pool.take(A, now=3) is new
    assert pool.take(A, now=3) is old
    assert pool.take(A, now=3) is None
    assert pool.take(B, now=3) is None


def test_a_connection_is_kept_until_its_expiry_and_not_at_it() -> None:
    pool: Pool[Named] = Pool(ClientLimits(idle_expiry=10))
    connection = connect(pool)
    pool.release(connection, now=0)
    assert pool.take(A, now=9.9) is connection
    pool.release(connection, now=0)
    assert pool.take(A, now=10) is None
    assert connection.closed


def test_the_expired_are_dropped_when_another_is_released() -> None:
    pool: Pool[Named] = Pool(ClientLimits(idle_expiry=10))
    connections = [connect(pool) for _ in range(4)]
    for now, connection in enumerate(connections[:3]):
        pool.release(connection, now)
    pool.release(connections[3], now=11)
    assert [connection.closed for connection in connections] == [True, True, False, False]
    assert pool.statistics().origins["http://a:80"].idle == 2


def test_with_no_keep_alive_at_all_nothing_is_kept() -> None:
    pool: Pool[Named] = Pool(ClientLimits(idle_expiry=0))
    connection = connect(pool)
    pool.release(connection, now=5)
    assert connection.closed
    assert pool.statistics().origins == {}


def test_a_connection_that_is_no_longer_quiet_is_not_used_again() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool)
    pool.release(connection, now=0)
    connection.quiet = False
    assert pool.take(A, now=0) is None
    assert connection.closed
    assert pool.claim()


def test_no_more_than_the_limit_are_claimed_and_each_loss_makes_room() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=2))
    connection = connect(pool)
    assert pool.claim()
    assert not pool.claim()
    pool.forfeit()
    assert pool.claim()
    pool.discard(connection)
    pool.discard(connection)
    assert pool.claim()
    assert not pool.claim()


def test_an_idle_connection_to_elsewhere_gives_up_its_slot() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool, B)
    pool.release(connection, now=0)
    assert pool.claim()
    assert connection.closed


class Queue:
    """Tasks that wait for the pool, and what they got, in order."""

    def __init__(self, pool: Pool[Named], nursery: trio.Nursery) -> None:
        self.got: list[tuple[str, Named | None]] = []
        self._pool = pool
        self._nursery = nursery

    async def join(self, name: str, origin: Origin = A) -> trio.CancelScope:
        scope = trio.CancelScope()

        async def wait() -> None:
            with scope:
                self.got.append((name, await self._pool.wait(origin)))

        self._nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        return scope


async def test_whoever_waits_longest_is_served_first() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=2))
    first, second = connect(pool), connect(pool)
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        for name in ("x", "y", "z"):
            await queue.join(name)
        pool.release(first, now=0)
        await trio.testing.wait_all_tasks_blocked()
        pool.discard(second)
        await trio.testing.wait_all_tasks_blocked()
        assert queue.got == [("x", first), ("y", None)]
        assert pool.statistics().waiting == 1
        pool.forfeit()
    assert queue.got[2] == ("z", None)


async def test_one_who_waits_for_elsewhere_gets_the_slot_not_the_connection() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool, A)
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        await queue.join("x", B)
        pool.release(connection, now=0)
    assert queue.got == [("x", None)]
    assert connection.closed
    assert not pool.claim()


async def test_a_dying_connection_is_not_handed_over() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool)
    connection.quiet = False
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        await queue.join("x")
        pool.release(connection, now=0)
    assert queue.got == [("x", None)]


async def test_a_cancelled_waiter_leaves_and_the_next_is_served() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool)
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        scope = await queue.join("x")
        await queue.join("y")
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.statistics().waiting == 1
        pool.release(connection, now=0)
    assert queue.got == [("y", connection)]


@pytest.mark.parametrize("release_first", [False, True])
async def test_a_waiter_cancelled_at_the_moment_of_handing_over_loses_nothing(release_first: bool) -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1))
    connection = connect(pool)
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        scope = await queue.join("x")
        await queue.join("y")
        if release_first:
            pool.release(connection, now=0)
            scope.cancel()
        else:
            scope.cancel()
            pool.release(connection, now=0)
        await trio.testing.wait_all_tasks_blocked()
        # Served or cancelled, never both and never neither.
        assert queue.got == [("x" if release_first else "y", connection)]
        nursery.cancel_scope.cancel()
    pool.release(connection, now=0)
    assert pool.take(A, now=0) is connection


async def test_the_queue_is_bounded() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=1, max_waiting=2))
    connect(pool)
    async with trio.open_nursery() as nursery:
        queue = Queue(pool, nursery)
        await queue.join("x")
        await queue.join("y")
        with pytest.raises(PoolOverflow):
            await pool.wait(A)
        nursery.cancel_scope.cancel()
    assert pool.statistics().waiting == 0


async def test_closing_takes_the_busy_and_the_waiting_with_it() -> None:
    pool: Pool[Named] = Pool(ClientLimits(max_connections=2))
    held, idle = connect(pool, A), connect(pool, A)
    errors: list[str] = []

    async def wait() -> None:
        try:
            await pool.wait(B)
        except RuntimeError as error:
            errors.append(str(error))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        pool.close()
    assert len(errors) == 3
    pool.release(held, now=0)
    pool.discard(idle)
    assert held.closed
    assert idle.closed
    assert (pool.statistics().dialling, pool.statistics().origins) == (0, {})


def moody(rng: random.Random) -> Script:
    """A vendor that answers late, in pieces, sometimes not at all, and sometimes closes; all on ticks of 10 ms."""

    async def script(stream: trio.abc.Stream) -> None:
        while await read_request(stream):
            mood = rng.random()
            await trio.sleep(rng.randrange(4) / 100)
            if mood < 0.05:
                return
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
            await trio.sleep(rng.randrange(3) / 100)
            if mood < 0.1:
                return
            await stream.send_all(b"ok")
            if mood < 0.2:
                return

    return script


class Storm:
    """Requests that begin, are cancelled and time out on the same ticks, so that all of it coincides often."""

    def __init__(self, peer: Peer, rng: random.Random) -> None:
        self._peer = peer
        self._rng = rng
        self._storming = True
        self.transport = TrioTransport(
            dial=self._dial, limits=ClientLimits(max_connections=10, max_waiting=100)
        )
        self.ends: dict[str, int] = {}

    def calm(self, peer: Peer) -> None:
        """From now on every connection succeeds, and goes to `peer`."""
        self._peer = peer
        self._storming = False

    async def _dial(self, host: str, port: int) -> trio.abc.Stream:
        if not self._storming:
            return await self._peer.dial(host, port)
        mood = self._rng.random()
        await trio.sleep(self._rng.randrange(3) / 100)
        if mood < 0.1:
            raise OSError("refused")
        return await self._peer.dial(host, port)

    async def request(self) -> None:
        end = "cancelled"
        await trio.sleep(self._rng.randrange(150) / 100)
        patience = self._rng.choice([0.0, 0.01, 0.02, 0.03, 0.05, 10.0, 10.0])
        url = self._rng.choice(["http://a/", "http://a/", "http://a/", "http://b/"])
        with trio.move_on_after(patience):
            try:
                await fetch(
                    self.transport, post(url=url, timeout={"pool": 0.05, "read": 0.03, "connect": 0.02})
                )
                end = "answered"
            except httpx.TransportError as error:
                end = type(error).__name__
        self.ends[end] = self.ends.get(end, 0) + 1


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_cancellations_loses_no_slot(autojump_clock: MockClock, seed: int) -> None:
    rng = random.Random(seed)
    async with playing(moody(rng)) as peer:
        storm = Storm(peer, rng)
        async with trio.open_nursery() as nursery:
            for _ in range(2000):
                nursery.start_soon(storm.request)
        transport = storm.transport
        # The storm was one: each kind of end was met often.
        assert storm.ends["cancelled"] > 200
        assert storm.ends["answered"] > 200
        assert storm.ends["PoolTimeout"] > 20
        assert storm.ends["StaleConnection"] > 0
        statistics = transport.statistics()
        assert (busy(transport), statistics.dialling, statistics.waiting) == (0, 0, 0)
        assert peer.open == sum(origin.idle for origin in statistics.origins.values()) <= 10
        async with playing(_hold) as calm_peer:
            storm.calm(calm_peer)
            held = [await transport.handle_async_request(post(url="http://c/")) for _ in range(10)]
            with pytest.raises(httpx.PoolTimeout):
                await transport.handle_async_request(post(url="http://c/", timeout={"pool": 1}))
            for response in held:
                await response.aclose()
        await transport.aclose()
        assert peer.open == calm_peer.open == 0


async def _hold(stream: trio.abc.Stream) -> None:
    await read_request(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    await read_request(stream)


@pytest.mark.parametrize("limits", [{"max_connections": 0}, {"max_waiting": -1}, {"idle_expiry": -1.0}])
def test_limits_under_which_nothing_could_run_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no sense"):
        ClientLimits(**limits)
