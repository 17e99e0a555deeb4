"""How fast traffic may grow: against a list of everything that was sent."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.ramp import LOWEST_FLOOR, Ramp

WINDOW = 900.0
FLOOR = 100.0
FACTOR = math.log(1.5) / (1 - 1 / 1.5)


def sent_within(sends: list[tuple[float, float]], begin: float, end: float) -> float:
    return sum(tokens for at, tokens in sends if begin < at <= end)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 7.0, 60.0, 400.0, 1000.0]), st.sampled_from([0, 1000, 20_000, 10**6])
        ),
        max_size=50,
    )
)
@settings(deadline=None)
def test_the_cap_is_the_floor_or_follows_what_was_sent(steps: list[tuple[float, int]]) -> None:
    ramp, now, sends = Ramp(FLOOR), 0.0, list[tuple[float, float]]()
    for step, tokens in steps:
        now += step
        if tokens:
            ramp.sent(tokens, now)
            sends.append((now, tokens))
        # Slices of half a minute and batches of a few seconds: what is that much older may or may not count.
        least = sent_within(sends, now - WINDOW + 30 + 5, now) / WINDOW
        most = sent_within(sends, now - WINDOW - 5, now) / (WINDOW - 30)
        cap = ramp.cap(now)
        assert max(FLOOR, FACTOR * least) - 1e-6 <= cap <= max(FLOOR, FACTOR * most) + 1e-6


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 10.0, 70.0, 500.0]),
            st.sampled_from([1.0, 500.0, 5000.0, 10**7]),
            st.booleans(),
        ),
        max_size=40,
    )
)
@settings(deadline=None)
def test_no_window_holds_more_than_the_highest_cap_allows(steps: list[tuple[float, float, bool]]) -> None:
    ramp, now, starts, highest = Ramp(FLOOR), 0.0, list[tuple[float, float]](), FLOOR
    for step, tokens, complain in steps:
        now += step
        if complain:
            ramp.slow_down(now)
        cost = ramp.cost(tokens, now)
        assert 0 < cost <= tokens
        if ramp.bucket.wait(cost, now) == 0:
            ramp.bucket.take(cost, now)
            ramp.sent(cost, now)
            starts.append((now, cost))
        highest = max(highest, ramp.cap(now), ramp.bucket.rate)
        assert ramp.is_sound(now, 86_400)
    for first, _ in starts:
        for last, _ in starts:
            inside = sum(cost for at, cost in starts if first <= at <= last)
            assert first > last or inside <= 60 * highest + highest * (last - first) + 1e-6


def test_a_failover_that_brings_ten_times_the_traffic_is_let_in_by_and_by() -> None:
    ramp, now, quarters = Ramp(FLOOR), 0.0, list[float]()
    for _ in range(5):
        passed = 0.0
        for _ in range(900):
            cost = ramp.cost(10 * FLOOR, now)
            if ramp.bucket.wait(cost, now) == 0:
                ramp.bucket.take(cost, now)
                ramp.sent(cost, now)
                passed += cost
            now += 1
        quarters.append(passed)
    assert FLOOR * 900 <= quarters[0] < FLOOR * 900 * 1.1
    for earlier, later in pairwise(quarters):
        assert 1.2 * earlier < later < 1.55 * earlier


def test_idle_for_a_while_growth_begins_again_at_the_floor() -> None:
    ramp = Ramp(FLOOR)
    for second in range(900):
        ramp.sent(10 * FLOOR, float(second))
    assert ramp.cap(900) == pytest.approx(FACTOR * 10 * FLOOR, rel=0.1)
    assert ramp.cap(900 + 2 * WINDOW) == FLOOR


def test_a_complaint_halves_the_cap_for_a_quarter_of_an_hour_and_repeated_ones_again() -> None:
    ramp = Ramp(FLOOR)
    ramp.slow_down(0)
    ramp.slow_down(1)
    assert ramp.cap(2) == FLOOR / 2
    for minute in range(1, 9):
        ramp.slow_down(minute * 61.0)
    assert ramp.cap(500) == FLOOR / 8
    last = 8 * 61.0
    assert [ramp.cap(last + n * WINDOW) / FLOOR for n in (1, 2, 3)] == [0.25, 0.5, 1]


def test_without_a_floor_only_a_complaint_puts_it_in_force_and_an_hour_ends_it() -> None:
    ramp = Ramp()
    assert ramp.cost(10**9, 0) == 0
    for second in range(900):
        ramp.sent(3000.0, float(second))
    ramp.slow_down(900)
    assert ramp.cap(900) == pytest.approx(FACTOR / 2 * 3000, rel=0.1)
    assert ramp.bucket.available(900) == 0
    assert ramp.cost(100.0, 901) == 100
    assert ramp.cost(100.0, 900 + 3600) == 0


def test_an_outage_cannot_starve_it_of_everything() -> None:
    ramp = Ramp()
    ramp.slow_down(0)
    assert ramp.cap(0) == LOWEST_FLOOR / 2


def test_one_request_larger_than_the_cap_may_pass_alone() -> None:
    ramp = Ramp(FLOOR)
    assert ramp.bucket.wait(ramp.cost(10**9, 0), 0) == 0


def test_after_a_crash_nothing_is_left_and_a_complaint_is_not_forgotten() -> None:
    ramp = Ramp(FLOOR)
    ramp.slow_down(0)
    ramp.bucket.tat = math.nan
    ramp.pessimise(1)
    assert ramp.is_sound(1, 86_400)
    assert ramp.bucket.available(1) == 0
    assert ramp.cap(1) == FLOOR / 2
    ramp._complained_at = math.nan
    assert not ramp.is_sound(1, 86_400)
    ramp.pessimise(1)
    assert ramp.cap(1) == FLOOR / 8


@pytest.mark.parametrize(("floor", "growth"), [(0.0, 1.5), (math.inf, 1.5), (FLOOR, 1.0)])
def test_a_ramp_that_could_never_rise_is_refused(floor: float, growth: float) -> None:
    with pytest.raises(ValueError, match="ramp"):
        Ramp(floor, growth)
