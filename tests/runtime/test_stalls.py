"""Standing still: it is noticed whoever looks first, and ordinary lateness is none."""

from __future__ import annotations

import trio
from llm_dispatcher.runtime.stalls import Stalls
from trio.testing import MockClock


async def test_a_process_that_stood_still_is_told_so_for_what_began_before(autojump_clock: MockClock) -> None:
    stalls = Stalls()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stalls.run)
        await trio.sleep(7)
        assert not stalls.since(0)
        before = trio.current_time()
        autojump_clock.jump(10)
        # Also before the ticking task has had its turn.
        assert stalls.since(before)
        await trio.sleep(1)
        assert stalls.since(before)
        assert not stalls.since(trio.current_time())
        assert stalls.count == 1
        nursery.cancel_scope.cancel()


async def test_two_seconds_of_lateness_are_no_stall(autojump_clock: MockClock) -> None:
    stalls = Stalls()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stalls.run)
        for _ in range(10):
            await trio.sleep(1.3)
            autojump_clock.jump(2)
            assert not stalls.since(0)
        nursery.cancel_scope.cancel()


async def test_where_nobody_ticks_no_stall_is_known(autojump_clock: MockClock) -> None:
    stalls = Stalls()
    autojump_clock.jump(100)
    assert not stalls.since(0)
