"""Counts over the recent past, exact to one slice.

Theory. The window is a ring of `buckets` slices, each `seconds / buckets` long and aligned to multiples of that
length; a reading is the sum of the running slice and the whole ones before it, so it covers between
`seconds - seconds/buckets` and `seconds`. Counts are integers and leave the window at once, a slice at a time. An
exponentially weighted rate would need less room but lets one old burst linger and hides a new tight one.

Running totals make both adding and reading O(1) while time stands still, and O(slices passed) otherwise.
"""

from collections.abc import Sequence

# The slice running before anything was counted: further back than any clock reads.
_LONG_AGO = -(2**62)


class RollingWindow:
    """Counts `names` over the last `seconds`. Reading never changes it. Time that runs backwards stands still."""

    __slots__ = ("_index", "_ring", "_tick", "_totals", "_width", "buckets", "names", "seconds")

    def __init__(self, seconds: float, buckets: int, names: Sequence[str]) -> None:
        if not seconds > 0 or buckets < 1:
            raise ValueError(f"a window needs a length and a slice, got seconds={seconds}, buckets={buckets}")
        self.seconds = seconds
        self.buckets = buckets
        self.names = tuple(names)
        self._width = seconds / buckets
        self._index = {name: position for position, name in enumerate(self.names)}
        self._tick = _LONG_AGO
        self.clear()

    def clear(self) -> None:
        """Forget everything counted so far."""
        self._ring = [[0] * len(self.names) for _ in range(self.buckets)]
        self._totals = [0] * len(self.names)

    def add(self, name: str, now: float, amount: int = 1) -> None:
        """Count `amount` of `name` at `now`. A name the window was not made with is a KeyError."""
        position = self._index[name]
        tick = int(now // self._width)
        if tick > self._tick:
            self._advance(tick)
        self._ring[self._tick % self.buckets][position] += amount
        self._totals[position] += amount

    def count(self, name: str, now: float) -> int:
        """How many of `name` the window holds at `now`."""
        position = self._index[name]
        return self._totals[position] - sum(part[position] for part in self._expired(now))

    def counts(self, now: float) -> dict[str, int]:
        """All counters at `now`, by name."""
        return {name: self.count(name, now) for name in self.names}

    def total(self, now: float) -> int:
        """All counters together."""
        return sum(self._totals) - sum(sum(part) for part in self._expired(now))

    def share(self, name: str, now: float) -> float:
        """What part of everything counted is `name`, 0 to 1; 0 while the window is empty."""
        total = self.total(now)
        return self.count(name, now) / total if total else 0.0

    def _expired(self, now: float) -> list[list[int]]:
        """The slices still in the ring that are too old to be read at `now`."""
        passed = int(now // self._width) - self._tick
        if passed <= 0:
            return []
        if passed >= self.buckets:
            return self._ring
        return [self._ring[(self._tick + 1 + step) % self.buckets] for step in range(passed)]

    def _advance(self, tick: int) -> None:
        """Make `tick` the running slice, emptying those whose turn comes round again."""
        for step in range(min(tick - self._tick, self.buckets)):
            slot = (self._tick + 1 + step) % self.buckets
            for position, amount in enumerate(self._ring[slot]):
                self._totals[position] -= amount
            self._ring[slot] = [0] * len(self.names)
        self._tick = tick
