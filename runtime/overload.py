"""How short the process is of time, memory and file descriptors: the readings behind load shedding.

One task (`LoadMonitor.run`) ticks forty times a second and notes how late each tick comes; once a second it takes all
readings, as shares of their limits, to the machine that decides (`actors.machines.overload`).

**The lag of the event loop** is the signal for time. A tick that finds others that were due before it counts each of
them, with its own lateness: else a long stall would be one bad tick among many good ones ("coordinated omission"). The
reading is the worst tick of a second (of forty ticks that is the 99th percentile), and of the last three seconds the
*least*. So one hiccup, be it of the machine's, sheds nothing, and lasting lack of time counts after three seconds
and is over one second after it has ended.

The default limit is 250 ms: the loop then has over a thousand plain requests' worth of work before it at any moment.
With less it still serves well, as vendors take far longer to answer, and a machine that is shared with others reaches
50 ms without any fault of the daemon's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio
from msgspec import Struct

from ..actors.log import Log
from ..actors.machines.overload import Overload
from .process import memory_limit, resident_bytes

__all__ = ["LoadMonitor", "LoopLag", "Signal", "memory_signal"]

log = Log("llm_dispatcher.overload")

TICKS: Final = 40
"""A second."""
_SECONDS: Final = 3
"""Seconds that have to be bad in a row."""
_MOST_MISSED: Final = 10 * TICKS
"""Ticks that are made up for after a stall; for those before them the clock starts anew."""


class Signal(Struct, frozen=True):
    """Something that can run short: `read` says how much is used, or None if that is not known, of `limit`."""

    name: str
    read: Callable[[], float | None]
    limit: float


def memory_signal(limit: int | None) -> Signal | None:
    """Resident memory against `limit`, or against what the system allows; None where neither is known."""
    allowed = memory_limit() if limit is None else limit
    return None if allowed is None else Signal("memory", resident_bytes, allowed)


class LoopLag:
    """The lag of the event loop from the lateness of ticks; see the module's text. Starts at `now`."""

    __slots__ = ("_due", "_in_second", "_seconds", "_worst")

    def __init__(self, now: float) -> None:
        self._due = now + 1 / TICKS
        self._worst = 0.0
        self._in_second = 0
        self._seconds = deque([0.0] * _SECONDS, _SECONDS)

    @property
    def due(self) -> float:
        """When the next tick should come."""
        return self._due

    def tick(self, now: float) -> bool:
        """A tick came; True if it ended a second."""
        ended = False
        if now - self._due > _MOST_MISSED / TICKS:
            self._due = now - _MOST_MISSED / TICKS
        while self._due <= now:
            self._worst = max(self._worst, now - self._due)
            self._due += 1 / TICKS
            self._in_second += 1
            if self._in_second == TICKS:
                self._seconds.append(self._worst)
                self._worst, self._in_second, ended = 0.0, 0, True
        return ended

    def seconds(self) -> float:
        """By how much ticks are late at present."""
        return min(self._seconds)


class LoadMonitor:
    """Takes readings and keeps `overload` informed; `on_change` is told each new stage.

    `signals` may hold whatever else can run short, such as the age of a queue's oldest entry.
    """

    def __init__(
        self,
        overload: Overload,
        signals: Sequence[Signal],
        *,
        lag_limit: float,
        on_change: Callable[[int], None],
    ) -> None:
        self._overload = overload
        self._signals = signals
        self._lag_limit = lag_limit
        self._on_change = on_change

    async def run(self) -> None:
        """Until cancelled."""
        lag = LoopLag(trio.current_time())
        while True:
            await trio.sleep_until(lag.due)
            now = trio.current_time()
            if lag.tick(now):
                self.observe(lag.seconds(), now)

    def observe(self, lag: float, now: float) -> None:
        """Take every reading, and let the machine judge."""
        pressures = {"loop_lag": lag / self._lag_limit}
        for signal in self._signals:
            reading = signal.read()
            if reading is not None:
                pressures[signal.name] = reading / signal.limit
        before = self._overload.stage
        stage = self._overload.observe(pressures, now)
        if stage == before:
            return
        told = {name: round(pressure, 3) for name, pressure in pressures.items()}
        if stage > before:
            log.warning("overloaded", stage=stage, was=before, pressures=told)
        else:
            log.info("less overloaded", stage=stage, was=before, pressures=told)
        self._on_change(stage)
