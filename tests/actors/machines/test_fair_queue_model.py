"""The fair queue against a model that keeps plain lists and plays every round out."""

import copy
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from llm_dispatcher.actors.machines.fair_queue import Entry, FairQueue, FairQueueSettings

# Small numbers, so that corners are a few steps away; powers of two, so that sums are exact.
SMALL = FairQueueSettings(entries=8, bytes=100, quantum=4.0, lifo_after=2.0, bypasses=2)
WEIGHTS = {"light": 0.25, "heavy": 2.0}
TENANTS = ["light", "heavy", "x", "y"]


class Waiting:
    """One request in the model."""

    def __init__(self, number: int, tenant: str, cost: float, size: int, deadline: float, now: float) -> None:
        self.number = number
        self.tenant = tenant
        self.cost = cost
        self.size = size
        self.deadline = deadline
        self.since = now
        self.bypassed = 0
        self.overtook: list[Waiting] = []


class Model:
    """What the queue should do, said the long way round."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.ring: list[str] = []
        self.credit: dict[str, float] = {}
        self.on_turn: dict[str, bool] = {}

    def join(self, one: Waiting) -> None:
        self.waiting = sorted([*self.waiting, one], key=lambda each: each.number)
        if one.tenant not in self.ring:
            self.ring.append(one.tenant)
            self.credit[one.tenant] = 0.0
            self.on_turn[one.tenant] = False

    def leave(self, one: Waiting) -> None:
        self.waiting.remove(one)
        if not any(each.tenant == one.tenant for each in self.waiting):
            self.ring.remove(one.tenant)

    def sweep(self, now: float) -> list[Waiting]:
        late = sorted(
            [each for each in self.waiting if each.deadline <= now],
            key=lambda each: (each.deadline, each.number),
        )
        for each in late:
            self.leave(each)
        return late

    def line(self, tenant: str, now: float) -> list[Waiting]:
        line = [each for each in self.waiting if each.tenant == tenant]
        if now - line[0].since > SMALL.lifo_after:
            line.reverse()
        return line

    def pop(self, now: float, skip: set[int]) -> Waiting | None:
        passed: list[Waiting] = []
        while True:
            helps = False
            owed: list[str] = []
            for tenant in list(self.ring):
                share = SMALL.quantum * WEIGHTS.get(tenant, 1.0)
                if not self.on_turn[tenant]:
                    self.on_turn[tenant] = True
                    self.credit[tenant] += share
                blocked = False
                for one in self.line(tenant, now)[: SMALL.bypasses + 1]:
                    if one.cost > self.credit[tenant]:
                        helps = True
                        owed += [tenant] * blocked
                        break
                    if one.number not in skip:
                        return self.serve(one, passed)
                    blocked = True
                    if one not in passed:
                        if one.bypassed >= SMALL.bypasses:
                            return None
                        passed.append(one)
                if not blocked:
                    self.on_turn[tenant] = False
                    self.ring.remove(tenant)
                    self.ring.append(tenant)
            if not helps:
                return None
            for tenant in owed:
                self.credit[tenant] += SMALL.quantum * WEIGHTS.get(tenant, 1.0)

    def serve(self, one: Waiting, passed: list[Waiting]) -> Waiting:
        self.credit[one.tenant] -= one.cost
        for each in passed:
            each.bypassed += 1
        one.overtook = passed
        self.leave(one)
        return one

    def put_back(self, one: Waiting) -> None:
        for each in one.overtook:
            each.bypassed -= 1
        self.join(one)
        self.credit[one.tenant] += one.cost
        self.on_turn[one.tenant] = True
        self.ring.remove(one.tenant)
        self.ring.insert(0, one.tenant)


class FairQueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue[int](SMALL, WEIGHTS)
        self.model = Model()
        self.now = 0.0
        self.number = 0
        self.taken: list[tuple[Entry[int], Waiting]] = []
        self.late: list[Waiting] = []

    def sweep(self) -> None:
        self.late += self.model.sweep(self.now)
        # Those that nobody asks for are kept within the same bounds as those that wait.
        while len(self.late) > SMALL.entries or sum(each.size for each in self.late) > SMALL.bytes:
            del self.late[0]

    @rule(step=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(
        tenant=st.sampled_from(TENANTS),
        cost=st.sampled_from([0.0, 1.0, 3.0, 4.0, 9.0, 70.0]),
        size=st.sampled_from([0, 10, 40]),
        life=st.sampled_from([0.5, 4.0, 20.0, math.inf]),
    )
    def push(self, tenant: str, cost: float, size: int, life: float) -> None:
        self.number += 1
        model = self.model

        def room() -> bool:
            return len(model.waiting) < 8 and sum(each.size for each in model.waiting) + size <= 100

        if not room():
            self.sweep()
        fits = room()
        pushed = self.queue.push(
            self.number,
            tenant=tenant,
            cost=cost,
            size=size,
            deadline=self.now + life,
            now=self.now,
            key=self.number,
        )
        assert pushed == fits
        if fits:
            model.join(Waiting(self.number, tenant, max(cost, 1.0), size, self.now + life, self.now))

    @rule(
        tenants=st.lists(st.sampled_from(TENANTS[1:3]), min_size=3, max_size=6),
        costs=st.lists(st.sampled_from([1.0, 3.0, 9.0, 70.0]), min_size=6, max_size=6),
    )
    def push_several(self, tenants: list[str], costs: list[float]) -> None:
        """In one step, so that runs get to where several wait."""
        for tenant, cost in zip(tenants, costs, strict=False):
            self.push(tenant, cost, 0, 20.0)

    @rule(data=st.data(), times=st.integers(1, 6))
    def pop(self, data: st.DataObject, times: int) -> None:
        # Mostly a few that do not fit, so that others are served in their place.
        waiting = [each.number for each in self.model.waiting] or [0]
        skip = data.draw(st.sets(st.sampled_from(waiting), max_size=3) | st.just(set(waiting)))
        for _ in range(times):
            self.sweep()
            shown = self.queue.peek(self.now, skip.__contains__)
            entry = self.queue.pop(self.now, skip.__contains__)
            one = self.model.pop(self.now, skip)
            assert shown is entry
            assert (entry and entry.item) == (one and one.number)
            if entry is not None and one is not None:
                assert not entry.waiting
                assert entry.deadline > self.now
                self.taken.append((entry, one))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.taken))
        self.taken.remove(pair)
        self.queue.put_back(pair[0], self.now)
        self.model.put_back(pair[1])

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.model.waiting))
        entry = self.queue.remove(one.number)
        assert entry is not None
        assert entry.item == one.number
        assert self.queue.remove(one.number) is None
        self.model.leave(one)

    @rule()
    def ask_who_expired(self) -> None:
        self.sweep()
        gone = self.queue.expired(self.now)
        assert [entry.item for entry in gone] == [each.number for each in self.late]
        self.late.clear()

    @rule(tenant=st.sampled_from(TENANTS), cost=st.sampled_from([1.0, 4.0, 30.0]))
    def ask_what_is_ahead(self, tenant: str, cost: float) -> None:
        self.sweep()
        foretold = self.queue.ahead(tenant, cost, self.now)
        played = copy.deepcopy(self.model)
        played.join(Waiting(10**6, tenant, cost, 0, math.inf, self.now))
        served = 0.0
        while (one := played.pop(self.now, set())) is not None and one.number != 10**6:
            served += one.cost
        assert foretold == served

    @invariant()
    def the_same_wait(self) -> None:
        found = self.queue.statistics(self.now)
        waiting = self.model.waiting
        assert len(self.queue) == found.waiting == len(waiting)
        assert found.bytes == sum(each.size for each in waiting)
        assert found.cost == sum(each.cost for each in waiting)
        assert found.tenants == len({each.tenant for each in waiting})
        assert self.queue.next_deadline() == min([each.deadline for each in waiting], default=math.inf)

    @invariant()
    def nobody_is_overtaken_more_often_than_allowed(self) -> None:
        assert all(0 <= each.bypassed <= SMALL.bypasses for each in self.model.waiting)


TestFairQueueMachine = pytest.mark.slow(FairQueueMachine.TestCase)
TestFairQueueMachine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
