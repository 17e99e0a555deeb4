"""What a fault reaches: a deployment, the account behind it, the endpoint it lives at, or nobody but ourselves."""

from __future__ import annotations

from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.gauge import LimitSpec
from llm_dispatcher.actors.machines.breaker import State
from llm_dispatcher.actors.messages import (
    Cause,
    Contact,
    Lease,
    Loads,
    Network,
    Order,
    Refused,
    Room,
    VendorReport,
    VendorSnapshot,
)

from tests.fakes.vendor_house import VendorHouse


def standing(house: VendorHouse) -> VendorSnapshot:
    snapshot = house.tell(VendorReport())
    assert isinstance(snapshot, VendorSnapshot)
    return snapshot


def test_an_address_out_of_reach_closes_the_endpoint_and_blames_no_deployment() -> None:
    house = VendorHouse(consecutive=3, open_jitter=0.0)
    for name in ("v/a", "v/b", "v/a"):
        house.settle(house.lease(name), FaultClass.CONNECT, sent=False)
    assert house.refusal("v/b") == Refused("v/b", Cause.OPEN, 5.0)
    assert {each.circuit for each in standing(house).deployments.values()} == {"closed"}
    assert standing(house).endpoint == "open"


def test_an_endpoint_is_at_fault_when_most_of_its_traffic_fails() -> None:
    house = VendorHouse(consecutive=2)
    for name in ("v/a", "v/b"):
        for _ in range(2):
            house.settle(house.lease(name), FaultClass.SERVER_ERROR, status=500)
    assert house.state.endpoint.state is State.OPEN


def test_one_failing_deployment_is_not_its_endpoints_fault() -> None:
    house = VendorHouse(consecutive=2)
    for _ in range(2):
        house.settle(house.lease("v/a"), FaultClass.SERVER_ERROR, status=500)
    house.settle(house.lease("v/b"))
    assert house.state.endpoint.state is State.CLOSED


def test_the_router_is_told_when_the_address_cannot_be_reached_and_when_it_can_again() -> None:
    house = VendorHouse()
    house.settle(house.lease(), FaultClass.CONNECT, sent=False)
    house.settle(house.lease(), FaultClass.CONNECT, sent=False)
    house.settle(house.lease())
    house.settle(house.lease())
    assert house.heard(Contact) == [Contact("v", False), Contact("v", False), Contact("v", True)]


def test_while_our_own_network_is_down_no_circuit_moves() -> None:
    house = VendorHouse(consecutive=1)
    house.tell(Network(True))
    for _ in range(5):
        house.settle(house.lease(), FaultClass.CONNECT, sent=False)
    assert standing(house).endpoint == "closed"
    house.tell(Network(False))
    house.settle(house.lease(), FaultClass.CONNECT, sent=False)
    assert standing(house).endpoint == "open"


def test_the_first_content_of_a_stream_is_contact() -> None:
    house = VendorHouse(consecutive=1, open_jitter=0.0)
    house.settle(house.lease(), FaultClass.CONNECT, sent=False)
    house.now = 5.0
    for _ in range(3):
        lease = house.lease()
        house.content(lease)
    assert house.state.endpoint.state is State.CLOSED


def test_a_spent_day_closes_the_deployment_whatever_shorter_wait_is_named() -> None:
    house = VendorHouse()
    house.settle(house.lease("v/a"), FaultClass.DAILY_LIMIT, retry_at=36.0, day_ends_at=50_000.0)
    assert house.refusal("v/a").cause is Cause.QUARANTINED
    house.now = 100.0
    house.refusal("v/a")
    house.lease("v/b")


