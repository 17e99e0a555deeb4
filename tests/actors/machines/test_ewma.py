"""Averages against sums written out; reads that change nothing."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.ewma import Ewma, PeakEwma

SAMPLES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 1.0, 10.0]), st.floats(0, 100)), min_size=1, max_size=20
)


@given(samples=SAMPLES)
def test_the_mean_weighs_each_sample_by_its_age(samples: list[tuple[float, float]]) -> None:
    average, now, seen = Ewma(tau=5.0), 0.0, list[tuple[float, float]]()
    for step, value in samples:
        now += step
        average.observe(value, now)
        seen.append((now, value))
    weights = [math.exp(-(now - time) / 5.0) for time, _ in seen]
    expected = sum(w * value for w, (_, value) in zip(weights, seen, strict=True)) / sum(weights)
    assert average.get_at(now) == pytest.approx(expected, abs=1e-9)


@given(samples=SAMPLES, peeks=st.lists(st.floats(0, 1000), max_size=5))
def test_reading_changes_nothing(samples: list[tuple[float, float]], peeks: list[float]) -> None:
    pairs: list[tuple[Ewma | PeakEwma, Ewma | PeakEwma]] = [
        (Ewma(5.0, 1.0, 300.0), Ewma(5.0, 1.0, 300.0)),
        (PeakEwma(10.0, 1.0), PeakEwma(10.0, 1.0)),
    ]
    for looked, blind in pairs:
        now = 0.0
        for step, value in samples:
            now += step
            for peek in peeks:
                looked.get_at(now + peek)
            looked.observe(value, now)
            blind.observe(value, now)
        assert looked.get_at(now) == blind.get_at(now)


@given(samples=SAMPLES)
def test_a_peak_is_never_below_the_last_sample_nor_above_the_highest(
    samples: list[tuple[float, float]],
) -> None:
    peak, now = PeakEwma(), 0.0
    for step, value in samples:
        now += step
        peak.observe(value, now)
        assert value <= peak.get_at(now) * (1 + 1e-12) + 1e-12
        assert peak.get_at(now) <= max(v for _, v in samples) + 1e-9


def test_a_peak_jumps_up_at_once_and_comes_down_with_time() -> None:
    peak = PeakEwma(tau=10.0, half_life=math.inf)
    peak.observe(1.0, 0.0)
    peak.observe(9.0, 0.0)
    assert peak.get_at(0.0) == 9.0
    peak.observe(1.0, 0.0)
    assert peak.get_at(0.0) == 9.0
    peak.observe(1.0, 10.0)
    assert peak.get_at(10.0) == pytest.approx(1 + 8 / math.e)


def test_the_first_sample_replaces_the_prior_even_downwards() -> None:
    peak, average = PeakEwma(prior=5.0), Ewma(10.0, prior=5.0)
    assert peak.get_at(3.0) == average.get_at(3.0) == 5.0
    peak.observe(1.0, 3.0)
    average.observe(1.0, 3.0)
    assert peak.get_at(3.0) == average.get_at(3.0) == 1.0


@pytest.mark.parametrize("make", [lambda: Ewma(10.0, 2.0, 300.0), lambda: PeakEwma(10.0, 2.0)])
def test_an_idle_value_goes_half_way_to_its_prior_in_five_minutes(
    make: Callable[[], Ewma | PeakEwma],
) -> None:
    value = make()
    value.observe(10.0, 0.0)
    assert value.get_at(0.0) == 10.0
    assert value.get_at(300.0) == pytest.approx(6.0)
    assert value.get_at(600.0) == pytest.approx(4.0)


def test_a_late_sample_does_not_turn_time_back() -> None:
    average = Ewma(10.0)
    average.observe(2.0, 100.0)
    average.observe(4.0, 50.0)
    assert average.get_at(100.0) == 3.0


def test_times_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ValueError, match="positive times"):
        Ewma(0.0)
    with pytest.raises(ValueError, match="positive times"):
        PeakEwma(half_life=0.0)
