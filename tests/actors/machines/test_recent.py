"""The last hour's latencies, against a list of everything that was seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.quantiles import LatencySketch
from llm_dispatcher.actors.machines.recent import RecentSketch

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0]), st.floats(0.001, 100.0)), min_size=1, max_size=30
)


@given(steps=STEPS, later=st.sampled_from([0.0, 1.0, 2.0, 5.0]))
def test_it_holds_this_half_and_the_one_before(steps: list[tuple[float, float]], later: float) -> None:
    recent, now, seen = RecentSketch(span=4.0), 0.0, list[tuple[float, float]]()
    for step, value in steps:
        now += step
        recent.observe(value, now)
        seen.append((now, value))
    now += later
    expected = LatencySketch()
    for time, value in seen:
        if now // 2 - time // 2 <= 1:
            expected.observe(value)
    found = recent.sketch(now)
    assert found.buckets == expected.buckets
    assert found.count == recent.count(now) == expected.count
    assert recent.quantile(0.5, now) == expected.quantile(0.5)


def test_reading_changes_nothing() -> None:
    recent = RecentSketch(span=4.0)
    recent.observe(1.0, 0.0)
    assert recent.count(100.0) == 0
    recent.sketch(1.0).observe(5.0)
    assert recent.count(1.0) == 1


def test_a_span_is_a_time() -> None:
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="span"):
            RecentSketch(wrong)
