"""Which answers are slow, by what is usual for one deployment and requests of that size.

Theory. How long the first content takes depends on the model and on how much there is to read, by a factor of fifty, so
no fixed number of seconds is slow for all. Slow is what takes longer than ten seconds *and* than four times the median of
the last hour for prompts of that size class. The median is robust: until half of an hour's answers are slow, slow ones do
not move it. Before it has seen enough to know what is usual, nothing is slow.

The median is computed anew at most every few seconds: it moves slowly, and a request asks for it.
"""

import math

from .recent import RecentSketch

HOUR = 3600.0
_REFRESH = 10.0


class Pace:
    """The usual time to first content per size class (0 to `classes - 1`), and what is slow against it. Times in seconds."""

    __slots__ = ("_computed_at", "_sketches", "_usual", "factor", "floor", "samples")

    def __init__(
        self, classes: int = 4, *, floor: float = 10.0, factor: float = 4.0, samples: int = 20
    ) -> None:
        if classes < 1 or samples < 1 or not (floor >= 0 and factor >= 1):
            raise ValueError(
                f"a pace needs a class, a sample, floor >= 0 and factor >= 1, got {classes}, {samples}, {floor}, {factor}"
            )
        self.floor = floor
        self.factor = factor
        self.samples = samples
        self._sketches = [RecentSketch(HOUR) for _ in range(classes)]
        self._usual: list[float | None] = [None] * classes
        self._computed_at = [-math.inf] * classes

    def observe(self, size_class: int, seconds: float, now: float) -> None:
        """A first content came after so many seconds. An IndexError for a class that there is not."""
        self._sketches[size_class].observe(seconds, now)

    def usual(self, size_class: int, now: float) -> float | None:
        """The median of the last hour; None where too little has been seen."""
        if now - self._computed_at[size_class] >= _REFRESH:
            self._computed_at[size_class] = now
            sketch = self._sketches[size_class]
            enough = sketch.count(now) >= self.samples
            self._usual[size_class] = sketch.quantile(0.5, now) if enough else None
        return self._usual[size_class]

    def slow_after(self, size_class: int, now: float) -> float:
        """Seconds to first content from which an answer is slow; infinite where nothing is known."""
        usual = self.usual(size_class, now)
        return math.inf if usual is None else max(self.floor, self.factor * usual)

    def is_slow(self, size_class: int, seconds: float, now: float) -> bool:
        """Is a first content after so many seconds slow? Ask before `observe`, so that it is not its own yardstick."""
        return seconds > self.slow_after(size_class, now)
