"""The histogram against sorted lists."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.load.histogram import LONGEST, RELATIVE_ERROR, Histogram

DURATIONS = st.one_of(st.floats(0, LONGEST), st.floats(0, 1), st.floats(0, 1e-3))
SHARES = st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])
HALF_A_MICROSECOND = 0.5e-6 + 1e-12


def histogram_of(values: list[float]) -> Histogram:
    seen = Histogram()
    for value in values:
        seen.add(value)
    return seen


def ranked(values: list[float], q: float) -> float:
    return sorted(values)[max(1, math.ceil(round(q * len(values), 6))) - 1]


def close(found: float | None, true: float) -> bool:
    return found is not None and abs(found - true) <= RELATIVE_ERROR * true + HALF_A_MICROSECOND


@settings(max_examples=30, deadline=None)
@given(values=st.lists(DURATIONS, min_size=1, max_size=100), q=SHARES)
def test_a_quantile_is_that_of_the_sorted_list_within_the_promised_error(
    values: list[float], q: float
) -> None:
    assert close(histogram_of(values).quantile(q), ranked(values, q))


@settings(max_examples=30, deadline=None)
@given(values=st.lists(DURATIONS, max_size=60), missing=st.integers(0, 60), q=SHARES)
def test_values_that_never_came_count_as_longer_than_any(values: list[float], missing: int, q: float) -> None:
    of = len(values) + missing
    found = histogram_of(values).quantile(q, of)
    true = ranked(values + [math.inf] * missing, q) if of else math.inf
    assert found is None if math.isinf(true) else close(found, true)


@settings(max_examples=30, deadline=None)
@given(one=st.lists(DURATIONS, max_size=30), other=st.lists(DURATIONS, max_size=30))
def test_merging_is_the_same_as_having_seen_everything(one: list[float], other: list[float]) -> None:
    merged, whole = histogram_of(one), histogram_of(one + other)
    merged.merge(histogram_of(other))
    assert (merged.buckets, merged.count) == (whole.buckets, whole.count)
    assert (merged.shortest, merged.longest) == (whole.shortest, whole.longest)
    assert merged.sum == pytest.approx(whole.sum)


@settings(max_examples=30, deadline=None)
@given(values=st.lists(DURATIONS, max_size=60), bound=DURATIONS)
def test_how_many_are_shorter_is_exact_but_for_those_next_to_the_bound(
    values: list[float], bound: float
) -> None:
    margin = 2 * RELATIVE_ERROR * bound + 2 * HALF_A_MICROSECOND
    surely = sum(value < bound - margin for value in values)
    perhaps = sum(value <= bound + margin for value in values)
    assert surely <= histogram_of(values).below(bound) <= perhaps


@settings(max_examples=30, deadline=None)
@given(values=st.lists(DURATIONS, max_size=60))
def test_the_steps_are_in_order_do_not_overlap_and_hold_everything(values: list[float]) -> None:
    steps = list(histogram_of(values).steps())
    assert sum(times for _, _, times in steps) == len(values)
    assert all(low < high for low, high, _ in steps)
    assert all(left[1] <= right[0] for left, right in pairwise(steps))


@settings(max_examples=30, deadline=None)
@given(values=st.lists(DURATIONS, min_size=1, max_size=30))
def test_it_survives_storage(values: list[float]) -> None:
    seen = histogram_of(values)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Histogram) == seen


def test_memory_is_bounded_over_the_whole_range() -> None:
    seen, value = Histogram(), 1e-9
    while value < 1e9:
        seen.add(value)
        value *= 1.002
    assert len(seen.buckets) < 4000


def test_what_is_out_of_range_counts_as_its_end_and_what_is_no_number_not_at_all() -> None:
    assert histogram_of([-1.0]).quantile(1.0) == 0.0
    assert histogram_of([1e9, 1.0]).quantile(1.0) == pytest.approx(LONGEST, rel=RELATIVE_ERROR)
    for value in (math.inf, math.nan):
        with pytest.raises(ValueError, match="finite"):
            Histogram().add(value)
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None


def test_many_at_once_are_as_many_one_by_one() -> None:
    seen = Histogram()
    seen.add(0.25, times=3)
    assert seen == histogram_of([0.25, 0.25, 0.25])
