"""How much longer a vendor may keep a stream waiting: a pure state machine, one per streamed attempt.

Theory. What tells a healthy stream from a dead one is progress, and only content is progress: pings prove that
somebody is there, not that he works. Three patiences follow: until the first content, from content to content, and,
against a vendor that lets a word drip every now and then, a least number of contents within any minute.

The clock of all three is the time spent waiting for the vendor, which its owner adds up (`passed`). Time in
which nobody reads does not count: a slow caller is not the vendor's fault.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from ..actors.faults import FaultClass

__all__ = ["DRIP_WINDOW", "Pace"]

DRIP_WINDOW: Final = 60.0
"""Seconds of waiting over which the least pace is measured."""


class Pace:
    """`first` and `between` are seconds; `least` is contents a second over `DRIP_WINDOW`, 0 for any pace."""

    __slots__ = ("_between", "_due", "_least", "_recent", "clock")

    def __init__(self, first: float, between: float, least: float) -> None:
        self.clock = 0.0
        self._due = first
        self._between = between
        self._least = math.ceil(least * DRIP_WINDOW)
        # When the last `least` contents came. It begins full, as if that many had come with the first.
        self._recent: deque[float] | None = None

    def passed(self, seconds: float) -> None:
        """So long was waited for the vendor."""
        self.clock += seconds

    def content(self, pieces: int) -> None:
        """So many pieces of content have come."""
        clock = self.clock
        self._due = clock + self._between
        recent = self._recent
        if recent is None:
            self._recent = deque([clock] * self._least, maxlen=self._least)
        elif pieces == 1:
            recent.append(clock)
        else:
            recent.extend([clock] * pieces)

    @property
    def left(self) -> float:
        """Seconds for which the vendor may be waited for now."""
        recent = self._recent
        if not recent:
            return self._due - self.clock
        return min(self._due, recent[0] + DRIP_WINDOW) - self.clock

    @property
    def overrun(self) -> FaultClass:
        """Which patience ends first."""
        recent = self._recent
        if recent is None:
            return FaultClass.TTFT_TIMEOUT
        dripping = recent and recent[0] + DRIP_WINDOW < self._due
        return FaultClass.SLOW_DRIP if dripping else FaultClass.STALLED
