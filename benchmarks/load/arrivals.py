"""When requests arrive: endless, ascending offsets in seconds from the start of the load. Pure.

An open loop sends at these times whatever the answers do, as independent callers would. All patterns have the same mean
rate; they differ in how evenly it comes:

    constant   | | | | | | | |      one every 1/rate seconds
    poisson    || |    | ||  |      independent callers: exponential gaps (coefficient of variation 1)
    bursts     ||||        ||||     `size` at the same instant; the instants are a Poisson process
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import count
from typing import Final, Literal, TypeAlias

__all__ = ["PATTERNS", "Pattern", "arrivals", "bursts", "constant", "poisson"]

Pattern: TypeAlias = Literal["constant", "poisson", "bursts"]
PATTERNS: Final[tuple[Pattern, ...]] = ("constant", "poisson", "bursts")


def arrivals(pattern: Pattern, rate: float, rng: random.Random, burst: int = 20) -> Iterator[float]:
    """The offsets of `pattern` at `rate` requests a second; `burst` is the size of a burst."""
    if pattern == "constant":
        return constant(rate)
    return poisson(rate, rng) if pattern == "poisson" else bursts(rate, burst, rng)


def constant(rate: float) -> Iterator[float]:
    """Evenly; the n-th at n/rate exactly, so that nothing adds up however long it runs."""
    _check(rate)
    for number in count():
        yield number / rate


def poisson(rate: float, rng: random.Random) -> Iterator[float]:
    """A Poisson process."""
    _check(rate)
    now = 0.0
    while True:
        now += rng.expovariate(rate)
        yield now


def bursts(rate: float, size: int, rng: random.Random) -> Iterator[float]:
    """`size` requests at each event of a Poisson process of `rate / size` events a second."""
    if size < 1:
        raise ValueError(f"a burst has at least 1 request, not {size}")
    for instant in poisson(rate / size, rng):
        for _ in range(size):
            yield instant


def _check(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise ValueError(f"a rate is above 0 and finite, not {rate}")
