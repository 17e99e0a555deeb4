"""Sitting out a day: single trials, twice as far apart each time, and one success ends it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.trials import DailyRest

QUARTER = 900.0
DAY = 86_400.0


def test_the_first_trial_comes_after_a_quarter_of_an_hour_and_nobody_passes_meanwhile() -> None:
    rest = DailyRest()
    rest.begin(DAY, 0)
    assert not rest.may_try(QUARTER - 1)
    assert rest.may_try(QUARTER)
    assert rest.retry_at == QUARTER
    rest.try_now(QUARTER)
    assert not rest.may_try(QUARTER)
    assert rest.holds(QUARTER)


def test_trials_that_fail_are_twice_as_far_apart_and_at_most_six_hours() -> None:
    rest, now, waits = DailyRest(), 0.0, []
    rest.begin(10 * DAY, 0)
    for _ in range(8):
        waits.append((rest.retry_at - now) / QUARTER)
        now = rest.retry_at
        rest.end_trial(rest.try_now(now), False, now)
    assert waits == [1, 2, 4, 8, 16, 24, 24, 24]


def test_a_success_ends_the_rest() -> None:
    rest = DailyRest()
    rest.begin(DAY, 0)
    rest.end_trial(rest.try_now(QUARTER), True, QUARTER)
    assert not rest.holds(QUARTER)


def test_a_cancelled_trial_gives_its_turn_back() -> None:
    rest = DailyRest()
    rest.begin(DAY, 0)
    rest.end_trial(rest.try_now(QUARTER), None, QUARTER + 1)
    assert rest.may_try(QUARTER + 1)


def test_a_trial_whose_holder_died_lapses_and_its_late_success_still_counts() -> None:
    rest = DailyRest()
    rest.begin(DAY, 0)
    lost = rest.try_now(QUARTER)
    assert rest.may_try(2 * QUARTER)
    rest.try_now(2 * QUARTER)
    rest.end_trial(lost, False, 2 * QUARTER)
    assert not rest.may_try(2 * QUARTER)
    rest.end_trial(lost, True, 2 * QUARTER)
    assert not rest.holds(2 * QUARTER)


def test_a_trial_of_yesterday_does_not_end_todays_rest() -> None:
    rest = DailyRest()
    rest.begin(1000, 0)
    old = rest.try_now(QUARTER)
    rest.begin(DAY, 2000)
    rest.end_trial(old, True, 2001)
    assert rest.holds(2001)


def test_told_again_the_rest_is_only_ever_extended_and_no_trial_is_put_off() -> None:
    rest = DailyRest()
    rest.begin(DAY, 0)
    rest.begin(100, 50)
    assert rest.until == DAY
    assert rest.retry_at == QUARTER
    rest.begin(2 * DAY, 60)
    assert rest.until == 2 * DAY


def test_the_day_ends_by_itself_and_the_next_begins_anew() -> None:
    rest = DailyRest()
    rest.begin(1000, 0)
    rest.end_trial(rest.try_now(QUARTER), False, QUARTER)
    assert not rest.holds(1000)
    assert not rest.may_try(1000)
    rest.begin(DAY, 1000)
    assert rest.retry_at == 1000 + QUARTER


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 300.0, 900.0, 5000.0]),
            st.sampled_from(["try", "passed", "failed", "gone", "told"]),
        ),
        max_size=60,
    )
)
def test_at_most_one_trial_is_out_and_each_waits_its_time(steps: list[tuple[float, str]]) -> None:
    rest, now = DailyRest(), 0.0
    rest.begin(DAY, 0)
    out: tuple[int, float] | None = None
    wait, due, until = QUARTER, QUARTER, DAY
    for step, what in steps:
        now += step
        if out is not None and now >= out[1] + QUARTER:
            out = None
        open_ = now >= until
        assert rest.holds(now) is not open_
        assert rest.may_try(now) is (not open_ and out is None and now >= due)
        if what == "try" and rest.may_try(now):
            out = (rest.try_now(now), now)
        elif what == "told":
            rest.begin(max(until, now + 1) if open_ else until, now)
            if open_:
                wait, due, until, out = QUARTER, now + QUARTER, max(until, now + 1), None
        elif out is not None and what in ("passed", "failed", "gone"):
            rest.end_trial(out[0], {"passed": True, "failed": False, "gone": None}[what], now)
            if what == "passed" and not open_:
                until = -math.inf
            elif what == "failed" and not open_:
                wait = min(6 * 3600, 2 * wait)
                due = now + wait
            out = None
        assert rest.is_sound(now, 30 * DAY)


@pytest.mark.parametrize("until", [math.inf, math.nan])
def test_a_day_without_end_is_refused(until: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        DailyRest().begin(until, 0)


def test_trials_need_times() -> None:
    with pytest.raises(ValueError, match="first"):
        DailyRest(first=0)
