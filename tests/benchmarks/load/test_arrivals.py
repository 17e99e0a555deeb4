"""Patterns of arrival: their rates, their unevenness, and that a seed repeats them."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.load.arrivals import PATTERNS, Pattern, arrivals, bursts, constant

RATES = st.floats(0.01, 10_000)


def first(pattern: Pattern, rate: float, seed: int, count: int, burst: int = 20) -> list[float]:
    return list(islice(arrivals(pattern, rate, random.Random(seed), burst), count))


@settings(max_examples=30, deadline=None)
@given(pattern=st.sampled_from(PATTERNS), rate=RATES, seed=st.integers(), burst=st.integers(1, 50))
def test_arrivals_ascend_and_the_same_seed_repeats_them(
    pattern: Pattern, rate: float, seed: int, burst: int
) -> None:
    times = first(pattern, rate, seed, 60, burst)
    assert times == sorted(times)
    assert times[0] >= 0
    assert times == first(pattern, rate, seed, 60, burst)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_keeps_the_rate(pattern: Pattern) -> None:
    times = first(pattern, 50.0, 1, 20_000, burst=10)
    assert times[-1] == pytest.approx(400, rel=0.06)


def test_constant_arrivals_do_not_drift() -> None:
    assert next(islice(constant(0.3), 300_000, None)) == 1_000_000.0


def test_poisson_gaps_vary_as_much_as_their_mean() -> None:
    times = first("poisson", 10.0, 2, 20_000)
    gaps = [after - before for before, after in pairwise(times)]
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1.0, rel=0.05)


def test_bursts_come_whole_and_at_one_instant() -> None:
    times = list(islice(bursts(100.0, 25, random.Random(3)), 250))
    assert set(Counter(times).values()) == {25}


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    for pattern in PATTERNS:
        with pytest.raises(ValueError, match="rate"):
            next(arrivals(pattern, rate, random.Random(1)))


def test_a_burst_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="burst"):
        next(bursts(1.0, 0, random.Random(1)))
