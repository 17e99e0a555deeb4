"""What is to be run, as plain data: made by the command line, carried out by `run`."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias

from msgspec import Struct

from .arrivals import Pattern
from .jobs import Job, Sizes, open_jobs, trace_jobs, user_jobs
from .loop import Bounds, Loop
from .objectives import Objective
from .sizes import Distribution
from .traces import Trace

__all__ = ["Arriving", "Load", "Plan", "Replayed", "Users"]


class Arriving(Struct, frozen=True):
    """An open loop: `rate` requests a second by a pattern."""

    pattern: Pattern
    rate: float
    sizes: Sizes
    most_in_flight: int
    burst: int = 20

    def __str__(self) -> str:
        shape = f"bursts of {self.burst}" if self.pattern == "bursts" else self.pattern
        return f"open loop, {self.rate:g} requests a second, {shape}"

    async def run(self, loop: Loop, seed: int) -> None:
        """Send what arrives."""
        jobs: Iterator[Job] = open_jobs(self.pattern, self.rate, self.burst, self.sizes, seed)
        await loop.open(jobs, self.most_in_flight)


class Replayed(Struct, frozen=True):
    """An open loop: the requests of a trace."""

    trace: Trace
    speed: float
    most_in_flight: int

    def __str__(self) -> str:
        return f"replay of {self.trace.path.name}, {self.speed:g} times as fast"

    async def run(self, loop: Loop, _seed: int) -> None:
        """Send the trace. Nothing in it is left to chance."""
        await loop.open(trace_jobs(self.trace, self.speed), self.most_in_flight)


class Users(Struct, frozen=True):
    """A closed loop: so many users, each waiting for an answer before the next request."""

    count: int
    sizes: Sizes
    think: Distribution | None

    def __str__(self) -> str:
        thinking = "" if self.think is None else ", who think in between"
        return f"closed loop, {self.count} users{thinking}"

    async def run(self, loop: Loop, seed: int) -> None:
        """Let them ask."""
        await loop.closed(
            user_jobs(self.sizes, seed), self.count, self.think, random.Random(f"{seed} thoughts")
        )


Load: TypeAlias = Arriving | Replayed | Users


class Plan(Struct, frozen=True, kw_only=True):
    """One run."""

    load: Load
    bounds: Bounds
    model: str
    stream: bool
    seed: int
    timeout: float
    """Seconds for each request, from its sending."""
    drain: float
    """Seconds for those under way when no further ones are sent."""
    objectives: tuple[Objective, ...] = ()
    price: tuple[Decimal, Decimal] | None = None
    """Dollars for a million input and output tokens, where the target does not tell costs."""
    pid: int | None = None
    """The process that serves the target, if its CPU time and memory are to be told."""
    vendors: str = ""
    """What stands behind the target, for the report."""

    @property
    def extent(self) -> str:
        """How long it goes on, in words."""
        bounds = self.bounds
        words = [f"for {bounds.requests:,.0f} requests"] if bounds.requests < math.inf else []
        words += [f"for {bounds.seconds:g} s"] if bounds.seconds < math.inf else []
        return " or ".join(words) or "to its end"
