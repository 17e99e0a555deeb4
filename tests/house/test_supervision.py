"""Actors that crash in the running house: what is remembered, who notices, and when it is given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.policies import Candidate, View
from llm_dispatcher.actors.supervisor import RestartsExhausted
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.control import until
from tests.fakes.scripted import ScriptedTransport, answer, config, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=30)


async def crash(house: Dispatcher, vendor: str) -> None:
    """Send the vendor's actor a letter that it cannot read, and wait for its next life."""
    crashes = house.actors()[f"vendor {vendor}"].crashes
    house._mailboxes[f"vendor {vendor}"].tell(object())  # type: ignore[arg-type]  # that is the point
    await until(lambda: house.actors()[f"vendor {vendor}"].crashes > crashes)
    await until(lambda: house.actors()[f"vendor {vendor}"].state != "restarting")


def limited(**limits: Any) -> dict[str, Any]:
    written = config("a")
    written["vendors"][0]["limits"] = limits
    return written


async def test_a_restart_does_not_fill_a_bucket(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(answer())
    async with Dispatcher.open(limited(requests_per_minute=60, burst=0.05), transports={"a": a}) as house:
        for _ in range(3):
            await house.send(HELLO)
        sent = [when for when, _ in a.sent]
        await crash(house, "a")
        await house.send(HELLO)
    # Three at once are all there is; the fourth waits its second, whatever has crashed meanwhile.
    assert a.sent[3][0] >= sent[0] + 1


async def test_a_restart_does_not_end_a_cooldown(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(status(429, headers={"retry-after": "20"}), answer())
    async with Dispatcher.open({**config("a"), "retry": {"attempts": 1}}, transports={"a": a}) as house:
        with pytest.raises(errors.RateLimited):
            await house.send(HELLO)
        refused = trio.current_time()
        await crash(house, "a")
        assert 0 < (await house.standing())["a"].deployments["a/m"].closed_for <= 20
        await house.send(HELLO)
    assert a.sent[1][0] >= refused + 20


async def test_a_request_under_way_does_not_notice_that_its_vendors_actor_crashes(
    autojump_clock: MockClock,
) -> None:
    a = ScriptedTransport(answer(after=5))
    async with (
        Dispatcher.open(limited(concurrent=1), transports={"a": a}) as house,
        trio.open_nursery() as callers,
    ):
        callers.start_soon(house.send, HELLO)
        await trio.sleep(1)
        await crash(house, "a")
        assert (await house.standing())["a"].deployments["a/m"].in_flight == 1
        await trio.sleep(5)
        assert (await house.standing())["a"].deployments["a/m"].in_flight == 0


def sick(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """A policy with a mistake that some requests bring to light."""
    if view.route.model == "m" and (view.route.user or "").startswith("poison"):
        raise RuntimeError("this policy is sick")
    return list(candidates)


def with_sick_policy(last_grace: float) -> Dispatcher:
    slow = ScriptedTransport(stream("one", "two", "three", gap=2.0))
    written = config("a", "b", policy="sick", supervision={"most_restarts": 2})
    transports = {"a": slow, "b": ScriptedTransport(answer())}
    policies = {"sick": sick}
    return Dispatcher.open(written, transports=transports, policies=policies, last_grace=last_grace)


async def poison(house: Dispatcher) -> None:
    """Crash the router until it is given up. A message that has crashed it twice is refused, so each is another."""
    for number in range(3):
        request = Request(model="m", messages=HELLO.messages, user=f"poison {number}", timeout=30)
        with pytest.raises(errors.NoVendor):
            await house.send(request)


async def test_a_router_that_always_crashes_ends_the_house(autojump_clock: MockClock) -> None:
    poisoned = False

    async def use(house: Dispatcher) -> None:
        nonlocal poisoned
        async with house:
            await poison(house)
            poisoned = True
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await use(with_sick_policy(0.0))
    assert poisoned
    assert caught.group_contains(RestartsExhausted, match="router crashed 3 times")


async def test_with_a_grace_what_is_under_way_ends_properly_and_is_settled(autojump_clock: MockClock) -> None:
    async with with_sick_policy(60.0) as house:
        async with house.stream(HELLO) as events:
            await poison(house)
            failure = await house.wait_failing()
            assert "router crashed 3 times" in str(failure)
            assert not house.ready()
            # What needs the router is refused at once.
            begun = trio.current_time()
            with pytest.raises(errors.NoVendor):
                await house.send(HELLO)
            assert trio.current_time() == begun
            texts = [event.text async for event in events if isinstance(event, TextDelta)]
        assert "".join(texts) == "onetwothree"
        await trio.testing.wait_all_tasks_blocked()
        assert (await house.standing())["a"].deployments["a/m"].in_flight == 0
        assert house.statistics().vendors["a"].succeeded == 1
