"""One task sleeps, another wakes it; of a wake-up and a cancellation the first to come holds."""

from __future__ import annotations

import pytest
import trio
from llm_dispatcher.actors.sleep import Asker, Lost, Sleeper
from trio.testing import wait_all_tasks_blocked


async def test_a_sleeper_is_woken_once(nursery: trio.Nursery) -> None:
    sleeper, woken = Sleeper(), trio.Event()

    async def sleep() -> None:
        await sleeper.sleep()
        woken.set()

    assert not sleeper.wake()
    nursery.start_soon(sleep)
    await wait_all_tasks_blocked()
    assert sleeper.asleep
    assert sleeper.wake()
    assert not sleeper.asleep
    assert not sleeper.wake()
    await woken.wait()


async def test_a_place_has_room_for_one_sleeper(nursery: trio.Nursery) -> None:
    sleeper = Sleeper()
    nursery.start_soon(sleeper.sleep)
    await wait_all_tasks_blocked()
    with pytest.raises(RuntimeError, match="somebody else"):
        await sleeper.sleep()
    sleeper.wake()


@pytest.mark.parametrize("answered_first", [True, False])
async def test_an_answer_and_a_cancellation_exclude_each_other(
    nursery: trio.Nursery, answered_first: bool
) -> None:
    asker, scope = Asker[int](), trio.CancelScope()
    found: list[int] = []

    async def ask() -> None:
        with scope:
            found.append(await asker.answer())

    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    if answered_first:
        asker.give(1)
        assert not asker.asleep
        scope.cancel()
    else:
        scope.cancel()
        assert not asker.asleep
        asker.give(1)
    await wait_all_tasks_blocked()
    assert found == ([1] if answered_first else [])


async def test_an_asker_whose_scope_is_cancelled_already_never_sleeps() -> None:
    asker = Asker[int]()
    with trio.CancelScope() as scope:
        scope.cancel()
        await asker.answer()
    assert scope.cancelled_caught
    assert not asker.asleep


async def test_none_is_an_answer_and_being_woken_empty_handed_is_not(nursery: trio.Nursery) -> None:
    asker, other = Asker[None](), Asker[None]()

    async def end() -> None:
        asker.give(None)
        other.wake()

    nursery.start_soon(end)
    await asker.answer()
    nursery.start_soon(end)
    with pytest.raises(Lost):
        await other.answer()
