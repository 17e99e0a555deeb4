"""The waiting room: fair turns, honest estimates, nobody overtaken or forgotten."""

from __future__ import annotations

import math

import pytest
from llm_dispatcher.actors.machines.fair_queue import FairQueueSettings
from llm_dispatcher.actors.messages import Cause, Refused, Route
from llm_dispatcher.actors.waiting import WaitingRoom

KEY = ("a/m",)


def route(tenant: str = "t", tokens: int = 10, deadline: float = 100.0) -> Route:
    return Route(model="m", deadline=deadline, tenant=tenant, input_tokens=tokens)


def limited(until: float, pace: float = 1.0) -> tuple[Refused, ...]:
    return (Refused("a/m", Cause.LIMITED, until, pace),)


def everybody(ticket: int) -> bool:
    return True


class Limit:
    """A limit that serves one request a second, and the line before it."""

    def __init__(self, settings: FairQueueSettings | None = None) -> None:
        self.room = WaitingRoom(settings)
        self.free_at = 1.0
        self.served: list[tuple[float, str]] = []

    def join(self, tenant: str, now: float = 0.0) -> int | None:
        return self.room.join(KEY, route(tenant), self.free_at, now)

    def run(self, until: float, waits: set[int] | None = None) -> None:
        while (due := self.room.due) <= until:
            for turn in self.room.turns(due, (lambda ticket: ticket in waits) if waits else everybody):
                waiter = turn.entry.item
                if due < self.free_at:
                    assert self.room.returned(KEY, waiter.ticket, limited(self.free_at), due)
                    continue
                self.served.append((due, waiter.route.tenant))
                self.free_at = due + 1.0
                self.room.room("a", due)


def test_tenants_take_turns_however_many_one_of_them_sends() -> None:
    limit = Limit(FairQueueSettings(quantum=10.0))
    for _ in range(20):
        limit.join("greedy")
    for tenant in ("b", "c"):
        for _ in range(3):
            limit.join(tenant)
    limit.run(9.0)
    assert sorted(tenant for _, tenant in limit.served) == ["b"] * 3 + ["c"] * 3 + ["greedy"] * 3
    assert [when for when, _ in limit.served] == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8, 9])


def test_the_wait_is_known_when_one_joins() -> None:
    limit = Limit(FairQueueSettings(quantum=10.0, lifo_after=math.inf))
    estimates: list[float] = []
    for _ in range(5):
        start = limit.room.estimate(KEY, route(), limited(1.0), 0.0)
        assert start is not None
        estimates.append(start)
        limit.join("t")
    limit.run(20.0)
    assert estimates == pytest.approx([when for when, _ in limit.served])


def test_waiting_is_no_help_against_what_time_does_not_cure() -> None:
    room = WaitingRoom()
    assert room.estimate(KEY, route(), (Refused("a/m", Cause.OPEN, 5.0),), 0.0) is None
    assert room.estimate(KEY, route(), (Refused("a/m", Cause.TOO_LARGE, math.inf),), 0.0) is None
    assert room.estimate(KEY, route(), (Refused("a/m", Cause.COOLING, 5.0),), 0.0) == 5.0


def test_a_full_line_takes_nobody_more() -> None:
    limit = Limit(FairQueueSettings(entries=2))
    assert limit.join("t") is not None
    assert limit.join("t") is not None
    assert limit.join("t") is None


def test_one_who_has_left_is_passed_over() -> None:
    limit = Limit()
    first, second = limit.join("t"), limit.join("u")
    assert first is not None
    assert second is not None
    limit.run(5.0, waits={second})
    assert [tenant for _, tenant in limit.served] == ["u"]
    assert not limit.room.busy(KEY)


def test_a_line_goes_on_although_nothing_is_heard_of_the_one_who_was_called() -> None:
    room = WaitingRoom()
    for _ in range(2):
        room.join(KEY, route(), 1.0, 0.0)
    assert len(list(room.turns(1.0, everybody))) == 1
    assert 1.0 < room.due < 1.1
    assert len(list(room.turns(room.due, everybody))) == 1
    list(room.turns(room.due, everybody))
    assert room.due == math.inf
    assert not room.busy(KEY)


def test_one_who_comes_back_after_the_line_went_on_is_not_at_its_head_any_more() -> None:
    room = WaitingRoom()
    ticket = room.join(KEY, route(), 1.0, 0.0)
    assert ticket is not None
    list(room.turns(1.0, everybody))
    list(room.turns(room.due, everybody))
    assert not room.returned(KEY, ticket, limited(9.0), 2.0)


def test_who_waits_for_a_slot_is_called_when_a_vendor_tells_of_one() -> None:
    room = WaitingRoom()
    ticket = room.join(KEY, route(), 0.0, 0.0)
    assert ticket is not None
    assert len(list(room.turns(room.due, everybody))) == 1
    assert room.returned(KEY, ticket, (Refused("a/m", Cause.FULL, 0.05),), 0.05)
    assert room.due > 0.2
    room.room("b", 0.1)
    assert room.due > 0.2
    room.room("a", 0.1)
    assert room.due == 0.1
    assert [turn.entry.item.ticket for turn in room.turns(0.1, everybody)] == [ticket]


def test_who_leaves_the_line_makes_room_for_those_behind() -> None:
    room = WaitingRoom(FairQueueSettings(entries=2))
    first, second = room.join(KEY, route(), 1.0, 0.0), room.join(KEY, route(), 1.0, 0.0)
    assert room.join(KEY, route(), 1.0, 0.0) is None
    assert first is not None
    room.leave(first)
    assert len(room) == 1
    assert room.join(KEY, route(), 1.0, 0.0) is not None
    assert [turn.entry.item.ticket for turn in room.turns(1.0, everybody)] == [second]


def test_who_leaves_when_it_has_been_called_is_not_waited_for() -> None:
    room = WaitingRoom()
    ticket = room.join(KEY, route(), 1.0, 0.0)
    list(room.turns(1.0, everybody))
    assert ticket is not None
    room.leave(ticket)
    assert not room.busy(KEY)


def test_lines_of_other_deployments_are_other_lines() -> None:
    room = WaitingRoom()
    room.join(KEY, route(), 1.0, 0.0)
    assert room.busy(KEY)
    assert not room.busy(("b/m",))
    assert len(room) == 1
    assert set(room.statistics(0.0)) == {"a/m"}


def test_a_tenant_who_fills_the_line_keeps_nobody_out() -> None:
    room = WaitingRoom(FairQueueSettings(entries=3))
    tickets = [room.join(KEY, route("greedy"), 5.0, 0.0) for _ in range(4)]
    assert tickets[3] is None
    assert room.join(KEY, route("b"), 5.0, 0.0) is not None
    assert room.due == -math.inf, "who had to leave is told at once"
    assert room.departed(0.0) == [(tickets[2], Cause.CROWDED)]
    assert room.due >= 5.0


def test_those_whose_deadline_has_come_are_named_so_that_nothing_is_kept_of_them() -> None:
    room = WaitingRoom()
    ticket = room.join(KEY, route(deadline=2.0), 1.0, 0.0)
    room.join(KEY, route(deadline=9.0), 1.0, 0.0)
    assert room.departed(1.0) == []
    assert room.departed(2.0) == [(ticket, Cause.LATE)]
    assert room.departed(2.0) == []
