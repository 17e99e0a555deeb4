"""After a crash: nothing is fuller or healthier than it was, and no permit, slot or turn is lost."""

from __future__ import annotations

import math
import sys
from types import FrameType
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.gauge import LimitSpec
from llm_dispatcher.actors.machines.breaker import State
from llm_dispatcher.actors.messages import Cause, Lease, Refused, Reserve, Route, Settle

from tests.fakes.vendor_house import VendorHouse

LIMITS = LimitSpec(requests_per_minute=60, burst=0.2, concurrent=3)


class Crash(Exception):
    """Raised in the middle of the actor's work."""


class CrashAt:
    """While entered, raises `Crash` at the `step`-th line that is run in `actors/`; `steps` counts them."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if "/actors/" not in frame.f_code.co_filename or "/tests/" in frame.f_code.co_filename:
            return None
        if event == "line":
            self.steps += 1
            if self.steps == self.step:
                raise Crash
        return self._trace


def crash_over(house: VendorHouse, message: Any, step: int) -> bool:
    """Handle `message` and crash at the given step, as a supervisor would see it. False if it was done before."""
    with CrashAt(step):
        try:
            house.tell(message)
        except Crash:
            pass
        else:
            return False
    house.state.audit(house.now, message)
    house.rebirth()
    return True


def reserve(house: VendorHouse) -> Reserve:
    return Reserve(
        Route(model="m", deadline=house.now + 100, begun=house.now, input_tokens=5), ("v/a",), 0, (), 0.0
    )


def steps_of(message: Any, house: VendorHouse) -> int:
    with CrashAt(0) as counted:
        house.tell(message)
    return counted.steps


def slots(house: VendorHouse) -> set[int]:
    gauges = [house.state.deployments["v/a"].own, house.state.accounts["key-1"]]
    return {gauge.in_flight for gauge in gauges} | {house.state.in_flight}


@pytest.mark.slow
def test_a_crash_at_any_step_of_a_grant_loses_no_slot_and_grants_nothing_beyond_the_rate() -> None:
    last = steps_of(reserve(VendorHouse(LIMITS, LIMITS)), VendorHouse(LIMITS, LIMITS))
    assert last > 30
    for step in range(1, last + 1):
        house = VendorHouse(LIMITS, LIMITS)
        assert crash_over(house, reserve(house), step)
        assert slots(house) == {0}
        granted = 0
        while isinstance(lease := house.reserve("v/a"), Lease):
            granted += 1
            house.settle(lease)
        assert granted <= 12


@pytest.mark.slow
def test_a_crash_at_any_step_of_a_settlement_gives_the_slot_back() -> None:
    for fault in (
        None,
        FaultClass.SERVER_ERROR,
        FaultClass.RATE_LIMITED,
        FaultClass.CONNECT,
        FaultClass.CLIENT_GONE,
    ):
        whole = VendorHouse(LIMITS, LIMITS)
        lease = whole.lease()
        last = steps_of(Settle(permit=lease.permit, deployment="v/a", fault=fault), whole)
        for step in range(1, last + 1):
            house = VendorHouse(LIMITS, LIMITS)
            lease = house.lease()
            assert crash_over(house, Settle(permit=lease.permit, deployment="v/a", fault=fault), step)
            assert slots(house) == {0}, (fault, step)


@pytest.mark.slow
def test_a_crash_at_any_step_of_a_probes_settlement_does_not_lose_the_turn() -> None:
    def half_open() -> tuple[VendorHouse, Settle]:
        house = VendorHouse(consecutive=1, open_jitter=0.0)
        house.settle(house.lease(), FaultClass.SERVER_ERROR, status=500)
        house.now = 6.0
        return house, Settle(permit=house.lease().permit, deployment="v/a")

    house, settle = half_open()
    for step in range(1, steps_of(settle, house) + 1):
        house, settle = half_open()
        crash_over(house, settle, step)
        # Either it counted, or its turn is free; after the time of a lapsed probe at the very latest.
        house.now = 67.0
        assert house.lease().probe


@pytest.mark.slow
def test_a_cooldown_is_not_forgotten_by_any_crash() -> None:
    whole = VendorHouse()
    whole.settle(whole.lease(), FaultClass.RATE_LIMITED, retry_at=50.0)
    for step in range(1, 200):
        house = VendorHouse()
        house.settle(house.lease(), FaultClass.RATE_LIMITED, retry_at=50.0)
        crash_over(house, reserve(house), step)
        assert house.refusal().until >= 50.0


def test_what_cannot_be_true_is_replaced_by_the_worst_that_may_be() -> None:
    house = VendorHouse(LIMITS)
    deployment = house.state.deployments["v/a"]
    house.lease()
    deployment.own.in_flight = -3
    deployment.breaker.state, deployment.breaker.until = State.OPEN, math.inf
    findings = house.state.audit(house.now)
    assert sorted(findings) == [
        "v/a: its circuit was not to be trusted",
        "v/a: limits were not to be trusted",
    ]
    assert deployment.own.in_flight == 1
    assert deployment.breaker.until == 300.0
    refused = house.reserve()
    assert isinstance(refused, Refused)
    assert refused.cause in (Cause.LIMITED, Cause.OPEN)
    assert house.state.audit(house.now) == []


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["ask", "end", "limit", "wait"]), st.integers(1, 150)), max_size=12)
)
@pytest.mark.slow
def test_however_often_it_crashes_what_is_out_is_what_is_counted(story: list[tuple[str, int]]) -> None:
    house = VendorHouse(LIMITS, LIMITS)
    out: list[Lease] = []
    for event, step in story:
        if event == "wait":
            house.now += step / 10
        elif event == "ask":
            # If it was done before the crash, the permit made last is out.
            if not crash_over(house, reserve(house), step) and house.state.in_doubt in house.state.held:
                out.append(Lease("v", "v/a", house.state.in_doubt, house.now))
        elif out:
            lease = out.pop()
            fault = FaultClass.RATE_LIMITED if event == "limit" else None
            crash_over(house, Settle(permit=lease.permit, deployment="v/a", fault=fault), step)
        assert slots(house) == {len(out)}


def test_the_helper_that_crashes_really_does() -> None:
    house = VendorHouse()
    with pytest.raises(Crash), CrashAt(5):
        house.tell(reserve(house))
