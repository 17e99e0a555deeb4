"""The latency distribution of the last hour.

A sketch forgets nothing, so two take turns: one fills for half of the span while the one before it is kept, and what is
read is both together. So a reading covers between half of the span and the whole of it, in twice a sketch's memory.
"""

from __future__ import annotations

import math

from .quantiles import LatencySketch

__all__ = ["RecentSketch"]


class RecentSketch:
    """What was seen within the last half to whole `span` seconds. Reading changes nothing."""

    __slots__ = ("_current", "_previous", "_turn", "half")

    def __init__(self, span: float = 3600.0) -> None:
        if not 0 < span < math.inf:
            raise ValueError(f"a span of time is finite and above 0, got {span}")
        self.half = span / 2
        self._turn = -math.inf
        self._current = LatencySketch()
        self._previous = LatencySketch()

    def observe(self, seconds: float, now: float) -> None:
        """Count one latency, seen at `now`."""
        turn = now // self.half
        if turn > self._turn:
            self._previous = self._current if turn == self._turn + 1 else LatencySketch()
            self._current = LatencySketch()
            self._turn = turn
        self._current.observe(seconds)

    def count(self, now: float) -> int:
        """How many it holds at `now`."""
        return sum([sketch.count for sketch in self._held(now)])

    def quantile(self, q: float, now: float) -> float | None:
        """The value of rank `floor(q * (count - 1))`, within 2 %; None if nothing was seen lately."""
        held = self._held(now)
        return (held[0] if len(held) == 1 else self.sketch(now)).quantile(q)

    def sketch(self, now: float) -> LatencySketch:
        """All it holds at `now`, as a sketch of its own."""
        merged = LatencySketch()
        for held in self._held(now):
            merged.merge(held)
        return merged

    def _held(self, now: float) -> tuple[LatencySketch, ...]:
        passed = now // self.half - self._turn
        if passed < 1:
            return self._previous, self._current
        return (self._current,) if passed < 2 else ()
