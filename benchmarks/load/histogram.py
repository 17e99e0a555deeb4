"""Counts of durations by size: quantiles of any number of values in bounded memory.

Theory. Log-linear buckets, as in HdrHistogram: a value is a whole number of microseconds; up to 2**8 each has a bucket of
its own, and above it every further power of two is cut into 2**7 equal ones. Saying a bucket's middle is therefore off by
at most 1/256 of the value, for every quantile and every distribution. The range ends at 2**36 us (19 hours), which bounds a
histogram to about 3,800 buckets; only those in use exist. Two histograms add up by adding counts, without further error.

The dispatcher's own sketch (`actors.machines.quantiles`) is coarser and begins at 0.1 ms: it steers. This one measures, and
gaps between tokens that came in one piece are of microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

__all__ = ["LONGEST", "RELATIVE_ERROR", "Histogram"]

RELATIVE_ERROR: Final = 1 / 256
"""What a quantile can be off by, as a share of it; half a microsecond more for the rounding to whole ones."""

_BITS: Final = 7
_LINEAR: Final = 2 << _BITS
"""Values below it have a bucket each."""
_MOST: Final = (1 << 36) - 1
LONGEST: Final = _MOST / 1e6
"""Seconds; what is longer counts as this long."""


def _bucket_of(microseconds: int) -> int:
    if microseconds < _LINEAR:
        return microseconds
    shift = microseconds.bit_length() - _BITS - 1
    return (shift << _BITS) + (microseconds >> shift)


def _edges(bucket: int) -> tuple[int, int]:
    """The smallest value of `bucket`, and the smallest beyond it, in microseconds."""
    if bucket < _LINEAR:
        return bucket, bucket + 1
    shift = (bucket >> _BITS) - 1
    low = (bucket - (shift << _BITS)) << shift
    return low, low + (1 << shift)


class Histogram(Struct):
    """Durations in seconds. A plain Struct, so that it can be stored, sent and added up as it is."""

    buckets: dict[int, int] = field(default_factory=dict)
    count: int = 0
    sum: float = 0.0
    shortest: float = math.inf
    longest: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count one duration, `times` times. Below 0 (a clock's rounding) it counts as 0; beyond `LONGEST` only its bucket is
        that of the longest.

        Raises `ValueError` for one that is no number or infinite.
        """
        if not -math.inf < seconds < math.inf:
            raise ValueError(f"a duration is finite, not {seconds}")
        if seconds < 0:
            seconds = 0.0
        bucket = _bucket_of(min(_MOST, round(seconds * 1e6)))
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + times
        self.count += times
        self.sum += seconds * times
        if seconds < self.shortest:
            self.shortest = seconds
        if seconds > self.longest:
            self.longest = seconds

    def merge(self, other: Histogram) -> None:
        """Take in everything that `other` has counted."""
        for bucket, times in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        self.count += other.count
        self.sum += other.sum
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)

    @property
    def mean(self) -> float | None:
        """The mean, exact; None before the first value."""
        return self.sum / self.count if self.count else None

    def quantile(self, q: float, of: int | None = None) -> float | None:
        """The value of rank `ceil(q * count)`: the smallest that at least the share `q` does not exceed.

        With `of`, among so many values, of which those that are not here are longer than any: requests that never
        ended are not forgotten by it. None where the rank falls among those, and before the first value.
        """
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a quantile lies between 0 and 1, not {q}")
        # What is a whole number on paper stays one: 0.99 * 100 is 99.00000000000001 in binary.
        rank = max(1, math.ceil(round(q * (self.count if of is None else of), 6)))
        passed = 0
        for bucket, times in sorted(self.buckets.items()):
            passed += times
            if passed >= rank:
                low, high = _edges(bucket)
                return max(self.shortest, min(self.longest, (low + high - 1) / 2e6))
        return None

    def below(self, seconds: float) -> int:
        """How many values are shorter than `seconds`; those in its own bucket count by the bucket's middle."""
        within = 0
        for bucket, times in self.buckets.items():
            low, high = _edges(bucket)
            if (low + high - 1) / 2e6 < seconds:
                within += times
        return within

    def steps(self) -> Iterator[tuple[float, float, int]]:
        """The buckets in use, in order: where each begins and ends (seconds), and how many values it holds."""
        for bucket, times in sorted(self.buckets.items()):
            low, high = _edges(bucket)
            yield low / 1e6, high / 1e6, times
