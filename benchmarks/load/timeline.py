"""What happened when: sums over equal slots of time, of which there are never more than so many. Pure."""

from __future__ import annotations

from msgspec import Struct, field

from .histogram import Histogram

__all__ = ["MOST_SLOTS", "Slot", "Timeline"]

MOST_SLOTS = 240
"""As many as can be told apart in a plot; a longer run has wider slots."""
_FIRST_WIDTH = 0.5


class Slot(Struct):
    """What happened within one slot."""

    arrived: int = 0
    """Requests that were to be sent in it."""
    ok: int = 0
    """Answers that ended in it, whole; failures likewise."""
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)

    def merge(self, other: Slot) -> None:
        """Take in what happened in another."""
        self.arrived += other.arrived
        self.ok += other.ok
        self.failed += other.failed
        self.latency.merge(other.latency)


class Timeline(Struct):
    """Slots from 0 on. When a moment lies beyond the last possible one, pairs are joined and the width doubles."""

    width: float = _FIRST_WIDTH
    """Seconds."""
    slots: list[Slot] = field(default_factory=list)

    def at(self, seconds: float) -> Slot:
        """The slot of a moment, in seconds from the start; what lies before it counts as the start."""
        index = int(max(0.0, seconds) / self.width)
        while index >= MOST_SLOTS:
            self._widen()
            index = int(max(0.0, seconds) / self.width)
        while len(self.slots) <= index:
            self.slots.append(Slot())
        return self.slots[index]

    def _widen(self) -> None:
        for left, right in zip(self.slots[::2], self.slots[1::2], strict=False):
            left.merge(right)
        self.slots = self.slots[::2]
        self.width *= 2
