"""Waiting for a connection of our own: it is our time and not the vendor's, and nothing has been sent."""

from __future__ import annotations

import httpx
import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Message, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.control import Plane, plane
from tests.fakes.scripted import ScriptedTransport, answer, hang, stream

HELLO = Request(model="m", messages=[Message("user", "hello")])
QUEUE = 7.0
TIMEOUTS = {"timeouts": {"first_token": 5}}


class Crowded(ScriptedTransport):
    """Has a connection free for each request only after some time, as the own transport would tell."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        waiting = request.extensions["waiting"]
        waiting(True)
        await trio.sleep(QUEUE)
        waiting(False)
        return await super().handle_async_request(request)


async def ask(house: Plane, *, streamed: bool, request: Request = HELLO) -> str:
    if not streamed:
        return (await house.send(request)).text
    async with house.stream(request) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_was_waited_for_our_own_connection_is_no_time_of_the_vendors(
    autojump_clock: MockClock, streamed: bool
) -> None:
    script = stream("hi", after=2) if streamed else answer("hi", after=2)
    async with plane(TIMEOUTS, a=Crowded(script)) as house:
        assert await ask(house, streamed=streamed) == "hi"
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert trio.current_time() == QUEUE + 2
    (settled,), (outcome,) = house.settled, house.outcomes
    assert (settled.fault, settled.seconds) == (None, 2)
    assert (outcome.seconds, outcome.request_seconds) == (2, QUEUE + 2)
    assert [each.latency for each in house.contents] == ([2] if streamed else [])
    assert outcome.first_token == (2 if streamed else None)


async def test_the_vendor_has_all_of_its_time_from_then_on_and_no_more(autojump_clock: MockClock) -> None:
    async with plane({**TIMEOUTS, "retry": {"attempts": 1}}, a=Crowded(hang())) as house:
        with pytest.raises(errors.DispatchError):
            await ask(house, streamed=True)
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == QUEUE + 5
    assert [(each.fault, each.seconds) for each in house.settled] == [(FaultClass.TTFT_TIMEOUT, 5)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("leaves", [False, True])
async def test_who_never_gets_a_connection_owes_nothing_and_blames_nobody(
    autojump_clock: MockClock, streamed: bool, leaves: bool
) -> None:
    async with plane(a=Crowded(answer())) as house:
        request = Request(model="m", messages=HELLO.messages, timeout=None if leaves else 3.0)
        if leaves:
            with trio.move_on_after(3):
                await ask(house, streamed=streamed, request=request)
        else:
            with pytest.raises(errors.DeadlinePassed) as caught:
                await ask(house, streamed=streamed, request=request)
            (record,) = caught.value.attempts
            assert (record.fault, record.bill) == ("local", "released")
            assert record.cost == 0
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert trio.current_time() == 3
    (settled,) = house.settled
    assert (settled.sent, settled.seconds) == (False, 0)
    assert settled.fault is (FaultClass.CLIENT_GONE if leaves else FaultClass.LOCAL)
