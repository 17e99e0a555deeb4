"""Two vendors for one request, and many requests at once."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from llm_dispatcher.benchmarks.vendor import Delays, ErrorEvent, Script, Step, Stop
from llm_dispatcher.benchmarks.vendor.script import ErrorKind
from llm_dispatcher.runtime.process import resident_bytes

from .measure import Figures, quantile
from .outages import WELL
from .world import World, hello, world

__all__ = ["faulty", "hedge_race", "many_streams", "many_streams_on_sockets", "refused_by_chance"]


async def hedge_race(*, streamed: bool) -> Figures:
    """Row 45. A becomes slow; B is asked, too; and both answer at the same moment, twenty times."""
    figures, rounds = Figures(), 20
    settings: dict[str, Any] = {
        "hedging": {"share": 1.0, "dollars": 1000},
        "retry": {"budget": 1.0},
        "routes": [{"name": "quick", "targets": ["m"], "hedge": True}],
    }
    async with world({"a": Script(default=WELL), "b": Script(default=WELL)}, **settings) as here:
        # So many are needed before it is known what is slow.
        await here.load(20, 10, lambda _: hello(model="quick"), streamed=streamed)
        wrong = late = 0
        hedged = []
        for _ in range(rounds):
            # How long the hedge waits is what the last one waited: the same moment is found by asking twice.
            delay = await _hedge_after(here, streamed=streamed)
            here.vendors["a"].play(Script(default=Step(tokens=2, delay=Delays(before_head=delay + 0.05))))
            call = await here.call(hello(model="quick"), streamed=streamed)
            await trio.sleep(0.2)
            hedged.append(len(call.attempts) == 2)
            wrong += not call.ok or call.pieces != (2 if streamed else 0)
            late += sum([len(vendor.meter.under_way) for vendor in here.vendors.values()])
        figures.exactly("other than one answer", wrong, 0)
        figures.at_least("rounds with both", sum(hedged), rounds * 0.8)
        figures.exactly("losers under way 200 ms later", late, 0)
        totals = here.dispatcher.statistics().totals
        sent = here.attempts("a") + here.attempts("b")
        figures.exactly("attempts not booked", sent - totals.attempts, 0)
        figures.exactly("failures", totals.failed, 0)
        figures.at_least("superseded", totals.superseded, sum(hedged))
    return figures


async def _hedge_after(here: World, *, streamed: bool) -> float:
    """When B is asked for what A does not answer."""
    here.vendors["a"].play(Script(default=Step(tokens=2, delay=Delays(before_head=30))))
    begun = trio.current_time()
    await here.call(hello(model="quick"), streamed=streamed)
    return here.vendors["b"].history[-1].at - begun


# --- many -----------------------------------------------------------------------------------------


_SETTINGS: dict[str, Any] = {"policy": "round_robin", "timeouts": {"between_tokens": 10}}
_DEADLINE = 300.0


def faulty(tokens: int, between: float, seed: int) -> Script:
    """A vendor of whose answers one in twenty goes wrong, in one of eight ways.

    It never speaks of a limit: what a vendor says of its load is no chance, and is believed (see `limits`).
    """
    share = 0.05 / 8
    stops = [Stop(after_tokens=tokens // 2, how=how) for how in ("eof", "reset", "stall", "end")]
    rules = [
        Step(error="server_error", chance=share),
        Step(error="overloaded", chance=share),
        Step(act="reset", chance=share),
        Step(error_event=ErrorEvent(kind="server_error"), chance=share),
        *[Step(tokens=tokens, delay=Delays(between=between), stop=stop, chance=share) for stop in stops],
    ]
    well = Step(tokens=tokens, delay=Delays(first_event=0.3, between=between))
    return Script(seed=seed, rules=rules, default=well)


async def many_streams(crowd: int) -> Figures:
    """Row 46. A crowd of streams of a minute each, over three vendors; one attempt in twenty goes wrong."""
    scripts = {name: faulty(12, 5.0, number) for number, name in enumerate("abc")}
    async with world(scripts, **_SETTINGS) as here:
        return await _wave(here, crowd, over=20.0)


async def refused_by_chance(kind: ErrorKind, share: float) -> Figures:
    """A crowd of streams over three vendors, each of which refuses such a share for no reason, and does not say for how long."""
    refusal = Step(error=kind, chance=share)
    well = Step(tokens=6, delay=Delays(first_event=0.3, between=5.0))
    scripts = {name: Script(seed=number, rules=[refusal], default=well) for number, name in enumerate("abc")}
    figures, crowd = Figures(), 300
    async with world(scripts, **_SETTINGS) as here:
        # Ten a second: what is held back for a few seconds is soon a crowd.
        calls = await here.load(10, crowd / 10, lambda _: hello(timeout=_DEADLINE))
        figures.at_least("success", sum([call.ok for call in calls]) / crowd, 0.99)
        figures.at_most("attempts a request", sum([here.attempts(name) for name in "abc"]) / crowd, 1.25)
        waits = [call.ttft for call in calls if call.ok]
        figures.at_most("time to the first content, p95", quantile(waits, 0.95), 1.0, " s")
    return figures


async def _wave(here: World, crowd: int, *, over: float) -> Figures:
    """A crowd that comes within so many seconds. What comes out has to agree with the vendors' books."""
    figures, rng = Figures(), random.Random(46)
    here.calls.clear()
    attempts, complete = _counted(here)

    async def one(number: int) -> None:
        await trio.sleep(rng.uniform(0, over))
        await here.call(hello(user=f"user {number}", timeout=_DEADLINE))

    async with trio.open_nursery() as nursery:
        for number in range(crowd):
            nursery.start_soon(one, number)
    await here.rest()
    attempts, complete = _counted(here)[0] - attempts, _counted(here)[1] - complete
    answered = sum([call.ok for call in here.calls])
    figures.exactly(
        "streams that ended once", sum([call.ok != bool(call.error) for call in here.calls]), crowd
    )
    figures.at_most("longest", max(call.seconds for call in here.calls), _DEADLINE + 0.25, " s")
    figures.exactly("complete to callers - to vendors", answered - complete, 0)
    figures.at_most("attempts a request", attempts / crowd, 1.1)
    figures.at_least("success", answered / crowd, 0.95)
    known, unknown = here.booked
    figures.at_least("booked and at most booked / billed", (known + unknown) / here.billed, 1.0)
    return figures


