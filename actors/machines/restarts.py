"""Whether and when a crashed child is started again.

Theory. Erlang/OTP bounds restarts by *intensity*: more than `most` within `period` seconds means that restarting does
not help and somebody else must decide (OTP design principles, "Supervisor Behaviour"). OTP starts again at once, always; a child whose
cause of death is outside then crashes in a tight loop and spends its allowance in milliseconds. So here only the first
restart is immediate, and later ones wait with decorrelated jitter until the child has stayed healthy for a while.
A child that has spent its allowance is set aside rather than allowed to take its siblings with it: quarantine, doubling
each time it proves no better.
"""

import math
import random
from collections import deque

from .backoff import decorrelated


class RestartWindow:
    """Allows at most `most` restarts in any `period` seconds."""

    __slots__ = ("_times", "most", "period")

    def __init__(self, most: int, period: float) -> None:
        if most < 0 or not period > 0:
            raise ValueError(f"restarts need a count and a period, got most={most}, period={period}")
        self.most = most
        self.period = period
        # One more than allowed tells "too many"; older ones cannot change that answer.
        self._times: deque[float] = deque(maxlen=most + 1)

    def spend(self, now: float) -> bool:
        """Record a restart at `now`; False if it is one too many."""
        self._times.append(now)
        return self.count(now) <= self.most

    def count(self, now: float) -> int:
        """Restarts in the `period` before `now`, counted up to one too many."""
        return sum(1 for time in self._times if time > now - self.period)


class RestartDelay:
    """Spaces restarts: the first at once, then decorrelated jitter from `base` to `cap` seconds.

    A child that lived `healthy` seconds since its last start begins anew.
    """

    __slots__ = ("_previous", "_started", "base", "cap", "healthy")

    def __init__(self, base: float = 0.1, cap: float = 30.0, healthy: float = 60.0) -> None:
        self.base = base
        self.cap = cap
        self.healthy = healthy
        self._previous: float | None = None
        self._started = -math.inf

    def after_crash(self, now: float, rng: random.Random) -> float:
        """Seconds to wait before starting the child that crashed at `now`."""
        if self._previous is None or now - self._started >= self.healthy:
            self._previous = self.base
            delay = 0.0
        else:
            delay = self._previous = decorrelated(self._previous, self.base, self.cap, rng)
        self._started = now + delay
        return delay


class Quarantine:
    """Sets something aside for `base` seconds, twice as long each further time, at most `cap`.

    `forget` seconds after a quarantine has run out without another, the next begins at `base` again. Serves for crashing
    children (5 min to 1 h) and, with other figures, for keys and accounts.
    """

    __slots__ = ("base", "cap", "forget", "times", "until")

    def __init__(self, base: float = 300.0, cap: float = 3600.0, forget: float = 3600.0) -> None:
        self.base = base
        self.cap = cap
        self.forget = forget
        self.times = 0
        self.until = -math.inf

    def enter(self, now: float) -> float:
        """Set aside from `now`; returns until when.

        While it is inside nothing changes: calls already on their way report the same fault once more, not a new one.
        """
        if self.holds(now):
            return self.until
        if now - self.until >= self.forget:
            self.times = 0
        length = min(self.cap, self.base * 2.0 ** min(self.times, 512))
        self.times += 1
        self.until = now + length
        return self.until

    def holds(self, now: float) -> bool:
        """Is it set aside at `now`?"""
        return now < self.until

    def lift(self) -> None:
        """Let it out by hand and forget its past."""
        self.times = 0
        self.until = -math.inf
