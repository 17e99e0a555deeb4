"""Clocks that jump, a process that stands still, and one that was asleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import msgspec
import trio
from llm_dispatcher.benchmarks.vendor import Delays, Step
from llm_dispatcher.runtime import clock
from trio.testing import MockClock

from .measure import Figures
from .outages import HEALTHY, limited, success
from .world import WALL, World, hello, world

__all__ = ["asleep", "standing_still", "wall_clock", "wall_clock_jumps"]

_LIMITS = {"limits": {"requests_per_minute": 600, "burst": 0.1}}


@contextmanager
def wall_clock(read: Callable[[], float]) -> Iterator[None]:
    """This machine's wall clock says what `read` says, meanwhile."""
    with mock.patch.object(clock, "time", SimpleNamespace(time=read)):
        yield


def _unmoved(figures: Figures, here: World) -> None:
    figures.exactly("beyond the vendor's limit", here.vendors["a"].limiter.violated, 0)
    moved = [len(state.endpoint.history) for state in here.dispatcher._states.values()]
    moved += [len(here.breaker(name).history) for name in here.vendors]
    figures.exactly("circuit changes", sum(moved), 0)


async def wall_clock_jumps(by: float) -> Figures:
    """Row 41. This machine's wall clock jumps, under a limit, while A answers now and then with a hint as a date."""
    figures, jumped_at = Figures(), 10.0
    hint = Step(error="rate_limited", retry_after=2, retry_style=["date"], times=3)
    script = limited(600, 60, [hint])

    def read() -> float:
        now = trio.current_time()
        return WALL + now + (by if now >= jumped_at else 0.0)

    with wall_clock(read):
        async with world({"a": script, "b": HEALTHY}, {"a": _LIMITS}) as here:
            calls = await here.load(12, 30, streamed=False)
            figures.exactly("success", success(calls), 1)
            _unmoved(figures, here)
    return figures


async def standing_still(seconds: float) -> Figures:
    """Row 41. The event loop stands still for some time, under a limit; A takes a second for each answer.

    All that was due in between happens at once: vendors' answers, callers' requests, and the end of every patience.
    """
    figures = Figures()
    script = limited(600, 60)
    script = msgspec.structs.replace(
        script, default=msgspec.structs.replace(script.default, delay=Delays(before_head=1.0))
    )
    patience = {"first_token": 4, "between_tokens": 4, "connect": 1}
    now = trio.lowlevel.current_clock()
    if not isinstance(now, MockClock):
        raise TypeError("only in virtual time")
    async with world({"a": script, "b": HEALTHY}, {"a": _LIMITS}, timeouts=patience) as here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.load, 8, 40, lambda _: hello())
            await trio.sleep(10.03)
            now.jump(seconds)
        figures.at_least("success", success(here.calls), 0.999)
        kinds = here.dispatcher.statistics().totals.errors
        figures.exactly("faults held against vendors", sum(kinds.values()) - kinds.get("local", 0), 0)
        _unmoved(figures, here)
    return figures


async def asleep() -> Figures:
    """Row 41. The machine was asleep: eight hours have passed on the wall, no time in the process, and no connection is left."""
    figures = Figures()
    script = msgspec.structs.replace(limited(600, 60), keep_alive=1.0)
    slept = 0.0
    with wall_clock(lambda: WALL + trio.current_time() + slept):
        async with world({"a": script, "b": HEALTHY}, {"a": _LIMITS}) as here:
            before = await here.load(8, 10, streamed=False)
            await trio.sleep(1.5)
            slept = 8 * 3600.0
            after = await here.load(8, 20, streamed=False)
            figures.exactly("success", success(before + after), 1)
            _unmoved(figures, here)
    return figures
