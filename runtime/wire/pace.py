"""How fast a client takes what is sent to it: pure, and counted only while we wait for it.

A client is let go when a single wait lasts longer than `stall` seconds, or when it has kept us waiting for `window` seconds
and moved less than `rate` bytes for each of them. Time in which we ourselves had nothing to send does not count, so
a slow vendor never makes a client look slow.
"""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """See the module's text. Seconds, and bytes a second."""

    __slots__ = ("_moved", "_needed", "_waited", "stall", "window")

    def __init__(self, stall: float, rate: float, window: float) -> None:
        self.stall = stall
        self.window = window
        self._needed = rate * window
        self._moved = 0
        self._waited = 0.0

    def patience(self) -> float:
        """How long the wait that begins now may last."""
        if self._moved >= self._needed:
            return self.stall
        return min(self.stall, self.window - self._waited)

    def moved(self, count: int, waited: float) -> bool:
        """`count` bytes went after `waited` seconds; False when the client is too slow to be kept."""
        self._moved += count
        self._waited += waited
        if self._waited < self.window:
            return True
        enough = self._moved >= self._needed
        self._moved, self._waited = 0, 0.0
        return enough
