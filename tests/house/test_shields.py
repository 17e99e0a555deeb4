"""What is shielded from cancellation ends by itself: nobody is kept waiting by a peer that does not let go."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request
from llm_dispatcher.runtime.detached import Background
from trio.testing import MockClock

from tests.fakes.control import plane
from tests.fakes.scripted import ScriptedTransport, config, hang, stream

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=60)
NEVER = 1000.0
"""Seconds that a peer takes to let go: far longer than anybody should wait, and no endless wait for a test."""


class Clinging(httpx.AsyncByteStream):
    """The body of another, whose end, or whose connection's, takes an age."""

    def __init__(self, body: httpx.AsyncByteStream, *, endless: bool) -> None:
        self._body = body
        self._endless = endless

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece
        if self._endless:
            await trio.sleep(NEVER)

    async def aclose(self) -> None:
        await self._body.aclose()
        if not self._endless:
            await trio.sleep(NEVER)


class ClingingTransport(ScriptedTransport):
    """A scripted vendor whose connections take an age to close; or, if it is `endless`, whose answers do to end."""

    endless = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = Clinging(response.stream, endless=self.endless)
        return response

    async def aclose(self) -> None:
        await trio.sleep(NEVER)


async def test_a_vendor_that_sends_its_last_event_and_no_end_keeps_nobody_waiting(
    autojump_clock: MockClock,
) -> None:
    a = ClingingTransport(stream("one"))
    a.endless = True
    async with plane(a=a) as house:
        async with house.stream(HELLO) as events:
            async for _ in events:
                pass
        assert trio.current_time() <= 1
        house.assert_at_rest()


@pytest.mark.parametrize("seconds", [0.5, 5.0], ids=["left in the middle", "read to the end"])
async def test_a_connection_that_does_not_close_keeps_nobody_waiting(
    autojump_clock: MockClock, seconds: float
) -> None:
    a = ClingingTransport(stream("one", "two", gap=0.3))
    async with plane(a=a) as house:
        with trio.move_on_after(seconds):
            async with house.stream(HELLO) as events:
                async for _ in events:
                    pass
        assert trio.current_time() <= min(seconds, 2.4) + 1
        house.assert_at_rest()


async def test_work_in_the_background_that_does_not_end_keeps_the_house_from_nothing(
    autojump_clock: MockClock,
) -> None:
    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(NEVER)

    background = Background()
    async with trio.open_nursery() as nursery:
        await nursery.start(background.run)
        background.start(stubborn)
        await trio.testing.wait_all_tasks_blocked()
        await background.stop(1.0)
        assert trio.current_time() == 1.0


async def test_a_way_out_that_does_not_close_does_not_keep_the_house_open(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as left:
        async with Dispatcher.open(config("a"), transports={"a": ClingingTransport(hang())}):
            left.cancel()
    assert trio.current_time() <= 2


async def test_a_house_that_is_not_cancelled_closes_in_time_as_well(autojump_clock: MockClock) -> None:
    async with Dispatcher.open(config("a"), transports={"a": ClingingTransport(hang())}):
        pass
    assert trio.current_time() <= 2
