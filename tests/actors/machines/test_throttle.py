"""The client-side throttle follows its formula over its window."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.throttle import AdaptiveThrottle


@given(sent=st.integers(0, 50), accepted=st.integers(0, 50))
def test_the_probability_is_the_formulas(sent: int, accepted: int) -> None:
    throttle = AdaptiveThrottle()
    for _ in range(sent):
        throttle.sent(10.0)
    for _ in range(accepted):
        throttle.accepted(11.0)
    expected = min(0.75, max(0.0, (sent - 2 * accepted) / (sent + 1)))
    assert throttle.reject_probability(12.0) == pytest.approx(expected)


def test_while_half_of_the_calls_are_accepted_nothing_is_withheld() -> None:
    throttle = AdaptiveThrottle()
    for second in range(100):
        throttle.sent(second)
        if second % 2 == 0:
            throttle.accepted(second)
        assert throttle.reject_probability(second) == 0


def test_a_dead_deployment_still_gets_a_quarter_of_the_calls() -> None:
    throttle, rng = AdaptiveThrottle(), random.Random(5)
    for _ in range(1000):
        throttle.sent(0.0)
    assert throttle.reject_probability(0.0) == 0.75
    withheld = sum(throttle.rejects(0.0, rng) for _ in range(4000))
    assert 2850 <= withheld <= 3150


def test_after_two_minutes_all_is_forgotten() -> None:
    throttle = AdaptiveThrottle()
    for _ in range(9):
        throttle.sent(0.0)
    assert throttle.statistics(114.0).sent == 9
    assert throttle.reject_probability(114.0) == 0.75
    assert throttle.reject_probability(120.0) == 0


def test_figures_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="k >= 1"):
        AdaptiveThrottle(k=0.5)
    with pytest.raises(ValueError, match="cap < 1"):
        AdaptiveThrottle(cap=1.0)
