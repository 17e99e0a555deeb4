"""Whether the process itself stood still: stopped, swapped out, or kept by something that did not give way.

A clock that runs out then proves nothing. All of them run out together when the event loop comes to again, though the
vendors' answers may have been lying in the sockets all the while; taken for the vendors' silence, that would open every
circuit. So whoever's patience has ended asks here first.

A task ticks every two seconds, and a tick that is more than three late is a stall: one of five seconds always is.
What the answer depends on is when the tick was due, and not whether the ticking task or the one that asks happens to run
first afterwards.
"""

from __future__ import annotations

import math
from typing import Final

import trio

from ..actors.log import Log

__all__ = ["Stalls"]

log = Log("llm_dispatcher.stalls")

_EVERY: Final = 2.0
_LATE: Final = 3.0


class Stalls:
    """`run` it while there is anything to be timed; without that it knows of no stall. Times on the event loop's clock."""

    def __init__(self) -> None:
        self.count = 0
        self._due = math.inf
        self._ended_at = -math.inf

    async def run(self) -> None:
        """Tick until cancelled."""
        try:
            while True:
                self._due = trio.current_time() + _EVERY
                await trio.sleep_until(self._due)
                now = trio.current_time()
                if self._standing(now):
                    self.count += 1
                    self._ended_at = now
                    log.warning("the process stood still", seconds=round(now - self._due, 1))
        finally:
            self._due = math.inf

    def since(self, begun: float) -> bool:
        """Whether the process stood still at any time after `begun`."""
        return self._ended_at >= begun or self._standing(trio.current_time())

    def _standing(self, now: float) -> bool:
        return now - self._due > _LATE
