"""A vendor's actor: grants, refuses with a reason and a time, settles, and forgets nothing over a crash."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.gauge import LimitSpec
from llm_dispatcher.actors.messages import (
    Cause,
    FirstContent,
    Headroom,
    Lease,
    Refused,
    Remaining,
    Used,
)

from tests.fakes.vendor_house import VendorHouse


def test_slots_come_back_once_however_often_they_are_settled() -> None:
    house = VendorHouse(LimitSpec(concurrent=1))
    lease = house.lease()
    assert house.refusal().cause is Cause.FULL
    house.settle(lease)
    house.settle(lease)
    house.lease()
    assert house.refusal().cause is Cause.FULL


def test_a_permit_that_nobody_settles_comes_back_after_its_deadline() -> None:
    house = VendorHouse(LimitSpec(concurrent=1))
    house.lease()
    house.now = 129.0
    assert house.refusal().cause is Cause.FULL
    house.now = 131.0
    house.lease()


def test_a_limit_is_waited_for_within_patience_and_refused_beyond_it() -> None:
    house = VendorHouse(LimitSpec(requests_per_minute=60, burst=0.0))
    assert house.lease().start_at == 0
    assert house.lease(patience=5.0).start_at == 1
    assert house.refusal() == Refused("v/a", Cause.LIMITED, 2.0, pace=1.0)


def test_the_account_is_shared_by_its_deployments() -> None:
    house = VendorHouse(account=LimitSpec(requests_per_minute=60, burst=0.0))
    house.lease("v/a")
    assert house.refusal("v/b").cause is Cause.LIMITED


def test_a_request_larger_than_the_limit_can_never_pass() -> None:
    refused = VendorHouse(LimitSpec(tokens_per_minute=100)).refusal(tokens=101, patience=1e9)
    assert (refused.cause, refused.until) == (Cause.TOO_LARGE, math.inf)


def test_unused_tokens_are_given_back_and_overdrawn_ones_charged() -> None:
    house = VendorHouse(LimitSpec(tokens_per_minute=60))
    house.settle(house.lease(tokens=60), used=Used(20), exact=False)
    house.settle(house.lease(tokens=40), used=Used(70), exact=False)
    assert house.refusal(tokens=1).until == 31.0


def test_tokens_given_back_late_are_not_given_back_twice() -> None:
    house = VendorHouse(LimitSpec(tokens_per_minute=60))
    early = [house.lease(tokens=20) for _ in range(3)]
    house.now = 60.0
    for lease in early:
        house.settle(lease, used=Used())
    for _ in range(3):
        house.lease(tokens=20)
    assert house.refusal(tokens=20).cause is Cause.LIMITED


def test_a_request_that_was_never_sent_costs_nothing() -> None:
    house = VendorHouse(LimitSpec(requests_per_minute=60, tokens_per_minute=60, burst=0.0))
    house.settle(house.lease(tokens=60), FaultClass.CLIENT_GONE, sent=False)
    assert house.lease(tokens=60).start_at == 0


def test_a_rate_limit_cools_the_deployment_down_and_a_shorter_hint_does_not_shorten_it() -> None:
    house = VendorHouse()
    first, second = house.lease(), house.lease()
    house.settle(first, FaultClass.RATE_LIMITED, retry_at=20.0)
    house.settle(second, FaultClass.RATE_LIMITED, retry_at=1.0)
    assert house.refusal() == Refused("v/a", Cause.COOLING, 20.0)
    assert house.lease(patience=30.0).start_at == 20
    house.lease("v/b")


def test_refusals_without_a_hint_close_nothing_until_they_are_more_than_chance() -> None:
    house = VendorHouse()
    for _ in range(4):
        house.settle(house.lease(), FaultClass.RATE_LIMITED, status=429)
    house.settle(house.lease(), FaultClass.RATE_LIMITED, status=429)
    assert house.refusal() == Refused("v/a", Cause.COOLING, 5.0)
    house.lease("v/b")


def test_a_refusal_that_says_that_too_many_are_open_lowers_their_number_and_closes_nothing() -> None:
    house = VendorHouse(LimitSpec(adaptive=True))
    held = [house.lease() for _ in range(8)]
    for _ in range(3):
        house.settle(house.lease(), FaultClass.CONCURRENCY_LIMITED, status=429)
    assert house.refusal() == Refused("v/a", Cause.FULL, 0.0)
    house.settle(held[0])
    house.lease()


def test_a_complaint_of_growth_is_taken_to_where_its_floor_was_written() -> None:
    house = VendorHouse(account=LimitSpec(ramp_floor=6000))
    house.settle(house.lease(), FaultClass.RAMP_LIMITED, status=429)
    deployment = house.state.deployments["v/a"]
    assert list(deployment.own.statistics(0).buckets) == []
    assert deployment.account.statistics(0).buckets["ramp"].rate == 50, "half of the floor, per second"
    own = VendorHouse(LimitSpec(ramp_floor=6000), account=LimitSpec(ramp_floor=9000))
    own.settle(own.lease(), FaultClass.RAMP_LIMITED, status=429)
    rates = [each.statistics(0).buckets["ramp"].rate for each in own.state.deployments["v/a"].gauges]
    assert rates == [150, 50]


def test_while_a_circuit_is_open_overloads_say_nothing_of_how_many_calls_there_may_be() -> None:
    house = VendorHouse(LimitSpec(adaptive=True), consecutive=2)
    for lease in [house.lease() for _ in range(50)]:
        house.settle(lease, FaultClass.OVERLOADED, status=529)
    assert house.state.deployments["v/a"].own.most_at_once == math.inf


def test_an_overloaded_vendor_is_left_alone_for_as_long_as_it_asks() -> None:
    house = VendorHouse()
    house.settle(house.lease(), FaultClass.OVERLOADED, status=529, retry_at=20.0)
    refusal = house.refusal()
    assert (refusal.cause, refusal.until) == (Cause.COOLING, 20.0)
    # One failure opens no circuit, and without a time there is nothing to wait for.
    other = VendorHouse()
    other.settle(other.lease(), FaultClass.OVERLOADED, status=529)
    other.lease()


def test_a_refused_key_closes_the_account_for_longer_each_time() -> None:
    house = VendorHouse()
    house.settle(house.lease(), FaultClass.AUTH)
    assert house.refusal("v/b") == Refused("v/b", Cause.QUARANTINED, 300.0)
    house.now = 301.0
    house.settle(house.lease(), FaultClass.AUTH)
    assert house.refusal().until == 901.0


def test_an_unknown_model_closes_its_deployment_alone() -> None:
    house = VendorHouse()
    house.settle(house.lease(), FaultClass.NO_MODEL)
    assert house.refusal().cause is Cause.UNAVAILABLE
    house.lease("v/b")


def test_failures_in_a_row_open_the_circuit_and_a_probe_tries_it_again() -> None:
    house = VendorHouse(consecutive=2, open_jitter=0.0)
    for _ in range(2):
        house.settle(house.lease(), FaultClass.SERVER_ERROR)
    assert house.refusal() == Refused("v/a", Cause.OPEN, 5.0)
    house.now = 5.0
    probe = house.lease()
    assert probe.probe
    assert house.refusal().cause is Cause.OPEN
    house.actor.handle(FirstContent(probe.permit, probe.deployment, 0.1), house.now)
    house.settle(probe, committed=True)
    house.lease()


def test_a_cancelled_probe_gives_its_turn_back() -> None:
    house = VendorHouse(consecutive=1, open_jitter=0.0)
    house.settle(house.lease(), FaultClass.SERVER_ERROR)
    house.now = 6.0
    house.settle(house.lease(), FaultClass.CLIENT_GONE)
    assert house.lease().probe


def test_a_probe_that_the_rate_limit_declines_gives_its_turn_back() -> None:
    house = VendorHouse(LimitSpec(requests_per_minute=1, burst=0.0), consecutive=1, open_jitter=0.0)
    house.settle(house.lease(), FaultClass.SERVER_ERROR)
    house.now = 6.0
    assert house.refusal().cause is Cause.LIMITED
    house.now = 61.0
    assert house.lease().probe


def test_a_desperate_request_may_probe_an_open_circuit() -> None:
    house = VendorHouse(consecutive=1)
    house.settle(house.lease(), FaultClass.SERVER_ERROR)
    assert house.refusal().cause is Cause.OPEN
    assert house.lease(desperate=True).probe


def test_a_bad_request_says_that_the_vendor_is_alive() -> None:
    house = VendorHouse(consecutive=2)
    for _ in range(5):
        house.settle(house.lease(), FaultClass.SERVER_ERROR)
        house.settle(house.lease(), FaultClass.BAD_REQUEST)
    house.lease()


def test_a_crash_neither_refills_a_bucket_nor_forgets_a_cooldown_or_a_permit() -> None:
    house = VendorHouse(LimitSpec(requests_per_minute=60, burst=0.0, concurrent=2))
    held = house.lease("v/a")
    house.settle(house.lease("v/b"), FaultClass.RATE_LIMITED, retry_at=50.0)
    house.rebirth()
    assert house.refusal("v/a").cause is Cause.LIMITED
    assert house.refusal("v/b").cause is Cause.COOLING
    house.settle(held)
    assert house.state.in_flight == 0


class VendorUnderLoad(RuleBasedStateMachine):
    """Whatever happens in whatever order, slots and rates hold."""

    SLOTS, RATE = 2, 1.0

    def __init__(self) -> None:
        super().__init__()
        self.house = VendorHouse(
            LimitSpec(requests_per_minute=60, burst=0.05, concurrent=self.SLOTS), consecutive=2
        )
        self.out: list[Lease] = []
        self.starts: list[float] = []

    @rule(patience=st.sampled_from([0.0, 2.0, 10.0]), desperate=st.booleans())
    def ask(self, patience: float, desperate: bool) -> None:
        granted = self.house.reserve(patience=patience, desperate=desperate)
        if isinstance(granted, Lease):
            assert self.house.now <= granted.start_at <= self.house.now + patience
            self.out.append(granted)
            self.starts.append(granted.start_at)

    @rule(
        fault=st.sampled_from(
            [None, FaultClass.SERVER_ERROR, FaultClass.RATE_LIMITED, FaultClass.CLIENT_GONE]
        ),
        which=st.integers(0, 5),
    )
    def end(self, fault: FaultClass | None, which: int) -> None:
        if self.out:
            self.house.settle(self.out.pop(which % len(self.out)), fault)

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 40.0]))
    def wait(self, seconds: float) -> None:
        if not self.out:
            self.house.now += seconds

    @rule()
    def crash(self) -> None:
        self.house.rebirth()

    @invariant()
    def slots_in_use_are_the_leases_that_are_out(self) -> None:
        assert self.house.state.in_flight == len(self.out) <= self.SLOTS

    @invariant()
    def no_window_holds_more_than_burst_and_rate_allow(self) -> None:
        burst = 3.0
        for index, first in enumerate(self.starts):
            for count, last in enumerate(self.starts[index:], 1):
                assert count <= burst + self.RATE * abs(last - first) + 1e-6


TestVendorUnderLoad = VendorUnderLoad.TestCase
TestVendorUnderLoad.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_an_answers_head_says_of_the_limits_is_kept_to() -> None:
    house = VendorHouse()
    told = Headroom({"requests": Remaining(limit=60.0, remaining=1.0, reset=59.0)})
    house.settle(house.lease(), headroom=told)
    house.lease()
    assert house.refusal().cause is Cause.LIMITED
    house.lease("v/b")


def test_what_was_left_when_a_long_stream_began_is_not_taken_for_what_is_left_now() -> None:
    house = VendorHouse()
    stream = house.lease()
    house.content(stream)
    for _ in range(3):
        house.settle(house.lease())
    told = Headroom({"requests": Remaining(limit=60.0, remaining=5.0, reset=55.0)})
    house.now = 300.0
    house.settle(stream, committed=True, headroom=told)
    # The minute has long begun anew.
    for _ in range(6):
        house.lease()
