"""Children are restarted, spaced, given up on in two ways, and never for a cancellation."""

from __future__ import annotations

import random

import pytest
import trio
from llm_dispatcher.actors.supervisor import Child, RestartsExhausted, Supervisor
from trio.testing import MockClock


class Mortal:
    """Dies at once so many times, then lives for ever."""

    def __init__(self, deaths: float) -> None:
        self.deaths = deaths
        self.births: list[float] = []

    async def live(self) -> None:
        self.births.append(trio.current_time())
        if len(self.births) <= self.deaths:
            raise RuntimeError("crash")
        await trio.sleep_forever()


def supervisor(*children: Child) -> Supervisor:
    return Supervisor(list(children), rng=random.Random(1))


async def test_a_crashed_child_is_restarted_at_once_and_then_with_growing_pauses(
    autojump_clock: MockClock,
) -> None:
    mortal = Mortal(4)
    house = supervisor(Child(name="m", live=mortal.live))
    with trio.move_on_after(200):
        await house.run()
    assert len(mortal.births) == 5
    assert mortal.births[:2] == [0, 0]
    assert mortal.births[2] >= 0.1
    assert house.statistics()["m"].crashes == 4
    assert house.statistics()["m"].state == "stopped"


async def test_siblings_do_not_notice(autojump_clock: MockClock) -> None:
    mortal, sibling = Mortal(3), Mortal(0)
    with trio.move_on_after(100):
        await supervisor(Child(name="m", live=mortal.live), Child(name="s", live=sibling.live)).run()
    assert sibling.births == [0]


async def test_a_child_the_house_needs_escalates(autojump_clock: MockClock) -> None:
    house = supervisor(Child(name="router", live=Mortal(1e9).live, most_restarts=2))
    with pytest.raises(ExceptionGroup) as caught:
        await house.run()
    assert caught.group_contains(RestartsExhausted, match="router crashed 3 times")


async def test_a_vendor_is_quarantined_and_tried_again_later_and_later(autojump_clock: MockClock) -> None:
    mortal = Mortal(1e9)
    told: list[float | None] = []
    child = Child(
        name="v",
        live=mortal.live,
        most_restarts=0,
        exhausted="quarantine",
        quarantine=300,
        on_quarantine=told.append,
    )
    with trio.move_on_after(1000):
        await supervisor(child).run()
    assert mortal.births == [0, 300, 900]
    assert told == [300, None, 900, None, 2100]


async def end_of(house: Supervisor) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await house.run()
    assert caught.group_contains(RestartsExhausted)


async def test_until_it_escalates_there_is_time_and_the_others_live_on(autojump_clock: MockClock) -> None:
    given_up: list[float] = []
    sibling = Mortal(1)
    house = Supervisor(
        [
            Child(
                name="router",
                live=Mortal(1e9).live,
                most_restarts=0,
                on_exhausted=lambda: given_up.append(trio.current_time()),
            ),
            Child(name="v", live=sibling.live),
        ],
        rng=random.Random(1),
        grace=30,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_of, house)
        failure = await house.wait_failing()
        assert (trio.current_time(), given_up) == (0, [0])
        assert "router crashed 1 times" in str(failure)
        await trio.sleep(29)
        assert house.statistics()["router"].state == "exhausted"
        assert house.statistics()["v"].state == "alive"
    assert trio.current_time() == 30


async def test_an_operator_ends_a_quarantine_and_its_past_is_forgotten(autojump_clock: MockClock) -> None:
    mortal = Mortal(1e9)
    told: list[float | None] = []
    child = Child(
        name="v",
        live=mortal.live,
        most_restarts=1,
        exhausted="quarantine",
        quarantine=300,
        on_quarantine=told.append,
    )
    house = supervisor(child, Child(name="s", live=Mortal(0).live))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.run)
        await trio.sleep(400)
        # Set aside at the start, and again when that was over: for twice as long.
        assert mortal.births == [0, 0, 300, 300]
        assert house.statistics()["v"].rests_for == 500
        assert house.unquarantine("v")
        assert not house.unquarantine("v")
        assert told == [300, None, 900, None]
        await trio.sleep(1)
        # Its restarts are counted anew, and its quarantine is of the shortest kind.
        assert mortal.births[4:] == [400, 400]
        assert told[4:] == [700]
        assert not house.unquarantine("s")
        with pytest.raises(KeyError):
            house.unquarantine("nobody")
        await trio.sleep(300)
        assert mortal.births[6:] == [700, 700]
        nursery.cancel_scope.cancel()


async def test_running_out_of_memory_is_not_a_crash_to_recover_from(autojump_clock: MockClock) -> None:
    async def live() -> None:
        raise MemoryError

    with pytest.raises(ExceptionGroup) as caught:
        await supervisor(Child(name="m", live=live)).run()
    assert caught.group_contains(MemoryError)


async def test_a_child_counts_as_alive_as_soon_as_the_supervisor_has_started(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    house = supervisor(Child(name="m", live=Mortal(0).live))
    await nursery.start(house.run)
    assert house.statistics()["m"].state == "alive"
    nursery.cancel_scope.cancel()