def _counted(here: World) -> tuple[int, int]:
    """Attempts that the vendors have seen, and those that were answered whole."""
    meters = [vendor.meter for vendor in here.vendors.values()]
    return sum([meter.begun for meter in meters]), sum([meter.total.complete for meter in meters])


class _Steps(trio.abc.Instrument):
    """How long the single steps of tasks keep the event loop from everything else, in processor time.

    By the clock the loop is late for other reasons, too, which say nothing of the house: here the vendors and the callers
    share its processor, a machine that others use takes it away for longer than any step lasts, and what has piled up
    meanwhile is then done at once. And the garbage collector (`collecting`) looks through the whole process, with the
    vendors' books in it.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self.collecting = 0.0
        self.total = 0.0
        self._begun = self._collects_since = time.thread_time()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._begun = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        seconds = time.thread_time() - self._begun
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def collector(self, phase: str, _info: dict[str, int]) -> None:
        """For `gc.callbacks`."""
        now = time.thread_time()
        if phase == "start":
            self._collects_since = now
        else:
            self.collecting = max(self.collecting, now - self._collects_since)
            self._begun += now - self._collects_since


@contextmanager
def _watched() -> Iterator[_Steps]:
    steps = _Steps()
    trio.lowlevel.add_instrument(steps)
    gc.callbacks.append(steps.collector)
    try:
        yield steps
    finally:
        gc.callbacks.remove(steps.collector)
        trio.lowlevel.remove_instrument(steps)


async def many_streams_on_sockets(crowd: int, seconds: float) -> Figures:
    """Row 46 at full size: over real sockets and in real time, the vendors in this very process."""
    tokens = round(seconds)
    scripts = {name: faulty(tokens, 1.0, number) for number, name in enumerate("abc")}
    async with world(scripts, sockets=True, **_SETTINGS) as here:
        first = await _wave(here, crowd, over=seconds)
        before = resident_bytes() or 0.0
        with _watched() as steps:
            second = await _wave(here, crowd, over=seconds)
        grown = (resident_bytes() or 0.0) - before
    figures = Figures()
    figures.include(first, "first wave: ")
    figures.include(second, "second wave: ")
    figures.at_most("memory more after the second than after the first", grown / 2**20, 10, " MiB")
    figures.at_most("longest step of a task", steps.longest, 0.02, " s")
    figures.at_most("longest collection of garbage", steps.collecting, 0.5, " s")
    events = tokens * len(here.calls)
    figures.at_most("processor time a token, all three together", steps.total / events * 1e6, 700, " us")
    return figures
