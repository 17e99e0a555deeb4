"""Feeling for a limit that nobody tells: against the formula, computed slowly from all that happened."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.machines.send_rate import SendRate

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.01, 0.1, 0.3, 1.0, 20.0, 700.0]),
        st.sampled_from(["sent", "throttle", "success"]),
    ),
    max_size=60,
)


def measured(sends: list[float], now: float) -> float:
    """The rate really sent, from the list of all sends: half seconds that had some, each against the time since the last."""
    rate = 0.0
    ticks = sorted({math.floor(at * 2) / 2 for at in sends})
    present_tick = math.floor(now * 2) / 2
    for position, tick in enumerate(ticks):
        following = ticks[position + 1] if position + 1 < len(ticks) else present_tick
        count = sum(1 for at in sends if math.floor(at * 2) / 2 == tick)
        present = count / max(following - tick, 0.5)
        blended = present if rate == 0 else 0.8 * present + 0.2 * rate
        rate = max(blended, rate) if tick == present_tick else blended
    return rate


class Oracle:
    """The formula by its definition, on the list of all events."""

    def __init__(self) -> None:
        self.sends: list[float] = []
        self.rate: float | None = None
        self.crest = self.since = 0.0

    def throttle(self, now: float) -> None:
        seen = measured(self.sends, now)
        self.crest = seen if self.rate is None or seen == 0 else min(self.rate, seen)
        self.rate = max(0.5, 0.7 * self.crest)
        self.since = now

    def success(self, now: float) -> None:
        if self.rate is None:
            return
        if now - self.since >= 600:
            self.rate = None
            return
        turning = (self.crest * 0.3 / 0.4) ** (1 / 3)
        wanted = 0.4 * (now - self.since - turning) ** 3 + self.crest
        self.rate = max(0.5, min(wanted, 2 * measured(self.sends, now)))


@given(events=EVENTS)
@settings(deadline=None)
def test_the_rate_follows_the_formula(events: list[tuple[float, str]]) -> None:
    machine, oracle, now = SendRate(), Oracle(), 100.0
    for step, what in events:
        now += step
        if what == "sent":
            machine.sent(now)
            oracle.sends.append(now)
        elif what == "throttle":
            machine.on_throttle(now)
            oracle.throttle(now)
        else:
            machine.on_success(now)
            oracle.success(now)
        assert machine.engaged is (oracle.rate is not None)
        assert machine.measured(now) == pytest.approx(measured(oracle.sends, now))
        if oracle.rate is not None:
            # Changes of less than a hundredth are not made; what is built upon them is as far off.
            assert machine.rate == pytest.approx(oracle.rate, rel=0.021)
            oracle.rate = machine.rate
        assert machine.is_sound(now, 86_400)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 1.0, 5.0]), st.sampled_from(["send", "throttle", "success"])),
        max_size=60,
    )
)
@settings(deadline=None)
def test_no_window_holds_more_than_the_highest_rate_allows(steps: list[tuple[float, str]]) -> None:
    machine, now, starts = SendRate(), 0.0, list[float]()
    for _ in range(20):
        machine.sent(now)
    machine.on_throttle(now)
    highest = machine.rate
    for step, what in steps:
        now += step
        if what == "send" and machine.bucket.wait(machine.cost(1), now) == 0:
            machine.bucket.take(machine.cost(1), now)
            machine.sent(now)
            starts.append(now)
        elif what == "throttle":
            machine.on_throttle(now)
        elif what == "success":
            machine.on_success(now)
        highest = max(highest, machine.rate)
    for first in starts:
        for last in starts:
            inside = sum(1 for at in starts if first <= at <= last)
            assert first > last or inside <= max(1, highest) + highest * (last - first) + 1e-6


def test_nothing_is_limited_before_the_first_refusal() -> None:
    machine = SendRate()
    assert not machine.engaged
    assert machine.cost(1) == 0
    machine.on_success(0)
    assert not machine.engaged


def test_a_refusal_leaves_seven_tenths_of_what_was_sent() -> None:
    machine = SendRate()
    for tenth in range(100):
        machine.sent(tenth / 10)
    machine.on_throttle(10)
    assert machine.rate == pytest.approx(7, rel=0.05)
    assert machine.bucket.available(10) == 0


def test_it_comes_back_to_where_it_was_refused_and_then_beyond() -> None:
    machine, now = SendRate(), 0.0
    for tenth in range(100):
        machine.sent(tenth / 10)
    machine.on_throttle(10)
    rates = []
    for hundredth in range(1, 1500):
        now = 10 + hundredth / 100
        if machine.bucket.wait(1, now) == 0:
            machine.bucket.take(1, now)
            machine.sent(now)
        machine.on_success(now)
        rates.append(machine.rate)
    turning = math.cbrt(10 * 0.3 / 0.4)
    assert rates[int(turning * 100)] == pytest.approx(10, rel=0.1)
    assert rates[-1] > 15
    assert all(later >= 0.75 * earlier for earlier, later in pairwise(rates))


def test_after_ten_quiet_minutes_it_is_unbridled_again() -> None:
    machine = SendRate()
    machine.sent(0)
    machine.on_throttle(0)
    machine.on_success(599)
    assert machine.engaged
    machine.on_success(600)
    assert machine.cost(1) == 0


def test_after_a_crash_it_is_at_its_slowest() -> None:
    machine = SendRate()
    machine.on_throttle(0)
    machine.bucket.tat = math.nan
    assert not machine.is_sound(0, 86_400)
    machine.pessimise(0)
    assert machine.is_sound(0, 86_400)
    assert machine.rate == machine.lowest
    assert machine.bucket.available(0) == 0


def test_figures_that_would_never_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="beta"):
        SendRate(beta=1.0)
