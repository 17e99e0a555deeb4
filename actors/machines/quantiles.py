"""Latency quantiles in bounded memory.

Theory. Buckets grow geometrically: bucket i holds values in (g**(i-1), g**i] with g = (1 + e) / (1 - e). Answering with
2 * g**i / (g + 1) is off by at most the relative error e, for every quantile and every distribution (C. Masson,
J. Rim, H. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019).
Two sketches add up by adding counts, without further error. The range is clamped to 0.1 ms - 28 h, which bounds a
sketch to about 520 buckets; only those in use exist. The values need not be seconds: whatever lies in that range will do.
"""

import math

from msgspec import Struct, field

RELATIVE_ERROR = 0.02
SHORTEST = 1e-4
LONGEST = 1e5

_GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SCALE = 1.0 / math.log(_GROWTH)
_MIDDLE = 2.0 / (_GROWTH + 1.0)
_LOWEST = math.ceil(math.log(SHORTEST) * _SCALE)
_HIGHEST = math.ceil(math.log(LONGEST) * _SCALE)


def _bucket_of(seconds: float) -> int:
    if SHORTEST < seconds < LONGEST:
        return math.ceil(math.log(seconds) * _SCALE)
    if not -math.inf < seconds < math.inf:
        raise ValueError(f"a latency must be finite, got {seconds}")
    return _LOWEST if seconds <= SHORTEST else _HIGHEST


class LatencySketch(Struct):
    """Counts of seconds by geometric bucket. A plain Struct, so that it can be stored and sent as it is."""

    buckets: dict[int, int] = field(default_factory=dict)
    count: int = 0
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one latency. Outside the range it counts as the range's end; `sum` keeps the true value."""
        bucket = _bucket_of(seconds)
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        self.count += 1
        self.sum += seconds

    def quantile(self, q: float) -> float | None:
        """The value of rank `floor(q * (count - 1))` among those seen, within 2 %; None before the first."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a quantile lies between 0 and 1, got {q}")
        if not self.count:
            return None
        rank = math.floor(q * (self.count - 1))
        passed = 0
        key = 0
        for key in sorted(self.buckets):
            passed += self.buckets[key]
            if passed > rank:
                break
        return float(_GROWTH**key * _MIDDLE)

    def merge(self, other: "LatencySketch") -> None:
        """Take in everything `other` has seen."""
        for key, amount in other.buckets.items():
            self.buckets[key] = self.buckets.get(key, 0) + amount
        self.count += other.count
        self.sum += other.sum
