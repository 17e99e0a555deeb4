"""What limits an account or a deployment: nothing passes that the vendor would not count as within its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from llm_dispatcher.actors.faults import CONSEQUENCES, FaultClass
from llm_dispatcher.actors.gauge import Closed, Demand, Gauge, LimitSpec, Moment
from llm_dispatcher.actors.limits import LIMIT_MODELS
from llm_dispatcher.actors.machines.bucket import Reserved, reserve_all
from llm_dispatcher.actors.messages import Cause, Headroom, Remaining, Used

EPSILON = 1e-6
DAY = 86_400.0
TOGETHER = LimitSpec(
    requests_per_minute=60, tokens_per_minute=600, requests_per_day=30, dollars_per_hour=3, burst=0.1
)
EACH = LimitSpec(
    requests_per_minute=60,
    input_tokens_per_minute=300,
    output_tokens_per_minute=300,
    requests_per_day=30,
    dollars_per_hour=3,
    burst=0.1,
)
LIMITS = {
    "requests": (60 / 60, 6.0),
    "tokens": (600 / 60, 600.0),
    "input_tokens": (300 / 60, 300.0),
    "output_tokens": (300 / 60, 300.0),
    "requests_per_day": (30 / DAY, 30.0),
    "dollars": (3 / 3600, 3.0),
}
"""Rate and burst by dimension, written out."""


def set_aside(limits: Gauge, kind: FaultClass, now: float) -> None:
    """As long as the table of consequences says."""
    limit = CONSEQUENCES[kind].limit
    limits.quarantine(kind, limit.rest, limit.longest, Cause.QUARANTINED, now)


def reserved_by(vendor: str, demand: Demand) -> dict[str, float]:
    """What a vendor counts beforehand, in plain words."""
    output = demand.output_most if demand.strict else min(demand.output_expected, demand.output_most)
    if vendor in ("openai", "azure"):
        output = demand.output_most
    tokens = demand.input + output
    if vendor == "openai" and not demand.strict:
        tokens = max(demand.input, demand.output_most)
    if vendor == "gemini":
        tokens = demand.input
    return {
        "requests": demand.requests,
        "requests_per_day": demand.requests,
        "tokens": tokens,
        "input_tokens": demand.input,
        "output_tokens": output,
        "dollars": demand.dollars,
    }


def counted_by(vendor: str, demand: Demand, used: Used) -> dict[str, float]:
    """What a vendor counts afterwards, in plain words."""
    reserved = reserved_by(vendor, demand)
    read = float(used.input_tokens)
    if vendor in ("anthropic", "groq"):
        read -= used.cached_tokens
    counted = {
        "tokens": read if vendor == "gemini" else read + used.output_tokens,
        "input_tokens": read,
        "output_tokens": float(used.output_tokens),
    }
    if vendor in ("openai", "azure"):
        counted = {name: max(amount, reserved[name]) for name, amount in counted.items()}
    return {**reserved, **counted, "dollars": used.dollars}


class Item:
    """So much of each dimension, admitted to start at a time; or charged then, where it came out dearer than reserved."""

    def __init__(self, start: float, costs: dict[str, float], *, charged: bool = False) -> None:
        self.start = start
        self.costs = costs
        self.asked = dict(costs)
        """What it was let pass for, whatever of that came back later."""
        self.charged = charged


class Booking(Item):
    """A reservation that is out."""

    def __init__(self, start: float, demand: Demand, marks: tuple[int, ...], vendor: str) -> None:
        super().__init__(start, reserved_by(vendor, demand))
        self.demand = demand
        self.marks = marks


class GaugeMachine(RuleBasedStateMachine):
    """I4: in every window, what was settled or is reserved is at most the burst and what flows in."""

    @initialize(
        vendor=st.sampled_from(sorted(LIMIT_MODELS)),
        spec=st.sampled_from([TOGETHER, EACH]),
        strict=st.booleans(),
    )
    def make(self, vendor: str, spec: LimitSpec, strict: bool) -> None:
        self.vendor = vendor
        self.strict = strict
        self.gauge = Gauge(spec, LIMIT_MODELS[vendor])
        self.names = list(self.gauge.statistics(0.0).buckets)
        self.now = 0.0
        self.items: list[Item] = []
        self.out: list[Booking] = []

    @rule(step=st.sampled_from([0.25, 1.0, 20.0, 300.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(
        tokens=st.sampled_from([(10, 10, 20), (100, 50, 200), (250, 0, 10), (1, 300, 250), (200, 200, 300)]),
        patience=st.sampled_from([0.0, 5.0, 60.0]),
    )
    def reserve(self, tokens: tuple[int, int, int], patience: float) -> None:
        given, expected, most = tokens
        demand = Demand(
            input=given, output_expected=expected, output_most=most, dollars=most / 1000, strict=self.strict
        )
        dimensions = self.gauge.dimensions(demand, self.now)
        taken = reserve_all(dimensions, self.now, patience)
        if not isinstance(taken, Reserved):
            return
        booking = Booking(taken.start_at, demand, taken.marks, self.vendor)
        assert {name: cost for name, (_, cost) in zip(self.names, dimensions, strict=True)} == pytest.approx(
            {name: booking.costs[name] for name in self.names}
        )
        self.items.append(booking)
        self.out.append(booking)

    @precondition(lambda self: self.out)
    @rule(
        which=st.integers(0, 50),
        cached=st.sampled_from([0, 1]),
        share=st.sampled_from([0.0, 0.5, 1.0]),
        how=st.sampled_from(["used", "unsent", "refused", "unknown", "dearer"]),
    )
    def settle(self, which: int, cached: int, share: float, how: str) -> None:
        booking = self.out.pop(which % len(self.out))
        demand = booking.demand
        used = None
        if how in ("used", "dearer"):
            used = Used(
                int(demand.input * (2 if how == "dearer" else 1)),
                int(demand.input / 2) * cached,
                int(demand.output_most * share),
                demand.dollars * share,
            )
        self.gauge.settle(
            demand, used, booking.marks, self.now, sent=how != "unsent", refused=how == "refused"
        )
        reserved = booking.costs
        final = dict(reserved)
        if how == "unsent":
            final = dict.fromkeys(reserved, 0.0)
        elif how == "refused":
            kept = ("requests", "requests_per_day")
            final = {name: cost if name in kept else 0.0 for name, cost in reserved.items()}
        elif used is not None:
            final = counted_by(self.vendor, demand, used)
        dearer = {name: final[name] - reserved[name] for name in final}
        if self.strict and how != "dearer":
            assert max(dearer.values()) <= EPSILON
        booking.costs = {name: min(final[name], reserved[name]) for name in final}
        if max(dearer.values()) > 0:
            extra = {name: max(0.0, cost) for name, cost in dearer.items()}
            self.items.append(Item(self.now, extra, charged=True))

    @rule(
        name=st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens", "requests_per_day"]),
        limit=st.sampled_from([-1.0, 0.0, 20.0, 60.0, 5000.0]),
        remaining=st.sampled_from([0.0, 5.0, 20.0]),
        often=st.integers(0, 3),
    )
    def hear(self, name: str, limit: float, remaining: float, often: int) -> None:
        if name not in self.names or often:
            return
        before = self.gauge.statistics(self.now).buckets[name].available
        self.gauge.learn(Headroom({name: Remaining(limit, remaining, 10.0)}), self.now)
        after = self.gauge.statistics(self.now).buckets[name].available
        assert after <= before + EPSILON
        assert limit <= 0 or after <= remaining + EPSILON

    @rule(often=st.integers(0, 15))
    def crash_badly(self, often: int) -> None:
        if often:
            return
        self.gauge.pessimise(self.now)
        buckets = self.gauge.statistics(self.now).buckets
        assert all(bucket.available <= EPSILON for bucket in buckets.values())

    @invariant()
    def it_is_sound(self) -> None:
        assert self.gauge.audit(self.now)

    @invariant()
    def no_window_holds_more_than_burst_and_refill(self) -> None:
        taken = [item for item in self.items if not item.charged]
        for name in self.names:
            rate, burst = LIMITS[name]
            for first in taken:
                for last in taken:
                    if first.start > last.start:
                        continue
                    inside = sum(i.costs[name] for i in taken if first.start <= i.start <= last.start)
                    assert inside <= burst + rate * (last.start - first.start) + EPSILON

    @invariant()
    def who_reserves_after_a_surprise_waits_it_out(self) -> None:
        for position, last in enumerate(self.items):
            if last.charged:
                continue
            known = self.items[: position + 1]
            for name in self.names:
                if last.asked[name] == 0:
                    # What takes nothing of a dimension has nothing to wait for there, and may overtake who does.
                    continue
                rate, burst = LIMITS[name]
                for first in known:
                    inside = sum(i.costs[name] for i in known if i.start >= first.start)
                    assert first.start > last.start or inside <= (
                        burst + rate * (last.start - first.start) + EPSILON
                    )


TestGauge = pytest.mark.slow(GaugeMachine.TestCase)
TestGauge.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def gauge(model: str = "default", **limits: Any) -> Gauge:
    return Gauge(LimitSpec(**limits), LIMIT_MODELS[model])


def reserve(limits: Gauge, demand: Demand, now: float = 0.0, patience: float = 0.0) -> tuple[int, ...] | None:
    taken = reserve_all(limits.dimensions(demand, now), now, patience)
    return taken.marks if isinstance(taken, Reserved) else None


def available(limits: Gauge, name: str, now: float = 0.0) -> float:
    return limits.statistics(now).buckets[name].available


ONE = Demand(input=10, output_expected=5, output_most=20)


# --- closings -----------------------------------------------------------------------------------


@given(closings=st.lists(st.floats(0, 1e6), min_size=1, max_size=10))
def test_nothing_shortens_a_cooldown(closings: list[float]) -> None:
    limits = gauge()
    for until in closings:
        limits.close(until, Cause.COOLING)
    assert limits.closed(0) == (Closed(max(closings), Cause.COOLING) if max(closings) > 0 else None)
    assert limits.closed(max(closings)) is None


def test_a_quarantine_is_twice_as_long_each_further_time() -> None:
    limits, now, lengths = gauge(), 0.0, []
    for _ in range(5):
        set_aside(limits, FaultClass.AUTH, now)
        set_aside(limits, FaultClass.AUTH, now)
        closed = limits.closed(now)
        assert closed is not None
        assert closed.cause is Cause.QUARANTINED
        lengths.append(closed.until - now)
        now = closed.until
    assert lengths == [300, 600, 1200, 2400, 3600]
    assert limits.closed(now) is None


def test_a_used_up_day_lets_one_trial_through_after_a_quarter_of_an_hour_and_a_success_opens_it() -> None:
    limits = gauge()
    limits.close_for_day(DAY, 0)
    assert limits.closed(0) == Closed(900, Cause.QUARANTINED)
    assert limits.closed(900) == Closed(DAY, Cause.QUARANTINED, trial=True)
    number = limits.begin_trial(900)
    waiting = limits.closed(901)
    assert waiting is not None
    assert not waiting.trial
    limits.end_trial(number, None, 902)
    again = limits.closed(902)
    assert again is not None
    assert again.trial, "a cancelled trial gives its turn back"
    limits.end_trial(limits.begin_trial(902), True, 903)
    assert limits.closed(903) is None


def test_a_trial_that_fails_is_followed_by_one_twice_as_far_away() -> None:
    limits = gauge()
    limits.close_for_day(DAY, 0)
    number = limits.begin_trial(900)
    limits.close_for_day(DAY, 901)
    limits.end_trial(number, False, 901)
    assert limits.closed(902) == Closed(901 + 1800, Cause.QUARANTINED)


def test_a_day_whose_end_nobody_named_lasts_a_day() -> None:
    limits = gauge()
    limits.close_for_day(None, 100)
    assert limits.closed(100 + DAY - 1) is not None
    assert limits.closed(100 + DAY) is None


def test_a_cooldown_holds_up_the_trial_too() -> None:
    limits = gauge()
    limits.close_for_day(DAY, 0)
    limits.close(2000, Cause.COOLING)
    assert limits.closed(900) == Closed(2000, Cause.QUARANTINED)
    assert limits.closed(2000) == Closed(DAY, Cause.QUARANTINED, trial=True)


def test_an_operator_opens_it_and_its_past_is_forgotten() -> None:
    limits = gauge(requests_per_minute=60, burst=0.05)
    for _ in range(3):
        set_aside(limits, FaultClass.QUOTA_EXHAUSTED, 0)
    limits.close_for_day(DAY, 0)
    assert reserve(limits, ONE) is not None
    left = available(limits, "requests")
    limits.lift(1)
    assert limits.closed(1) is None
    assert available(limits, "requests") == left, "limits stay"
    set_aside(limits, FaultClass.QUOTA_EXHAUSTED, 1)
    assert limits.closed_until == 901


# --- settling -----------------------------------------------------------------------------------


def test_what_was_not_sent_comes_back_and_what_was_refused_counts_as_a_request() -> None:
    limits = gauge(requests_per_minute=60, tokens_per_minute=600)
    marks = reserve(limits, ONE)
    assert marks is not None
    limits.settle(ONE, None, marks, 0, sent=False)
    assert (available(limits, "requests"), available(limits, "tokens")) == (6, 600)
    marks = reserve(limits, ONE)
    assert marks is not None
    limits.settle(ONE, None, marks, 0, refused=True)
    assert (available(limits, "requests"), available(limits, "tokens")) == (5, 600)


def test_what_came_back_unknown_stays_reserved() -> None:
    limits = gauge(tokens_per_minute=600)
    marks = reserve(limits, ONE)
    assert marks is not None
    limits.settle(ONE, None, marks, 0)
    assert available(limits, "tokens") == 585


def test_what_time_has_paid_back_is_not_given_back_once_more() -> None:
    limits = gauge(tokens_per_minute=600)
    first = Demand(input=600)
    marks = reserve(limits, first, 0)
    assert marks is not None
    assert reserve(limits, first, 60) is not None
    limits.settle(first, Used(), marks, 60)
    assert available(limits, "tokens", 60) == 0


def test_what_comes_out_dearer_is_owed() -> None:
    limits = gauge(tokens_per_minute=600)
    marks = reserve(limits, ONE)
    assert marks is not None
    limits.settle(ONE, Used(10, 0, 1000), marks, 0)
    assert available(limits, "tokens") == pytest.approx(-410)


def test_a_limit_heard_of_between_reservation_and_settlement_is_not_settled() -> None:
    limits = gauge(requests_per_minute=60)
    marks = reserve(limits, ONE)
    assert marks is not None
    limits.learn(Headroom({"tokens": Remaining(100, 50, None)}), 0)
    limits.settle(ONE, Used(1, 0, 1), marks, 0)
    assert available(limits, "tokens") == 50


def test_a_request_that_takes_no_output_does_not_wait_for_the_output_of_others() -> None:
    limits = gauge("anthropic", input_tokens_per_minute=300, output_tokens_per_minute=300)
    long = Demand(input=1, output_expected=300, output_most=250)
    starts = []
    for demand in (long, long, Demand(input=250, output_most=10)):
        taken = reserve_all(limits.dimensions(demand, 0), 0, patience=60)
        assert isinstance(taken, Reserved)
        starts.append(taken.start_at)
    assert starts == pytest.approx([0, 40, 30.2])
    assert available(limits, "input_tokens", 40) >= 0
    assert available(limits, "output_tokens", 40) >= 0


def test_pace_is_the_time_that_the_tightest_limit_takes_to_refill() -> None:
    limits = gauge(requests_per_minute=60, tokens_per_minute=60)
    assert limits.pace(ONE, 0) == pytest.approx(15)
    assert gauge().pace(ONE, 0) == 0


# --- learning -----------------------------------------------------------------------------------


def test_without_a_configured_limit_the_vendors_word_makes_one() -> None:
    limits = gauge(model="openai")
    limits.learn(
        Headroom(
            {
                "requests": Remaining(60, 2, 58.0),
                "tokens": Remaining(None, 5, None),
                "images": Remaining(1, 1, None),
            }
        ),
        0,
    )
    assert list(limits.statistics(0).buckets) == ["requests"]
    assert available(limits, "requests") == 2


def test_what_was_reserved_since_the_answer_began_is_subtracted_from_what_it_says_remains() -> None:
    limits = gauge(model="openai", tokens_per_minute=600)
    assert reserve(limits, Demand(input=100), 0) is not None
    began = limits.moment(0)
    assert reserve(limits, Demand(input=200), 0) is not None
    limits.learn(Headroom({"tokens": Remaining(600, 400, None)}), 0, began)
    assert available(limits, "tokens") == pytest.approx(200)


def test_a_moment_from_before_a_limit_was_known_counts_nothing_of_it() -> None:
    limits = gauge(model="openai")
    began = limits.moment(0)
    limits.learn(Headroom({"tokens": Remaining(600, 400, None)}), 0)
    limits.learn(Headroom({"tokens": Remaining(600, 300, None)}), 0, began)
    assert available(limits, "tokens") == 300
    assert began == Moment(0, ())


def test_a_shared_account_uses_nineteen_twentieths_of_the_vendors_limits_but_all_of_its_own_money() -> None:
    limits = gauge(shared=True, tokens_per_minute=1000, dollars_per_hour=10)
    shown = limits.statistics(0).buckets
    assert shown["tokens"].burst == pytest.approx(950)
    assert shown["dollars"].burst == 10


# --- complaints ---------------------------------------------------------------------------------


def test_a_vendor_that_refuses_and_names_no_limit_is_felt_out() -> None:
    limits = gauge()
    for tenth in range(100):
        limits.settle(ONE, None, (), tenth / 10)
    limits.throttled(10, often=False)
    assert "send_rate" not in limits.statistics(10).buckets, "one refusal may be chance"
    limits.throttled(10)
    assert limits.statistics(10).buckets["send_rate"].rate == pytest.approx(7, rel=0.05)
    assert reserve(limits, ONE, 10) is None
    assert reserve(limits, ONE, 10, patience=1) is not None
    limits.throttled(10)
    assert list(limits.statistics(10).buckets) == ["send_rate"]


def test_a_vendor_that_names_its_limits_is_believed_instead() -> None:
    limits = gauge()
    limits.learn(Headroom({"requests": Remaining(60, 60, None)}), 0)
    limits.throttled(1)
    assert "send_rate" not in limits.statistics(1).buckets
    limits.throttled(1000)
    assert "send_rate" in limits.statistics(1000).buckets


def test_an_unsent_request_gives_its_turn_in_the_send_rate_back() -> None:
    limits = gauge()
    limits.throttled(0)
    marks = reserve(limits, ONE, 10)
    assert marks is not None
    limits.settle(ONE, None, marks, 10, sent=False)
    assert reserve(limits, ONE, 10) is not None


def test_a_complaint_of_growth_bounds_the_tokens_for_a_while() -> None:
    limits = gauge()
    assert reserve(limits, Demand(input=10**9)) is not None
    limits.slow_down(0)
    limits.slow_down(1)
    assert list(limits.statistics(1).buckets) == ["ramp"]
    assert reserve(limits, Demand(input=10**9), 1) is None
    assert reserve(limits, Demand(input=10**9), 3601) is not None


def test_a_configured_ramp_holds_from_the_start() -> None:
    limits = gauge(ramp_floor=6000)
    assert reserve(limits, Demand(input=6000)) is not None
    assert reserve(limits, Demand(input=100)) is None
    assert reserve(limits, Demand(input=100), 1) is not None


# --- slots --------------------------------------------------------------------------------------


def test_no_more_calls_are_open_than_allowed() -> None:
    limits = gauge(concurrent=2)
    assert [limits.acquire(0) for _ in range(3)] == [True, True, False]
    assert limits.full(0)
    limits.release()
    assert not limits.full(0)
    assert limits.in_flight == 1


def test_without_a_number_calls_are_only_counted_and_no_overload_changes_that_unless_it_may_learn() -> None:
    limits = gauge()
    assert all(limits.acquire(0) for _ in range(1000))
    refuse(limits, 100)
    assert limits.most_at_once == math.inf


def refuse(limits: Gauge, calls: int, now: float = 0.0) -> None:
    """So many more calls, one after the other, that the vendor says are too many."""
    for _ in range(calls):
        if limits.acquire(now):
            limits.on_loss(limits.begun, now, named=True)
            limits.release()


def test_a_limit_that_learns_is_what_the_vendor_held_on_to_and_rises_with_what_it_takes() -> None:
    limits = gauge(adaptive=True)
    assert all(limits.acquire(0) for _ in range(30))
    refuse(limits, 1)
    assert limits.most_at_once == math.inf, "one refusal is no limit"
    refuse(limits, 2)
    assert limits.most_at_once == 27, "nine tenths at most"
    assert limits.full(0.5)
    for _ in range(4):
        limits.release()
    assert limits.acquire(1)
    assert limits.acquire(1)
    limits.on_taken(limits.begun, 1)
    assert limits.most_at_once > 28


def test_a_limit_that_learns_never_rises_above_what_was_configured() -> None:
    limits = gauge(adaptive=True, concurrent=10)
    assert all(limits.acquire(0) for _ in range(8))
    refuse(limits, 5)
    assert limits.most_at_once == 8
    for second in range(1, 30):
        while limits.acquire(second):
            limits.on_taken(limits.begun, second)
    assert limits.most_at_once == limits.in_flight == 10


def test_a_slot_given_back_twice_is_a_mistake_and_said_to_be_one() -> None:
    limits = gauge()
    assert limits.acquire(0)
    limits.release()
    with pytest.raises(RuntimeError, match="not taken"):
        limits.release()


# --- after a crash ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda limits: setattr(limits, "closed_until", math.nan),
        lambda limits: setattr(limits, "closed_until", math.inf),
        lambda limits: setattr(limits, "in_flight", -1),
        lambda limits: setattr(limits.day, "until", math.inf),
        lambda limits: setattr(limits._slots, "known", math.nan),
        lambda limits: setattr(limits._slots, "in_flight", 7),
        lambda limits: setattr(limits._limits["tokens"].bucket, "tat", math.nan),
        lambda limits: setattr(limits._limits["requests"].bucket, "rate", 0.0),
        lambda limits: setattr(limits._ramp, "_complained_at", math.nan),
        lambda limits: setattr(limits._send_rate, "_crest", math.inf),
        lambda limits: setattr(limits._refusals, "level", math.nan),
        lambda limits: limits.quarantines[FaultClass.AUTH].__setattr__("until", math.nan),
    ],
)
def test_a_gauge_that_cannot_have_come_about_is_found_and_started_from_what_is_safe(damage: Any) -> None:
    limits = gauge(requests_per_minute=60, tokens_per_minute=600, concurrent=10, adaptive=True)
    set_aside(limits, FaultClass.AUTH, 0)
    limits.close_for_day(5000, 0)
    assert limits.acquire(0)
    assert limits.audit(1)
    damage(limits)
    assert not limits.audit(1)
    limits.pessimise(1, in_flight=1)
    assert limits.audit(1)
    assert available(limits, "requests", 1) <= 0
    assert available(limits, "tokens", 1) <= 0
    assert limits.most_at_once == 1
    assert limits.in_flight == 1
    closed = limits.closed(2)
    assert closed is not None
    assert closed.until >= 300, "what still says closed is believed"


def test_a_gauge_without_limits_is_sound_and_stays_without() -> None:
    limits = gauge()
    assert limits.audit(0)
    limits.pessimise(0)
    assert limits.closed(0) is None
    assert reserve(limits, ONE) is not None
    assert limits.most_at_once == math.inf


def test_statistics_show_why_it_is_closed_and_what_is_left() -> None:
    limits = gauge(requests_per_minute=60, concurrent=5)
    limits.close(10, Cause.COOLING)
    assert limits.acquire(0)
    shown = limits.statistics(1)
    assert (shown.closed_until, shown.cause, shown.in_flight, shown.most_at_once) == (10, Cause.COOLING, 1, 5)
    assert list(shown.buckets) == ["requests"]
    assert limits.statistics(10).cause is None
