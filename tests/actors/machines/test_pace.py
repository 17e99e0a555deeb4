"""Which answers are slow: against the median of a list."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.pace import Pace


def settled_pace(seconds: float, size_class: int = 0) -> Pace:
    pace = Pace()
    for _ in range(20):
        pace.observe(size_class, seconds, 0)
    return pace


@given(
    seconds=st.lists(st.floats(0.01, 1000), min_size=20, max_size=100),
    asked=st.floats(0.01, 5000),
)
def test_slow_is_more_than_ten_seconds_and_four_times_the_median(seconds: list[float], asked: float) -> None:
    pace = Pace()
    for each in seconds:
        pace.observe(1, each, 0)
    median = statistics.median_low(seconds)
    limit = max(10, 4 * median)
    if asked < 0.97 * limit or asked > 1.03 * limit:
        assert pace.is_slow(1, asked, 0) is (asked > limit)


def test_no_answer_within_ten_seconds_is_slow() -> None:
    pace = settled_pace(0.1)
    assert not pace.is_slow(0, 9.9, 0)
    assert pace.is_slow(0, 10.1, 0)


def test_what_takes_long_for_long_prompts_does_not_make_short_ones_quick() -> None:
    pace = settled_pace(30, size_class=3)
    for _ in range(20):
        pace.observe(0, 0.5, 0)
    assert not pace.is_slow(3, 100, 0)
    assert pace.is_slow(0, 100, 0)


def test_nothing_is_slow_previous_it_is_known_what_is_usual() -> None:
    pace = Pace()
    for _ in range(19):
        pace.observe(0, 0.5, 0)
    assert pace.slow_after(0, 0) == math.inf
    pace.observe(0, 0.5, 0)
    assert not pace.is_slow(0, 100, 5), "the median is looked at every few seconds"
    assert pace.is_slow(0, 100, 10)


def test_a_vendor_that_slows_down_is_seen_previous_it_becomes_the_usual() -> None:
    pace, now, slow = settled_pace(3.0), 0.0, 0
    for _ in range(15):
        now += 1
        slow += pace.is_slow(0, 60, now)
        pace.observe(0, 60, now)
    assert slow == 15


def test_an_hour_later_the_past_is_forgotten() -> None:
    pace = settled_pace(0.5)
    assert pace.is_slow(0, 60, 1)
    assert pace.slow_after(0, 2 * 3600) == math.inf


def test_it_stays_small_whatever_it_sees() -> None:
    pace, rng = Pace(), random.Random(1)
    for number in range(20_000):
        pace.observe(number % 4, rng.lognormvariate(0, 3), number / 10)
    kept = [sketch for each in pace._sketches for sketch in (each._current, each._previous)]
    assert all(len(sketch.buckets) <= 520 for sketch in kept)


def test_a_class_that_there_is_not_is_an_error() -> None:
    with pytest.raises(IndexError):
        Pace(2).observe(2, 1.0, 0)
    with pytest.raises(ValueError, match="pace"):
        Pace(0)
