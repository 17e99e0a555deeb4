"""The router: what a name stands for, in which order it is tried, and when it is given up."""

from __future__ import annotations

import math
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.mailbox import Departed, Forward, Mailbox, Park
from llm_dispatcher.actors.messages import (
    Cause,
    Declined,
    Load,
    Loads,
    NoLease,
    Ranking,
    Rankings,
    Refused,
    Reserve,
    Route,
)
from llm_dispatcher.actors.policies import POLICIES, Candidate, View
from llm_dispatcher.actors.router import Router, RouterState
from llm_dispatcher.actors.routing import RoutingRule, RoutingTable, Selection


def candidate(name: str, **more: Any) -> Candidate:
    return Candidate(deployment=name, vendor=name.partition("/")[0], model=name.partition("/")[2], **more)


A = candidate("a/m", input_price=1.0, output_price=2.0, quality=0.4)
B = candidate(
    "b/m", input_price=0.1, output_price=0.2, quality=0.8, context=1000, capabilities=frozenset({"tools"})
)
VENDORS = {name: Mailbox[Any](name) for name in "ab"}


def router(*rules: RoutingRule, policy: str = "priority") -> Router:
    table = RoutingTable(
        names={"m": Selection((A, B), policy), "a/m": Selection((A,), policy)},
        modes={"sophisticated": Selection((A, B), "best"), "picky": Selection((A, B), "priority", 0.5)},
        rules=rules,
    )
    return Router(table, RouterState(2, POLICIES), Mailbox[Any]("router"), VENDORS, rng=random.Random(1))


class Waiting(Mailbox[Any]):
    """The router's mailbox, with those who wait given by hand."""

    def __init__(self) -> None:
        super().__init__("router")
        self.waiting: set[int] = set()

    def waits(self, ticket: int) -> bool:
        return ticket in self.waiting


def mailbox_and_router() -> tuple[Waiting, Router]:
    mailbox = Waiting()
    table = RoutingTable({"m": Selection((A, B), "priority")}, {})
    return mailbox, Router(table, RouterState(2, POLICIES), mailbox, VENDORS, rng=random.Random(1))


def route(**more: Any) -> Route:
    return Route(**{"model": "m", "deadline": 100.0, **more})


def plan(result: object) -> tuple[str, ...]:
    assert isinstance(result, Forward)
    assert isinstance(result.message, Reserve)
    assert result.to is VENDORS[result.message.plan[result.message.position].partition("/")[0]]
    return result.message.plan


def test_a_name_is_tried_in_its_policys_order() -> None:
    assert plan(router().handle(route(), 0.0)) == ("a/m", "b/m")
    assert plan(router(policy="cheapest").handle(route(input_tokens=100), 0.0)) == ("b/m", "a/m")
    assert plan(router().handle(route(model="a/m"), 0.0)) == ("a/m",)


def test_a_mode_orders_all_or_the_named_models_deployments() -> None:
    assert plan(router().handle(route(model="sophisticated"), 0.0)) == ("b/m", "a/m")
    assert plan(router().handle(route(model="a/m", mode="sophisticated"), 0.0)) == ("a/m",)
    assert plan(router().handle(route(model="picky"), 0.0)) == ("b/m", "a/m")


def test_an_unknown_name_is_answered_so() -> None:
    for wrong in ({"model": "x"}, {"mode": "x"}):
        answer = router().handle(route(**wrong), 0.0)
        assert isinstance(answer, NoLease)
        assert not answer.known


def test_what_cannot_serve_the_request_is_not_asked() -> None:
    assert plan(router().handle(route(needs=frozenset({"tools"})), 0.0)) == ("b/m",)
    assert plan(router().handle(route(input_tokens=5000), 0.0)) == ("a/m",)
    assert plan(router().handle(route(larger_than=1000), 0.0)) == ("a/m",)
    answer = router().handle(route(needs=frozenset({"vision"})), 0.0)
    assert isinstance(answer, NoLease)
    assert {each.cause for each in answer.refused} == {Cause.UNSUITED}


def test_what_failed_is_left_out_or_asked_last() -> None:
    assert plan(router().handle(route(tried=("a/m",)), 0.0)) == ("b/m",)
    assert plan(router().handle(route(tried=("a/m",), again="a/m"), 0.0)) == ("b/m", "a/m")


def test_a_deployment_that_takes_no_traffic_comes_last_until_it_is_told_to_be_well_again() -> None:
    one = router()
    one.handle(Loads("a", {"a/m": Load(weight=0.0)}), 0.0)
    assert plan(one.handle(route(), 0.0)) == ("b/m", "a/m")
    one.handle(Loads("a", {"a/m": Load(weight=1.0)}), 0.0)
    assert plan(one.handle(route(), 0.0)) == ("a/m", "b/m")


def test_new_rankings_are_gone_by_at_once() -> None:
    several = tuple([candidate(f"a/{number}") for number in range(6)])
    table = RoutingTable({"m": Selection(several, "best")}, {})
    one = Router(table, RouterState(2, POLICIES), Mailbox[Any]("router"), VENDORS, rng=random.Random(1))
    assert plan(one.handle(route(), 0.0))[0] == "a/0"
    one.handle(Rankings({"a/0": Ranking(failures=0.5)}), 0.0)
    assert plan(one.handle(route(), 0.0))[0] == "a/1"


