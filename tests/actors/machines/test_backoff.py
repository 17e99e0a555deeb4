"""Retry delays: their distribution, their bounds, and the server's word."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.backoff import Backoff, decorrelated, honour


def distance_from_uniform(samples: list[float], low: float, high: float) -> float:
    """The Kolmogorov-Smirnov statistic of `samples` against U(low, high)."""
    count = len(samples)
    places = [(value - low) / (high - low) for value in sorted(samples)]
    return max(max((i + 1) / count - place, place - i / count) for i, place in enumerate(places))


@pytest.mark.parametrize(("attempt", "ceiling"), [(0, 0.25), (3, 2.0), (5, 8.0), (40, 8.0)])
def test_full_jitter_is_uniform_between_zero_and_the_ceiling(attempt: int, ceiling: float) -> None:
    rng = random.Random(attempt)
    samples = [Backoff().delay(attempt, rng) for _ in range(4000)]
    # The critical value for one false alarm in a thousand is 1.95 / sqrt(n).
    assert distance_from_uniform(samples, 0, ceiling) < 1.95 / math.sqrt(len(samples))


def test_equal_jitter_is_uniform_over_the_upper_half() -> None:
    rng = random.Random(7)
    samples = [Backoff(jitter="equal").delay(2, rng) for _ in range(4000)]
    assert distance_from_uniform(samples, 0.5, 1.0) < 1.95 / math.sqrt(len(samples))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("exponential", [1, 2, 4, 8, 10, 10]), ("linear", [1, 2, 3, 4, 5, 6]), ("fixed", [1, 1, 1, 1, 1, 1])],
)
def test_ceilings_grow_as_their_kind_says_up_to_the_cap(kind: str, expected: list[float]) -> None:
    shapes = {
        "exponential": Backoff("exponential", 1, 10, "none"),
        "linear": Backoff("linear", 1, 10, "none"),
        "fixed": Backoff("fixed", 1, 10, "none"),
    }
    rng = random.Random(0)
    assert [shapes[kind].delay(attempt, rng) for attempt in range(6)] == expected


@given(
    attempt=st.integers(0, 10_000),
    hint=st.none() | st.floats(allow_nan=True, allow_infinity=False),
    seed=st.integers(0, 9),
    jitter=st.sampled_from(["full", "equal", "none"]),
    kind=st.sampled_from(["exponential", "linear", "fixed"]),
)
def test_a_delay_is_finite_not_negative_and_at_least_the_hint(
    attempt: int, hint: float | None, seed: int, jitter: str, kind: str
) -> None:
    shape = Backoff(kind=kind, base=0.25, cap=8.0, jitter=jitter)  # type: ignore[arg-type]  # drawn as plain strings
    delay = shape.delay(attempt, random.Random(seed), hint)
    assert 0 <= delay < math.inf
    if hint is None or math.isnan(hint):
        assert delay <= 8.0
    else:
        assert hint <= delay <= max(hint, 8.0)


def test_a_hint_lengthens_and_never_shortens() -> None:
    assert honour(5.0, 1.0) == 5.0
    assert honour(1.0, 5.0) == 5.0
    assert honour(None, 5.0) == 5.0
    assert honour(math.nan, 5.0) == 5.0
    assert honour(-3.0, 0.0) == 0.0


@given(previous=st.floats(0, 100), seed=st.integers(0, 99))
def test_a_decorrelated_delay_lies_between_the_base_and_three_times_the_last(
    previous: float, seed: int
) -> None:
    delay = decorrelated(previous, 0.1, 30.0, random.Random(seed))
    assert 0.1 <= delay <= min(30.0, max(0.1, 3 * previous))


@pytest.mark.parametrize(("base", "cap"), [(-1, 1), (2, 1), (1, math.inf), (math.nan, 1)])
def test_a_shape_that_makes_no_sense_is_refused(base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="0 <= base <= cap"):
        Backoff(base=base, cap=cap)
