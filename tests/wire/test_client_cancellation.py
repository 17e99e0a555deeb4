"""Cancel a request at each of its steps in turn: whatever the step, nothing stays open and no slot is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.wire.client import ClientLimits, TrioTransport
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
from tests.wire.test_client_sockets import client_context, over_tls, server_context

STREAMED = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"2\r\nab\r\n",
    b"2\r\ncd\r\n0\r\n\r\n",
]


class CancelAtStep(trio.abc.Instrument):
    """Cancels `scope` once the watched task has been run `step` times."""

    def __init__(self, step: int) -> None:
        self.scope = trio.CancelScope()
        self.steps = 0
        self._step = step
        self._task: trio.lowlevel.Task | None = None

    def watch_this_task(self) -> None:
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.steps += 1
            if self.steps == self._step:
                self.scope.cancel()


class Parts(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(3):
            await trio.sleep(1)
            yield b"part"


async def streamed(transport: TrioTransport) -> None:
    response = await transport.handle_async_request(
        post(timeout={"read": 9, "write": 9, "connect": 9, "pool": 9})
    )
    try:
        assert b"".join([piece async for piece in response.aiter_raw()]) == b"abcd"
    finally:
        await response.aclose()


async def reused(transport: TrioTransport) -> None:
    await streamed(transport)
    await streamed(transport)


async def uploaded(transport: TrioTransport) -> None:
    response = await transport.handle_async_request(post(stream=Parts(), timeout={"read": 9, "write": 9}))
    try:
        await response.aread()
    finally:
        await response.aclose()


async def queued(transport: TrioTransport) -> None:
    async def blocker() -> None:
        held = await transport.handle_async_request(post())
        await trio.sleep(3)
        await held.aread()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(blocker)
        await trio.testing.wait_all_tasks_blocked()
        await streamed(transport)


async def answer_after_any_body(stream: trio.abc.Stream) -> None:
    """Takes bodies of either framing."""
    while True:
        data = b""
        while not data.endswith((b"{}", b"0\r\n\r\n")):
            more = await stream.receive_some()
            if not more:
                return
            data += more
        for part in STREAMED:
            await trio.sleep(1)
            await stream.send_all(part)


async def refuse_early(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    for part in (b"HTTP/1.1 429 Slow\r\nContent-Length: 4\r\n\r\n", b"no", b"no"):
        await trio.sleep(0.3)
        await stream.send_all(part)
    await hang(stream)


Scenario = Callable[[TrioTransport], Awaitable[None]]


async def cancel_at(
    scenario: Scenario, script: Callable[[trio.abc.Stream], Awaitable[None]], step: CancelAtStep
) -> bool:
    """Whether the scenario was cut short."""
    async with playing(script, dial_seconds=1) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1))
        with step.scope:
            step.watch_this_task()
            await scenario(transport)
        assert (busy(transport), transport.statistics().dialling, transport.statistics().waiting) == (0, 0, 0)
        assert peer.open == opened(transport) <= 1
        if peer.open == 0 or step.scope.cancelled_caught:
            await usable(transport, peer)
    return step.scope.cancelled_caught


async def usable(transport: TrioTransport, peer: Peer) -> None:
    """The only slot can be had at once."""
    response = await transport.handle_async_request(post(timeout={"pool": 0.5}))
    await response.aclose()


@pytest.mark.parametrize(
    ("scenario", "script"),
    [
        (streamed, answer_after_any_body),
        (reused, answer_after_any_body),
        (uploaded, answer_after_any_body),
        (uploaded, refuse_early),
        (queued, answer_after_any_body),
    ],
    ids=["streamed", "reused", "uploaded", "refused early", "queued"],
)
def test_a_cancellation_at_any_step_leaves_nothing_behind(
    scenario: Scenario, script: Callable[[trio.abc.Stream], Awaitable[None]]
) -> None:
    for number in range(1, 500):
        step = CancelAtStep(number)
        cut = trio.run(
            cancel_at, scenario, script, step, clock=MockClock(autojump_threshold=0), instruments=[step]
        )
        if not cut:
            break
    assert not cut
    assert number > 5


async def over_sockets(step: CancelAtStep, tls: bool) -> bool:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    left: list[bool] = []

    async def watched(stream: trio.abc.Stream) -> None:
        script = answering(*STREAMED)
        if tls:
            script = over_tls(script, SERVER_CONTEXT)
        try:
            await script(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            left.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, watched, [listener])
        transport = TrioTransport(ssl_context=CLIENT_CONTEXT)
        with step.scope:
            step.watch_this_task()
            url = f"{'https' if tls else 'http'}://localhost:{port}/"
            response = await transport.handle_async_request(
                post(url=url, timeout={"read": 9, "connect": 9, "write": 9})
            )
            try:
                assert await response.aread() == b"abcd"
            finally:
                await response.aclose()
        statistics = transport.statistics()
        assert (busy(transport), statistics.dialling) == (0, 0)
        if step.scope.cancelled_caught:
            assert opened(transport) == 0
        await transport.aclose()
        nursery.cancel_scope.cancel()
    return step.scope.cancelled_caught


SERVER_CONTEXT = server_context("localhost")
CLIENT_CONTEXT = client_context()


@pytest.mark.parametrize("tls", [False, True])
def test_a_cancellation_at_any_step_leaves_no_socket_behind(tls: bool) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(1, 500):
        step = CancelAtStep(number)
        if not trio.run(over_sockets, step, tls, instruments=[step]):
            break
    else:
        pytest.fail("it never came to its end")
    assert number > 5
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_two_tasks_may_cancel_and_finish_in_the_same_moment(autojump_clock: MockClock) -> None:
    async with playing(answering(OK, pause=1)) as peer:
        transport = TrioTransport(dial=peer.dial, limits=ClientLimits(max_connections=1))

        async def impatient() -> None:
            with trio.move_on_after(1):
                await fetch(transport)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(impatient)
        assert (busy(transport), transport.statistics().dialling, transport.statistics().waiting) == (0, 0, 0)
        assert await fetch(transport, post(timeout={"pool": 0.1})) == (200, b"ok")


async def test_a_deadline_around_a_request_needs_no_timeouts_of_its_own(autojump_clock: MockClock) -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await trio.sleep_forever()

    async with playing(silent) as peer:
        transport = TrioTransport(dial=peer.dial)
        with trio.move_on_after(7) as scope:
            await fetch(transport)
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(7)
        assert (peer.open, opened(transport)) == (0, 0)
