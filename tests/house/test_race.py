"""Hedging: a second vendor is asked when the first is slow, and the first answer wins."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Message, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.control import Leasing, Plane, plane
from tests.fakes.scripted import Script, ScriptedTransport, answer, hang, piece, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")], hedge=True)
GENEROUS: dict[str, Any] = {"hedging": {"share": 1.0, "dollars": 1000}, "retry": {"budget": 1.0}}


def vendors(*scripts: Script | Callable[[], Script]) -> dict[str, ScriptedTransport]:
    return {name: ScriptedTransport(script) for name, script in zip("abcde", scripts, strict=False)}


async def texts(plane: Plane, request: Request = HELLO) -> list[str]:
    async with plane.stream(request) as events:
        return [event.text async for event in events if isinstance(event, TextDelta)]


async def at_rest(house: Plane) -> None:
    await trio.testing.wait_all_tasks_blocked()
    house.assert_at_rest()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_slow_vendor_is_overtaken_by_another(autojump_clock: MockClock, streamed: bool) -> None:
    make = stream if streamed else answer
    scripts = vendors(make("slow", after=30), make("quick", after=1))
    async with plane(GENEROUS, Leasing(hedge_after=2.0), **scripts) as house:
        found = "".join(await texts(house)) if streamed else (await house.send(HELLO)).text
        assert trio.current_time() == 3
        await at_rest(house)
        assert scripts["a"].open == 0
    assert found == "quick"
    assert [transport.sent[0][0] for transport in scripts.values()] == [0, 2]
    loser, winner = house.outcomes
    assert (loser.deployment, loser.superseded, loser.last) == ("a/m", True, False)
    assert (winner.deployment, winner.superseded, winner.last, winner.fault) == ("b/m", False, True, None)
    assert loser.spent.input_tokens > 0
    assert loser.spent.estimated
    assert house.settled[0].fault is FaultClass.CLIENT_GONE
    assert house.routes[1].hedge == "a"
    assert "a/m" in house.routes[1].tried


async def test_a_quick_vendor_has_no_company(autojump_clock: MockClock) -> None:
    scripts = vendors(answer("first", after=1.9), answer("second"))
    async with plane(GENEROUS, Leasing(hedge_after=2.0), **scripts) as house:
        assert (await house.send(HELLO)).text == "first"
        await at_rest(house)
    assert len(house.leases) == 1


async def test_the_first_may_still_win(autojump_clock: MockClock) -> None:
    scripts = vendors(answer("first", after=3), answer("second", after=30))
    async with plane(GENEROUS, Leasing(hedge_after=2.0), **scripts) as house:
        reply = await house.send(HELLO)
        assert trio.current_time() == 3
        await at_rest(house)
    assert reply.text == "first"
    assert [record.superseded for record in reply.attempts] == [True, False]
    assert reply.cost == sum([record.cost or Decimal(0) for record in reply.attempts], Decimal(0))
    assert reply.attempts[0].cost != 0


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_45_when_both_answer_at_once_one_is_taken_and_both_are_booked(
    autojump_clock: MockClock, seed: int, streamed: bool
) -> None:
    del seed  # The order in which trio runs tasks that wake at once is random: several tries meet both.
    make = stream if streamed else answer
    scripts = vendors(make("one", after=3), make("two", after=1))
    async with plane(GENEROUS, Leasing(hedge_after=2.0), **scripts) as house:
        found = "".join(await texts(house)) if streamed else (await house.send(HELLO)).text
        assert trio.current_time() == 3
        await at_rest(house)
    assert found in ("one", "two")
    assert len(house.settled) == len(house.outcomes) == 2
    assert sorted(outcome.superseded for outcome in house.outcomes) == [False, True]
    assert all(outcome.spent.input_tokens > 0 for outcome in house.outcomes)


async def test_a_loser_that_had_its_answer_ready_is_paid_exactly(autojump_clock: MockClock) -> None:
    seen = set()
    for _ in range(20):
        scripts = vendors(answer("one", after=3), answer("two", after=1))
        async with plane(GENEROUS, Leasing(hedge_after=2.0), **scripts) as house:
            reply = await house.send(HELLO)
        seen |= {(record.superseded, record.bill) for record in reply.attempts}
    assert (False, "settled") in seen
    assert seen <= {(False, "settled"), (True, "settled"), (True, "estimated")}


async def test_a_failure_before_the_time_is_an_ordinary_failover(autojump_clock: MockClock) -> None:
    async with plane(GENEROUS, Leasing(hedge_after=2.0), **vendors(status(500), answer("ok"))) as house:
        assert (await house.send(HELLO)).text == "ok"
        assert trio.current_time() == 0
        await at_rest(house)
    assert house.routes[1].hedge is None


@pytest.mark.parametrize("first_fails", [True, False])
async def test_when_one_of_two_fails_the_other_goes_on(autojump_clock: MockClock, first_fails: bool) -> None:
    fails, answers = Script(after=3, error=None, status=500, pieces=[b"{}"]), answer("ok", after=5)
    scripts = vendors(fails, answers) if first_fails else vendors(answers, fails)
    async with plane(GENEROUS, Leasing(hedge_after=1.0), **scripts) as house:
        reply = await house.send(HELLO)
        await at_rest(house)
    assert reply.text == "ok"
    assert [record.fault for record in reply.attempts] == ["server_error", None]
    assert not any(record.superseded for record in reply.attempts)


async def test_when_both_fail_the_third_attempt_is_the_last(autojump_clock: MockClock) -> None:
    fails = Script(after=3, status=500, pieces=[b"{}"])
    async with plane(
        GENEROUS, Leasing(hedge_after=1.0), **vendors(fails, fails, status(503), answer())
    ) as house:
        with pytest.raises(errors.Overloaded) as caught:
            await house.send(HELLO)
        await at_rest(house)
    assert [record.fault for record in caught.value.attempts] == [
        "server_error",
        "server_error",
        "overloaded",
    ]


async def test_a_fault_of_the_callers_own_ends_the_race(autojump_clock: MockClock) -> None:
    bad = Script(after=3, status=400, pieces=[b'{"error":{"message":"bad"}}'])
    async with plane(GENEROUS, Leasing(hedge_after=1.0), **vendors(bad, answer(after=60))) as house:
        with pytest.raises(errors.RequestRejected):
            await house.send(HELLO)
        assert trio.current_time() == 3
        await at_rest(house)
    assert sorted(outcome.superseded for outcome in house.outcomes) == [False, True]


@pytest.mark.parametrize(
    ("settings", "leasing", "request_"),
    [
        (GENEROUS, {"hedge_after": None}, HELLO),
        (GENEROUS, {"hedge_after": 1.0, "desperate": True}, HELLO),
        (GENEROUS, {"hedge_after": 1.0}, Request(model="m", messages=HELLO.messages)),
        (GENEROUS, {"hedge_after": 1.0}, Request(model="m", messages=HELLO.messages, hedge=False)),
        ({**GENEROUS, "hedging": {"share": 0.0}}, {"hedge_after": 1.0}, HELLO),
        ({**GENEROUS, "hedging": {"dollars": 0}}, {"hedge_after": 1.0}, HELLO),
        ({**GENEROUS, "retry": {"budget": 0.0, "floor": 0.0}}, {"hedge_after": 1.0}, HELLO),
        ({**GENEROUS, "retry": {"attempts": 1}}, {"hedge_after": 1.0}, HELLO),
    ],
    ids=[
        "no experience",
        "panic",
        "not wanted",
        "declined",
        "no hedges",
        "no money",
        "no retries",
        "no attempts",
    ],
)
async def test_no_hedge_where_it_is_not_allowed(
    autojump_clock: MockClock, settings: dict[str, Any], leasing: dict[str, Any], request_: Request
) -> None:
    async with plane(
        settings, Leasing(**leasing), **vendors(answer("slow", after=30), answer("quick"))
    ) as house:
        assert (await house.send(request_)).text == "slow"
        await at_rest(house)
    assert len(house.leases) == 1


async def test_a_route_can_allow_it_for_all_its_requests(autojump_clock: MockClock) -> None:
    settings = {**GENEROUS, "routes": [{"name": "quick", "targets": ["m"], "hedge": True}]}
    scripts = vendors(answer("slow", after=30), answer("quick"))
    async with plane(settings, Leasing(hedge_after=1.0), **scripts) as house:
        assert (await house.send(Request(model="quick", messages=HELLO.messages))).text == "quick"
        assert (await house.send(Request(model="m", messages=HELLO.messages))).text == "slow"


async def test_hedges_stay_within_their_share(autojump_clock: MockClock) -> None:
    scripts = vendors(answer("slow", after=5), answer("quick"))
    settings = {**GENEROUS, "hedging": {"share": 0.05, "dollars": 1000}}
    async with plane(settings, Leasing(hedge_after=1.0), **scripts) as house:
        for _ in range(100):
            await house.send(HELLO)
    # One, and one for every twenty requests so far.
    assert len(house.leases) - 100 == 6


async def test_where_there_is_no_second_vendor_the_first_is_waited_for(autojump_clock: MockClock) -> None:
    async with plane(GENEROUS, Leasing(hedge_after=1.0), **vendors(answer("slow", after=30))) as house:
        assert (await house.send(HELLO)).text == "slow"
        await at_rest(house)


async def test_the_deadline_ends_a_race_too(autojump_clock: MockClock) -> None:
    request = Request(model="m", messages=HELLO.messages, hedge=True, timeout=10)
    async with plane(GENEROUS, Leasing(hedge_after=1.0), **vendors(hang(), hang())) as house:
        with pytest.raises(errors.DeadlinePassed) as caught:
            await house.send(request)
        assert trio.current_time() == 10
        await at_rest(house)
    assert [record.fault for record in caught.value.attempts] == ["ttft_timeout", "ttft_timeout"]


async def test_after_the_first_content_nobody_is_asked(autojump_clock: MockClock) -> None:
    slow = Script(pieces=[piece("a"), piece("b"), piece(None, "stop"), b"data: [DONE]\n\n"], gap=12)
    scripts = vendors(slow, stream("other"))
    async with plane(GENEROUS, Leasing(hedge_after=13.0), **scripts) as house:
        assert await texts(house) == ["a", "b"]
    assert len(house.leases) == 1
