"""A target that does what a test says, and runs against it in virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

from llm_dispatcher.benchmarks.load.jobs import Job
from llm_dispatcher.benchmarks.load.loop import Bounds, Loop
from llm_dispatcher.benchmarks.load.recorder import Recorder
from llm_dispatcher.benchmarks.load.sizes import Distribution
from llm_dispatcher.benchmarks.load.targets import Target
from llm_dispatcher.benchmarks.load.watch import Watch

Behaviour = Callable[[Job, Watch], Awaitable[None]]


class Fake(Target):
    """Answers as `behave` does."""

    description = "a fake"
    in_process = False

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self.seen: list[int] = []

    async def send(self, job: Job, watch: Watch) -> None:
        self.seen.append(job.number)
        await self._behave(job, watch)


def jobs_at(*times: float) -> Iterable[Job]:
    return (Job(number, at, 10, 10) for number, at in enumerate(times))


async def run_open(
    behave: Behaviour,
    jobs: Iterable[Job],
    *,
    most: int = 1000,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    timeout: float = 60.0,
    drain: float = 30.0,
) -> tuple[Recorder, Loop]:
    recorder = Recorder()
    loop = Loop(Fake(behave), recorder, bounds, timeout=timeout, drain=drain)
    await loop.open(iter(jobs), most)
    return recorder, loop


async def run_closed(
    behave: Behaviour,
    users: int,
    *,
    bounds: Bounds,
    think: Distribution | None = None,
    drain: float = 30.0,
) -> tuple[Recorder, Loop]:
    recorder = Recorder()
    loop = Loop(Fake(behave), recorder, bounds, timeout=60.0, drain=drain)
    endless = (Job(number, 0.0, 10, 10) for number in range(10**9))
    await loop.closed(endless, users, think, random.Random(1))
    return recorder, loop


def dollars(text: str) -> Decimal:
    return Decimal(text)