def test_a_declined_request_goes_to_the_next_and_then_waits_for_the_soonest() -> None:
    one = Refused("a/m", Cause.LIMITED, 9.0)
    two = Refused("b/m", Cause.COOLING, 4.0)
    house = router()
    result = house.handle(Declined(route(), ("a/m", "b/m"), 1, (one,)), 0.0)
    assert isinstance(result, Forward)
    assert result.to is VENDORS["b"]
    last = house.handle(Declined(route(), ("a/m", "b/m"), 2, (one, two)), 0.0)
    assert isinstance(last, Park)
    assert house.wake_at == 4.0


def test_with_nobody_left_to_ask_there_is_nothing_to_wait_for() -> None:
    house = router()
    assert house.handle(route(tried=("a/m", "b/m")), 0.0) == NoLease((), math.inf)
    refused = (Refused("a/m", Cause.FULL, 0.0),)
    assert isinstance(house.handle(Declined(route(), ("a/m",), 1, refused), 0.0), Park)
    assert house.handle(route(tried=("a/m", "b/m")), 0.0) == NoLease((), math.inf)


def test_nobody_overtakes_those_who_wait() -> None:
    house = router()
    refused = (Refused("a/m", Cause.LIMITED, 9.0, pace=1.0), Refused("b/m", Cause.LIMITED, 9.0, pace=1.0))
    assert isinstance(house.handle(Declined(route(), ("a/m", "b/m"), 2, refused), 0.0), Park)
    assert isinstance(house.handle(route(), 1.0), Park)
    # Other deployments have a line of their own, and a repetition does not begin at the end of one.
    assert isinstance(house.handle(route(model="a/m"), 1.0), Forward)
    assert isinstance(house.handle(route(tried=("a/m",)), 1.0), Forward)


def test_who_has_left_the_line_is_not_called() -> None:
    mailbox, house = mailbox_and_router()
    refused = (Refused("a/m", Cause.LIMITED, 9.0, pace=1.0),)
    parked = house.handle(Declined(route(), ("a/m", "b/m"), 2, refused), 0.0)
    assert isinstance(parked, Park)
    mailbox.waiting.add(parked.ticket)
    assert house.handle(Departed(parked.ticket), 1.0) is None
    assert list(house.wake(9.0)) == []
    assert house.wake_at == math.inf


def test_who_is_called_too_early_keeps_his_place() -> None:
    mailbox, house = mailbox_and_router()
    refused = (Refused("a/m", Cause.LIMITED, 9.0, pace=1.0),)
    parked = house.handle(Declined(route(), ("a/m", "b/m"), 2, refused), 0.0)
    assert isinstance(parked, Park)
    mailbox.waiting.add(parked.ticket)
    called = list(house.wake(9.0))
    assert [ticket for ticket, _ in called] == [parked.ticket]
    result = called[0][1]
    assert isinstance(result, Forward)
    assert result.message.queued == parked.ticket
    later = (Refused("a/m", Cause.LIMITED, 12.0, pace=1.0),)
    back = house.handle(Declined(route(), ("a/m", "b/m"), 2, later, queued=parked.ticket), 9.0)
    assert back == parked
    assert house.wake_at == 12.0


def test_a_turn_that_would_come_too_late_is_refused_at_once_with_its_time() -> None:
    house = router()
    refused = (Refused("a/m", Cause.LIMITED, 9.0, pace=50.0),)
    for expected in (9.0, 59.0):
        answer = house.handle(Declined(route(deadline=60.0), ("a/m", "b/m"), 2, refused), 0.0)
        assert isinstance(answer, Park), expected
    answer = house.handle(Declined(route(deadline=60.0), ("a/m", "b/m"), 2, refused), 0.0)
    assert isinstance(answer, NoLease)
    assert answer.retry_at == 109.0


def test_the_usual_time_to_answer_counts_when_one_asks_whether_a_turn_comes_in_time() -> None:
    house = router()
    house.handle(Rankings({"a/m": Ranking(usual=(20.0, 20.0, 20.0, 20.0))}), 0.0)
    refused = (Refused("a/m", Cause.LIMITED, 9.0, pace=1.0),)
    late = house.handle(Declined(route(deadline=28.0), ("a/m", "b/m"), 2, refused), 0.0)
    assert isinstance(late, NoLease)
    assert isinstance(house.handle(Declined(route(deadline=30.0), ("a/m", "b/m"), 2, refused), 0.0), Park)


def test_a_hedge_goes_to_another_vendor_at_once_or_not_at_all() -> None:
    house = router()
    assert plan(house.handle(route(hedge="a"), 0.0)) == ("b/m",)
    refused = (Refused("b/m", Cause.LIMITED, 1.0),)
    assert house.handle(Declined(route(hedge="a"), ("b/m",), 1, refused), 0.0) == NoLease(refused, 1.0)


