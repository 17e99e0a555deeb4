"""Lazy read deadlines: on time, never early, and without a trace once nobody waits."""

import gc
import random
import weakref
from math import inf

import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.wire.watchdog import Watchdog
from trio.testing import MockClock


class Wait:
    """Something that waits; it notes when it was expired."""

    def __init__(self) -> None:
        self.deadline = inf
        self.looked_at = inf
        self.expired: list[float] = []
        self.stubborn = False

    def expire(self) -> None:
        self.expired.append(trio.current_time())
        if not self.stubborn:
            self.deadline = inf


async def test_an_overrun_wait_is_expired_at_its_deadline(autojump_clock: MockClock) -> None:
    dog, wait = Watchdog(), Wait()
    dog.watch(wait, 5)
    await trio.sleep(4.9)
    assert wait.expired == []
    await trio.sleep(1)
    assert wait.expired == [5]


async def test_a_wait_that_ended_in_time_is_left_alone(autojump_clock: MockClock) -> None:
    dog, wait = Watchdog(), Wait()
    for _ in range(100):
        dog.watch(wait, trio.current_time() + 5)
        await trio.sleep(1)
        wait.deadline = inf
    await trio.sleep(100)
    assert wait.expired == []


async def test_a_later_deadline_replaces_an_earlier_and_the_other_way_round(
    autojump_clock: MockClock,
) -> None:
    dog, later, earlier = Watchdog(), Wait(), Wait()
    dog.watch(later, 2)
    dog.watch(earlier, 9)
    await trio.sleep(1)
    dog.watch(later, 7)
    dog.watch(earlier, 3)
    await trio.sleep(20)
    assert (later.expired, earlier.expired) == ([7], [3])


async def test_it_insists_until_the_wait_has_ended(autojump_clock: MockClock) -> None:
    dog, wait = Watchdog(), Wait()
    wait.stubborn = True
    dog.watch(wait, 1)
    await trio.sleep(1.12)
    wait.deadline = inf
    await trio.sleep(1)
    assert wait.expired == pytest.approx([1, 1.05, 1.1])


async def test_deadlines_are_kept_to_the_moment_for_many_waits_at_once(autojump_clock: MockClock) -> None:
    rng = random.Random(7)
    dog = Watchdog()
    lasted: list[tuple[float, float]] = []

    async def waiter() -> None:
        wait = Wait()
        for _ in range(20):
            limit = rng.choice([0.5, 1.0, 3.0, 10.0])
            dog.watch(wait, trio.current_time() + limit)
            due = wait.deadline
            await trio.sleep(rng.random() * 4)
            if wait.expired:
                lasted.append((due, wait.expired.pop()))
            else:
                assert trio.current_time() <= due
            wait.deadline = inf

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(waiter)
    assert len(lasted) > 100
    assert all(due == pytest.approx(at) for due, at in lasted)


async def test_its_task_ends_with_the_last_wait(autojump_clock: MockClock) -> None:
    def patrols() -> int:
        root = trio.lowlevel.current_root_task()
        assert root is not None
        return sum(
            task.name == "read timeouts" for nursery in root.child_nurseries for task in nursery.child_tasks
        )

    dog, wait = Watchdog(), Wait()
    dog.watch(wait, 5)
    assert patrols() == 1
    wait.deadline = inf
    await trio.sleep(6)
    assert patrols() == 0
    dog.watch(wait, trio.current_time() + 5)
    assert patrols() == 1
    dog.close()
    await trio.testing.wait_all_tasks_blocked()
    assert patrols() == 0
    assert wait.expired == []


async def test_waits_that_are_over_for_good_are_forgotten(autojump_clock: MockClock) -> None:
    dog = Watchdog()
    forgotten = []
    for _ in range(2000):
        wait = Wait()
        dog.watch(wait, 600)
        dog.forget(wait)
        forgotten.append(weakref.ref(wait))
    del wait
    gc.collect()
    assert sum(reference() is not None for reference in forgotten) <= 40
    survivor = Wait()
    dog.watch(survivor, 700)
    await trio.sleep(1000)
    assert survivor.expired == [700]
