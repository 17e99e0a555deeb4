"""Sends requests, open or closed, and sees each of them to its end.

An **open** loop sends at the intended times, whatever the answers do: this is what independent callers are like, and the
only way to see what a service does when it cannot keep up. A **closed** loop is a number of users, each of whom waits
for an answer (and thinks) before the next request: a slow service is asked less, so its latencies look better than what
callers at a steady rate would meet.

Every request that was to be sent is counted: one that finds as many under way as may be is `not started`, and one that
is still under way when patience ends is `unfinished`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, TypeAlias

import trio
from msgspec import Struct

from .jobs import Job
from .recorder import INTERRUPTED, UNFINISHED, Recorder
from .sizes import Distribution
from .targets.base import Target
from .watch import Watch

__all__ = ["Bounds", "Ending", "Loop"]

Ending: TypeAlias = Literal["duration", "requests", "trace", "cost", "interrupted"]
"""Why no further requests were sent."""

_TURN = 8
"""Requests that are begun in a row, when they are late, before others get a turn."""


class Bounds(Struct, frozen=True):
    """When a run ends, whichever comes first."""

    seconds: float = math.inf
    requests: float = math.inf
    cost: Decimal | None = None
    """Dollars, as far as they are told."""


class Loop:
    """One run of requests against `target`, recorded by `recorder`.

    `timeout`: seconds that a request may take from its sending; `drain`: that those under way may take once no further
    ones are sent.
    """

    def __init__(
        self, target: Target, recorder: Recorder, bounds: Bounds, *, timeout: float, drain: float
    ) -> None:
        self.ending: Ending = "trace"
        self.sending = 0.0
        """Seconds for which requests were sent; known once the run is over."""
        self._target = target
        self._recorder = recorder
        self._bounds = bounds
        self._timeout = timeout
        self._drain = drain
        self._interrupted = False
        self._over = trio.Event()

    def interrupt(self, scope: trio.CancelScope) -> None:
        """End everything at once; what is under way then is counted as interrupted."""
        self._interrupted = True
        self.ending = "interrupted"
        self._stop()
        scope.cancel()

    async def open(self, jobs: Iterator[Job], most_in_flight: int) -> None:
        """Send `jobs` at their times, at most `most_in_flight` under way at once."""
        recorder, began = self._recorder, self._begin()
        async with trio.open_nursery() as nursery:
            for count, job in enumerate(jobs):
                if self._ends(count, job.at):
                    break
                intended = began + job.at
                now = trio.current_time()
                if intended > now:
                    await trio.sleep_until(intended)
                elif not count % _TURN:
                    await trio.lowlevel.checkpoint()
                if self._too_dear():
                    break
                if recorder.in_flight >= most_in_flight:
                    recorder.not_started(intended, trio.current_time(), most_in_flight)
                    continue
                recorder.start(intended, trio.current_time())
                nursery.start_soon(self._one, job, intended)
            if self.ending == "duration":
                await trio.sleep_until(began + self._bounds.seconds)
            self._finish(nursery)

    async def closed(
        self, jobs: Iterator[Job], users: int, think: Distribution | None, rng: random.Random
    ) -> None:
        """Let `users` take `jobs` one after the other, thinking in between."""
        self._begin()
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = self._recorder.began + self._bounds.seconds + self._drain
            for _ in range(users):
                nursery.start_soon(self._user, jobs, think, random.Random(rng.getrandbits(64)), nursery)
        if not self.over:
            # Nobody came back to see that the time was over.
            self.ending = "duration"
            self._stop()
        self.sending = min(self.sending, self._bounds.seconds)

    def _begin(self) -> float:
        began = self._recorder.began = trio.current_time()
        return began

    def _ends(self, count: int, at: float) -> bool:
        """Whether the request of this number, which is to be sent at this offset, is one too many."""
        bounds = self._bounds
        if self.over:
            return True
        if count >= bounds.requests:
            self.ending = "requests"
        elif at >= bounds.seconds:
            self.ending = "duration"
        else:
            return False
        return True

    def _too_dear(self) -> bool:
        most = self._bounds.cost
        if most is None or self._recorder.cost < most:
            return False
        self.ending = "cost"
        return True

    @property
    def over(self) -> bool:
        """Whether no further requests are sent."""
        return self._over.is_set()

    def _stop(self) -> None:
        if not self.over:
            self._over.set()
            self.sending = trio.current_time() - self._recorder.began

    def _finish(self, nursery: trio.Nursery) -> None:
        self._stop()
        nursery.cancel_scope.deadline = min(nursery.cancel_scope.deadline, trio.current_time() + self._drain)

    async def _user(
        self, jobs: Iterator[Job], think: Distribution | None, rng: random.Random, nursery: trio.Nursery
    ) -> None:
        recorder = self._recorder
        while True:
            now = trio.current_time()
            if self._ends(recorder.arrived, now - recorder.began) or self._too_dear():
                self._finish(nursery)
                return
            recorder.start(now, now)
            await self._one(next(jobs), now)
            if think is not None:
                left = recorder.began + self._bounds.seconds - trio.current_time()
                with trio.move_on_after(max(0.0, min(think.draw(rng), left))):
                    await self._over.wait()

    async def _one(self, job: Job, intended: float) -> None:
        watch = Watch(intended, trio.current_time(), self._recorder.gaps)
        try:
            with trio.move_on_after(self._timeout) as patience:
                await self._target.send(job, watch)
            if patience.cancelled_caught:
                watch.fail("timeout", f"no whole answer within {self._timeout:g} s")
        except trio.Cancelled:
            watch.error = INTERRUPTED if self._interrupted else UNFINISHED
            watch.message = (
                "" if self._interrupted else f"no whole answer within the {self._drain:g} s of --drain"
            )
            raise
        finally:
            watch.ended = trio.current_time()
            self._recorder.finish(watch)
