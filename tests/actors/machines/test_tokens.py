"""Estimates that learn: against the plain sums."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.tokens import TokenEstimates

AMOUNTS = st.one_of(st.floats(1, 1e6), st.sampled_from([0.0, -1.0, math.inf, math.nan, 1e-3]))


@given(
    reports=st.lists(st.tuples(st.sampled_from([0.0, 1.0, 600.0, 5000.0]), AMOUNTS, AMOUNTS), max_size=30),
)
def test_the_ratio_is_the_faded_mean_within_its_bounds(reports: list[tuple[float, float, float]]) -> None:
    estimates, now = TokenEstimates(), 0.0
    seen: list[tuple[float, float, float]] = []
    for step, estimated, reported in reports:
        now += step
        estimates.observe_input(estimated, reported, now)
        if 0 < estimated < math.inf and 0 < reported < math.inf:
            seen.append((now, estimated, min(4 * estimated, max(estimated / 4, reported))))
        latest = seen[-1][0] if seen else now
        weights = [math.exp((at - latest) / 600) for at, _, _ in seen]
        total = sum(weight * each for weight, (_, each, _) in zip(weights, seen, strict=True))
        found = sum(weight * each for weight, (_, _, each) in zip(weights, seen, strict=True))
        assert estimates.ratio == pytest.approx(found / total if total else 1.0)
        assert 0.25 <= estimates.ratio <= 4
        assert estimates.expected_input(100) == pytest.approx(100 * estimates.ratio)


@given(outputs=st.lists(st.integers(1, 20_000), min_size=20, max_size=100), max_tokens=st.integers(1, 20_000))
def test_the_expected_output_is_what_nine_in_ten_do_not_exceed(outputs: list[int], max_tokens: int) -> None:
    estimates = TokenEstimates()
    for each in outputs:
        estimates.observe_output(each, 0)
    p90 = sorted(outputs)[math.floor(0.9 * (len(outputs) - 1))]
    assert estimates.expected_output(max_tokens, 0) == pytest.approx(min(max_tokens, p90), rel=0.021)
    assert estimates.expected_output(max_tokens, 0) <= max_tokens


def test_until_enough_answers_were_seen_the_bound_is_expected() -> None:
    estimates = TokenEstimates()
    for _ in range(19):
        estimates.observe_output(50, 0)
    assert estimates.expected_output(4096, 0) == 4096
    assert estimates.statistics(0).usual_output is None
    estimates.observe_output(50, 0)
    assert estimates.expected_output(4096, 10) == pytest.approx(50, rel=0.02)


def test_one_absurd_report_neither_starves_nor_floods_a_vendor() -> None:
    estimates = TokenEstimates()
    for _ in range(50):
        estimates.observe_input(1000, 1100, 0)
    estimates.observe_input(1000, 1e12, 0)
    assert estimates.ratio == pytest.approx((50 * 1.1 + 4) / 51)
    estimates.observe_input(1000, 1, 0)
    assert estimates.ratio > 1


def test_the_error_falls_once_the_ratio_is_learned() -> None:
    estimates, rng = TokenEstimates(), random.Random(1)
    assert estimates.statistics(0).error is None
    for number in range(2000):
        size = rng.uniform(100, 10_000)
        estimates.observe_input(size, size * 1.4 * rng.uniform(0.95, 1.05), number * 3.0)
    shown = estimates.statistics(6000)
    assert shown.ratio == pytest.approx(1.4, rel=0.02)
    assert shown.error is not None
    assert shown.error < 0.08


def test_an_hour_without_answers_and_the_usual_length_is_unknown_again() -> None:
    estimates = TokenEstimates()
    for _ in range(50):
        estimates.observe_output(50, 0)
    assert estimates.expected_output(1000, 0) < 60
    assert estimates.expected_output(1000, 3700) == 1000