def test_during_a_spent_day_one_request_at_a_time_looks_whether_it_really_is() -> None:
    house = VendorHouse()
    house.settle(house.lease(), FaultClass.DAILY_LIMIT, day_ends_at=50_000.0)
    house.now = 901.0
    trial = house.lease()
    assert house.refusal().cause is Cause.QUARANTINED
    house.settle(trial, FaultClass.CLIENT_GONE)
    trial = house.lease()
    house.settle(trial, FaultClass.DAILY_LIMIT, day_ends_at=50_000.0)
    house.now = 1_900.0
    house.refusal()
    house.now = 901.0 + 1800.0
    house.settle(house.lease())
    house.lease()


def test_a_slot_that_comes_back_is_told_of_only_when_somebody_wanted_it() -> None:
    house = VendorHouse(LimitSpec(concurrent=1))
    house.settle(house.lease())
    assert house.heard(Room) == []
    lease = house.lease()
    assert house.refusal().cause is Cause.FULL
    house.settle(lease)
    assert house.heard(Room) == [Room("v")]


def test_the_router_is_told_when_one_who_waited_has_got_its_lease() -> None:
    house = VendorHouse()
    house.lease(queued=7)
    assert house.heard(Room) == [Room("v")]


def test_the_router_is_told_how_deployments_stand_a_few_times_a_second() -> None:
    house = VendorHouse(LimitSpec(concurrent=50))
    for _ in range(40):
        house.lease()
        house.now += 0.01
    told = house.heard(Loads)
    assert 4 <= len(told) <= 6
    load = told[-1].deployments["v/a"]
    assert 30 <= load.in_flight <= 40
    assert (load.limit, load.weight) == (50, 1.0)


def test_an_open_circuit_is_told_of_at_once_and_offered_a_little_traffic_afterwards() -> None:
    house = VendorHouse(consecutive=1, open_jitter=0.0)
    house.lease("v/b")
    house.settle(house.lease(), FaultClass.SERVER_ERROR, status=500)
    load = house.heard(Loads)[-1].deployments["v/a"]
    assert (load.weight, load.closed_until) == (0.1, 5.0)


def test_a_request_with_little_time_left_does_not_probe_if_it_can_go_elsewhere() -> None:
    house = VendorHouse(consecutive=1, open_jitter=0.0)
    house.settle(house.lease(), FaultClass.SERVER_ERROR, status=500)
    house.now = 60.0
    assert house.refusal(begun=0.0, others=("w/a",)).cause is Cause.OPEN
    assert isinstance(house.reserve(begun=0.0), Lease)


def test_an_operator_isolates_forces_and_lifts() -> None:
    house = VendorHouse(consecutive=1)
    assert isinstance(house.tell(Order("isolate", "v/a")), VendorSnapshot)
    assert house.refusal("v/a").cause is Cause.OPEN
    house.lease("v/b")
    house.tell(Order("force_closed"))
    house.settle(house.lease("v/a"), FaultClass.SERVER_ERROR, status=500)
    house.lease("v/a")
    house.tell(Order("automatic"))
    house.settle(house.lease("v/a"), FaultClass.AUTH, status=401)
    assert house.refusal("v/b").cause is Cause.QUARANTINED
    house.tell(Order("lift"))
    house.lease("v/b")
    assert house.tell(Order("isolate", "v/nothing")) is None


def test_a_standing_says_why_and_for_how_long() -> None:
    house = VendorHouse(consecutive=1)
    house.settle(house.lease(), FaultClass.SERVER_ERROR, status=500)
    house.settle(house.lease("v/b"), FaultClass.RATE_LIMITED, status=429, retry_at=7.0)
    stands = standing(house).deployments
    assert stands["v/a"].last_transition == "closed -> open: consecutive"
    assert (stands["v/b"].closed_because, stands["v/b"].closed_for) == (Cause.COOLING.value, 7.0)


def test_a_refusal_at_the_address_shows_that_our_own_network_is_well() -> None:
    house = VendorHouse(consecutive=1)
    house.settle(house.lease(), FaultClass.TLS, sent=False, answered=True)
    assert house.heard(Contact) == []
    assert standing(house).endpoint == "open"
