"""The latency sketch against sorted lists."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.quantiles import (
    LONGEST,
    RELATIVE_ERROR,
    SHORTEST,
    LatencySketch,
)

LATENCIES = st.floats(SHORTEST, LONGEST)
QUANTILES = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0])


def sketch_of(values: list[float]) -> LatencySketch:
    sketch = LatencySketch()
    for value in values:
        sketch.observe(value)
    return sketch


@given(values=st.lists(LATENCIES, min_size=1, max_size=100), q=QUANTILES)
def test_a_quantile_is_within_two_per_cent_of_the_sorted_list(values: list[float], q: float) -> None:
    true = sorted(values)[math.floor(q * (len(values) - 1))]
    found = sketch_of(values).quantile(q)
    assert found is not None
    assert abs(found - true) <= (RELATIVE_ERROR + 1e-9) * true


@given(one=st.lists(LATENCIES, max_size=30), other=st.lists(LATENCIES, max_size=30))
def test_merging_is_the_same_as_having_seen_everything(one: list[float], other: list[float]) -> None:
    merged, whole = sketch_of(one), sketch_of(one + other)
    merged.merge(sketch_of(other))
    assert merged.buckets == whole.buckets
    assert merged.count == whole.count == len(one) + len(other)
    assert merged.sum == pytest.approx(whole.sum)


@given(values=st.lists(LATENCIES, max_size=30))
def test_it_survives_storage(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert msgspec.json.decode(msgspec.json.encode(sketch), type=LatencySketch) == sketch


def test_memory_is_bounded_over_the_whole_range() -> None:
    sketch, value = LatencySketch(), 1e-12
    while value < 1e12:
        sketch.observe(value)
        value *= 1.003
    assert len(sketch.buckets) <= 525


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9])
def test_what_is_too_short_counts_as_the_shortest(value: float) -> None:
    found = sketch_of([value]).quantile(0.5)
    assert found == pytest.approx(SHORTEST, rel=RELATIVE_ERROR)


def test_before_the_first_sample_there_is_no_quantile() -> None:
    assert LatencySketch().quantile(0.5) is None


def test_nonsense_is_refused() -> None:
    sketch = LatencySketch()
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            sketch.observe(value)
    with pytest.raises(ValueError, match="between 0 and 1"):
        sketch.quantile(1.5)
    assert sketch == LatencySketch()
