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
