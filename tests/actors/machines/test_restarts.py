"""Restart intensity against a list of restarts; delays and quarantines by example."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.restarts import Quarantine, RestartDelay, RestartWindow


@given(
    most=st.integers(0, 3),
    steps=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), max_size=30),
)
def test_a_restart_is_one_too_many_when_the_period_before_it_already_holds_the_most(
    most: int, steps: list[float]
) -> None:
    window, now, times = RestartWindow(most, 5.0), 0.0, list[float]()
    for step in steps:
        now += step
        times.append(now)
        assert window.spend(now) == (sum(1 for t in times if t > now - 5.0) <= most)


def test_a_window_without_a_period_is_refused() -> None:
    with pytest.raises(ValueError, match="a count and a period"):
        RestartWindow(1, 0)
    with pytest.raises(ValueError, match="a count and a period"):
        RestartWindow(-1, 1)


@given(seed=st.integers(0, 200))
def test_the_first_restart_is_immediate_and_later_ones_stay_between_base_and_cap(seed: int) -> None:
    rng, delay, now, previous = random.Random(seed), RestartDelay(), 0.0, 0.1
    assert delay.after_crash(now, rng) == 0
    for _ in range(30):
        waited = delay.after_crash(now, rng)
        assert 0.1 <= waited <= min(30.0, 3 * previous)
        now += waited
        previous = waited


def test_delays_reach_the_cap_under_lasting_crashes() -> None:
    rng, delay, now = random.Random(3), RestartDelay(), 0.0
    waits = []
    for _ in range(200):
        waits.append(delay.after_crash(now, rng))
        now += waits[-1] + 1.0
    assert max(waits) == 30.0
    assert len(set(waits)) > 100


def test_a_minute_of_health_makes_the_next_restart_immediate_again() -> None:
    rng, delay = random.Random(0), RestartDelay()
    delay.after_crash(0.0, rng)
    waited = delay.after_crash(1.0, rng)
    assert waited > 0
    assert delay.after_crash(1.0 + waited + 59.9, rng) > 0
    started = 1.0 + waited + 59.9 + 30.0
    assert delay.after_crash(started + 60.0, rng) == 0


def test_quarantine_doubles_from_five_minutes_to_an_hour() -> None:
    quarantine, now, lengths = Quarantine(), 0.0, list[float]()
    for _ in range(6):
        until = quarantine.enter(now)
        lengths.append(until - now)
        now = until
    assert lengths == [300, 600, 1200, 2400, 3600, 3600]


def test_reports_of_the_same_fault_do_not_escalate() -> None:
    quarantine = Quarantine()
    assert [quarantine.enter(now) for now in (0, 1, 299)] == [300, 300, 300]
    assert quarantine.holds(299.9)
    assert not quarantine.holds(300)
    assert quarantine.enter(300) == 900


def test_a_good_hour_is_rewarded_with_the_shortest_quarantine() -> None:
    quarantine = Quarantine()
    quarantine.enter(0)
    assert quarantine.enter(300 + 3600) == 3900 + 300


def test_lifting_by_hand_forgets_the_past() -> None:
    quarantine = Quarantine()
    quarantine.enter(0)
    quarantine.lift()
    assert not quarantine.holds(1)
    assert quarantine.enter(1) == 301