def test_a_hedge_is_offered_where_enough_is_known_and_the_route_allows_it() -> None:
    times = {"m": (0.5, 1.0, 2.0, None)}
    for hedge, tokens, expected in (
        (True, 10, 0.5),
        (True, 2000, 1.0),
        (True, 99_000, None),
        (False, 10, None),
    ):
        table = RoutingTable({"m": Selection((A, B), "priority")}, {})
        house = Router(table, RouterState(2, POLICIES), Mailbox[Any]("router"), VENDORS, rng=random.Random(1))
        house.handle(Rankings({}, {}, times), 0.0)
        result = house.handle(route(input_tokens=tokens, hedged=hedge), 0.0)
        assert isinstance(result, Forward)
        assert result.message.hedge_after == expected


def test_when_nobody_can_be_had_in_time_it_says_when_somebody_might() -> None:
    refused = (Refused("a/m", Cause.LIMITED, 900.0), Refused("b/m", Cause.QUARANTINED, 300.0))
    answer = router().handle(Declined(route(), ("a/m", "b/m"), 2, refused), 0.0)
    assert answer == NoLease(refused, 300.0)


def test_an_open_circuit_is_the_last_resort() -> None:
    refused = (Refused("a/m", Cause.OPEN, 50.0), Refused("b/m", Cause.UNAVAILABLE, math.inf))
    result = router().handle(Declined(route(), ("a/m", "b/m"), 2, refused), 0.0)
    assert plan(result) == ("a/m",)
    again = router().handle(Declined(route(), ("a/m",), 1, refused, desperate=True), 0.0)
    assert isinstance(again, NoLease)


def test_those_who_fail_are_asked_in_panic_the_least_bad_first() -> None:
    refused = (
        Refused("a/m", Cause.OPEN, 50.0),
        Refused("b/m", Cause.QUARANTINED, 300.0),
        Refused("a/n", Cause.OPEN, 40.0),
        Refused("b/n", Cause.THROTTLED, 0.0),
        Refused("a/o", Cause.OPEN, 1.0),
    )
    asked = ("a/m", "b/m", "a/n", "b/n", "a/o")
    result = router().handle(Declined(route(again="a/o"), asked, 5, refused), 0.0)
    # There the last attempt failed, and the next one has to pause.
    assert plan(result) == ("b/n", "a/n", "a/m", "a/o")
    assert isinstance(result, Forward)
    assert isinstance(result.message, Reserve)
    assert result.message.refused == (refused[1],), "each of the others will say anew why it declines"


def test_the_first_matching_rule_counts() -> None:
    rules = (
        RoutingRule(kinds=frozenset({"tools"}), route="a/m"),
        RoutingRule(users=frozenset({"u"}), policy="cheapest"),
    )
    assert plan(router(*rules).handle(route(kinds=frozenset({"tools"}), user="u"), 0.0)) == ("a/m",)
    assert plan(router(*rules).handle(route(user="u", input_tokens=100), 0.0)) == ("b/m", "a/m")
    assert plan(router(*rules).handle(route(), 0.0)) == ("a/m", "b/m")


def test_rankings_decide_who_is_fastest_and_failures_do_not_look_fast() -> None:
    house = router(policy="fastest")
    house.handle(Rankings({"a/m": Ranking(0.1, 0.0, 0.9), "b/m": Ranking(0.5, 0.0, 0.0)}), 0.0)
    orders = [plan(house.handle(route(), 0.0)) for _ in range(50)]
    assert orders.count(("b/m", "a/m")) > 40


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)


@given(names=NAMES, seed=st.integers(0, 99), policy=st.sampled_from(sorted(POLICIES)), data=st.data())
def test_every_policy_returns_an_ordering_of_what_it_was_given(
    names: list[str], seed: int, policy: str, data: st.DataObject
) -> None:
    number = st.none() | st.floats(0, 100)
    candidates = [
        candidate(
            f"{name}/m",
            input_price=data.draw(number),
            output_price=data.draw(number),
            quality=data.draw(st.floats(0, 1)),
            weight=data.draw(st.sampled_from([0.0, 0.5, 3.0])),
        )
        for name in names
    ]
    rankings = {
        each.deployment: Ranking(data.draw(number), data.draw(number), 0.5) for each in candidates[::2]
    }
    view = View(route(input_tokens=10), rankings, {}, seed, random.Random(seed), 0.0)
    ordered = POLICIES[policy](candidates, view)
    assert sorted(each.deployment for each in ordered) == sorted(each.deployment for each in candidates)


def test_weights_share_out_as_they_say_and_zero_is_a_fallback_only() -> None:
    candidates = [candidate("a/m", weight=3.0), candidate("b/m", weight=1.0), candidate("c/m", weight=0.0)]
    rng = random.Random(4)
    firsts = [
        POLICIES["weighted"](candidates, View(route(), {}, {}, 0, rng, 0.0))[0].deployment
        for _ in range(4000)
    ]
    assert abs(firsts.count("a/m") / 4000 - 0.75) < 0.03
    assert "c/m" not in firsts
