"""Cancel a request at its every step, and see that nothing is left of it.

`sweep` runs a request over and over, each time in an event loop of its own and in virtual time, and cancels it in its
k-th task step, for k = 1, 2, ... until it ends before. The steps counted are those of the request's task and
of the tasks below it; steps of the house are not its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import trio
from trio.testing import MockClock

from tests.fakes.control import Plane, until

__all__ = ["sweep"]

_MOST_STEPS = 2000


class _CancelAt(trio.abc.Instrument):
    """Cancels `scope` in the step number `step` of `task` and its descendants."""

    def __init__(self, step: int, scope: trio.CancelScope, task: trio.lowlevel.Task) -> None:
        self._left = step
        self._scope = scope
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._is_mine(task):
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()

    def _is_mine(self, task: trio.lowlevel.Task) -> bool:
        ancestor: trio.lowlevel.Task | None = task
        while ancestor is not None and ancestor is not self._task:
            nursery = ancestor.parent_nursery
            ancestor = None if nursery is None else nursery.parent_task
        return ancestor is not None


def sweep(
    make: Callable[[], AbstractAsyncContextManager[Plane]],
    request: Callable[[Plane], Awaitable[object]],
    *,
    within: float,
) -> int:
    """Cancel `request` at each of its steps; returns how many there were.

    `make` builds a plane with transports that check that nothing stays open. `within`: the request's deadline in seconds,
    by which it has to have one ending.
    """
    for step in range(1, _MOST_STEPS):
        if not trio.run(_once, make, request, step, within, clock=MockClock(autojump_threshold=0)):
            return step - 1
    raise AssertionError(f"the request did not end within {_MOST_STEPS} steps")


async def _once(
    make: Callable[[], AbstractAsyncContextManager[Plane]],
    request: Callable[[Plane], Awaitable[object]],
    step: int,
    within: float,
) -> bool:
    """One run; whether the request was still under way at `step`."""
    async with make() as plane:
        before = trio.lowlevel.current_statistics().tasks_living
        begun = trio.current_time()
        scope = trio.CancelScope()
        instrument = _CancelAt(step, scope, trio.lowlevel.current_task())
        with scope:
            trio.lowlevel.add_instrument(instrument)
            try:
                await request(plane)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        cancelled = scope.cancel_called
        await until(lambda: not plane.house.background.draining)
        assert trio.current_time() - begun <= within + 0.25, f"step {step}: too late"
        await trio.sleep(0.2)
        await trio.testing.wait_all_tasks_blocked()
        assert plane.in_flight == 0, f"step {step}: permits are out"
        plane.assert_at_rest()
        sent = sum(len(each.sent) for each in plane.transports.values())
        assert sent == sum(each.sent for each in plane.settled), f"step {step}: sent and settled as unsent"
        left = trio.lowlevel.current_statistics().tasks_living - before
        assert left == 0, f"step {step}: {left} tasks are left"
    return cancelled
