"""Shared limits against a slow oracle: a list of everything that any holder ever started, summed over every window there is."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from llm_dispatcher.actors.machines.bucket import Reserved, reserve_all
from llm_dispatcher.actors.machines.claims import TERM, Answer, Claim, Entry, Heard, Report, Terms
from llm_dispatcher.actors.machines.headroom import Amount
from llm_dispatcher.actors.machines.pools import LimitPool
from llm_dispatcher.actors.machines.quota import QuotaBook
from llm_dispatcher.actors.machines.slices import SliceLimit, SliceSlots
from llm_dispatcher.actors.quota import Holdings

EPSILON = 1e-6
REQUESTS, TOKENS, SLOTS = "requests of v/m", "tokens of v/m", "slots of v/m"
COSTS = st.sampled_from([0.0, 1.0, 3.0, 8.0])
STEPS = st.sampled_from([0.0, 0.01, 0.3, 1.0, TERM + 0.5])


class Start:
    """One request of the oracle's list."""

    def __init__(self, holder: int, at: float, cost: float, marks: tuple[int, ...]) -> None:
        self.holder = holder
        self.at = at
        self.cost = cost
        self.marks = marks


class Process:
    """One holder, and what is on its way from it to the keeper."""

    def __init__(self, number: int, holders: int, amounts: dict[str, Amount], slots: int) -> None:
        self.number = number
        self.holdings = Holdings(holders)
        self.sent: deque[Report] = deque()
        self.open = 0
        shared = self.holdings.of("v", "v/m")
        self.limits: list[SliceLimit] = [
            shared.limit(name, amount, configured=True, share=1.0, steady=True)
            for name, amount in amounts.items()
        ]
        self.slots: SliceSlots = shared.slots(slots, lambda: self.open)

    def lacking(self, costs: tuple[float, float], now: float) -> dict[str, float]:
        found = {
            key: missing
            for key, limit, cost in zip((REQUESTS, TOKENS), self.limits, costs, strict=True)
            if (missing := limit.bucket.lacks(cost, now)) > 0
        }
        if self.open >= self.slots.held:
            found[SLOTS] = 1.0
        return found


class World(RuleBasedStateMachine):
    """Everything that can befall holders and keeper: delays, silence, death."""

    @initialize(
        requests=st.sampled_from([(0.5, 1.0), (1.0, 2.0)]),
        tokens=st.sampled_from([(2.0, 8.0), (4.0, 16.0)]),
        holders=st.sampled_from([1, 2, 3]),
    )
    def begin(self, requests: tuple[float, float], tokens: tuple[float, float], holders: int) -> None:
        self.rates = {REQUESTS: requests, TOKENS: tokens}
        self.amounts = {
            key.partition(" ")[0]: Amount(rate * 60, 60.0, burst / (rate * 60))
            for key, (rate, burst) in self.rates.items()
        }
        self.holders = holders
        self.now = 100.0
        self.slots = 2
        self.book = QuotaBook(holders)
        self.lives = 0
        self.processes = [self.born() for _ in range(holders)]
        self.starts: list[Start] = []
        self.orphans = 0

    def born(self) -> Process:
        self.lives += 1
        process = Process(self.lives, self.holders, self.amounts, self.slots)
        self.book.declare(process.holdings.declarations())
        self.book.join(process.number, self.now)
        return process

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        self.now += step

    @rule(
        which=st.integers(0, 2), tokens=COSTS, later=st.sampled_from([0.0, 0.0, 0.7]), insists=st.booleans()
    )
    def request(self, which: int, tokens: float, later: float, insists: bool) -> None:
        """One request: served by what is held, else its lack is claimed, and who insists looks again after an answer."""
        process = self.processes[which % self.holders]
        lacking = process.lacking((1.0, tokens), self.now)
        if lacking:
            process.holdings.lack("v/m", "v", lacking, self.now)
            if not insists:
                return
            self.report(which)
            self.read(which)
            if process.lacking((1.0, tokens), self.now):
                return
        dimensions = [(process.limits[0].bucket, 1.0), (process.limits[1].bucket, tokens)]
        taken = reserve_all(dimensions, self.now + later, 0.0)
        if isinstance(taken, Reserved):
            process.holdings.has_enough("v/m")
            process.open += 1
            self.starts.append(Start(process.number, taken.start_at, tokens, taken.marks))

    @rule(which=st.integers(0, 2))
    def report(self, which: int) -> None:
        process = self.processes[which % self.holders]
        process.sent.append(process.holdings.report(self.now))

    @rule(which=st.integers(0, 2))
    def read(self, which: int) -> None:
        """The keeper reads what one holder has sent, and tells everybody what there is to tell."""
        process = self.processes[which % self.holders]
        while process.sent:
            self.book.read(process.number, process.sent.popleft(), self.now)
        self.tell()

    def tell(self) -> None:
        answers = self.book.settle(self.now)
        for each in self.processes:
            if each.number in answers:
                each.holdings.take(answers[each.number], self.now)
                each.holdings.give_back("v")

    @rule(which=st.integers(0, 99), used=st.sampled_from([0.0, 0.5, 1.0]))
    def end(self, which: int, used: float) -> None:
        """One request ends, having used less than it reserved."""
        if not self.starts:
            return
        start = self.starts[which % len(self.starts)]
        process = next((each for each in self.processes if each.number == start.holder), None)
        if process is None or not process.open:
            return
        process.open -= 1
        process.limits[1].bucket.refund(start.cost * (1 - used), self.now, start.marks[1])
        start.cost *= used

    @rule(which=st.integers(0, 2), number=st.integers(2, 6))
    def burst(self, which: int, number: int) -> None:
        """As many as can be had."""
        for _ in range(number):
            self.request(which, 1.0, 0.0, insists=True)

    @rule(which=st.integers(0, 2), read=st.booleans())
    def kill(self, which: int, read: bool) -> None:
        """kill -9: what it has sent may be read yet, or is lost."""
        which %= self.holders
        process = self.processes[which]
        for report in process.sent if read else ():
            self.book.read(process.number, report, self.now)
        self.book.leave(process.number, self.now)
        self.processes[which] = self.born()
        self.tell()

    @invariant()
    def no_window_holds_more_than_one_bucket_would_let_through(self) -> None:
        if not hasattr(self, "rates"):
            return
        for key, (rate, burst) in self.rates.items():
            costs = [(each.at, 1.0 if key == REQUESTS else each.cost) for each in self.starts]
            costs.sort()
            for first, (begin, _) in enumerate(costs):
                total = 0.0
                for at, cost in costs[first:]:
                    total += cost
                    assert total <= burst + rate * (at - begin) + EPSILON, key

    @invariant()
    def no_more_places_are_taken_than_there_are(self) -> None:
        if hasattr(self, "rates"):
            assert sum([each.open for each in self.processes]) <= self.slots

    def teardown(self) -> None:
        """Nothing leaks: when all are gone and time has passed, everything is there again."""
        if not hasattr(self, "rates"):
            return
        for process in self.processes:
            self.book.leave(process.number, self.now)
        self.book.settle(self.now + TERM)
        for key, (_, burst) in self.rates.items():
            assert self.book.pools[key].free(self.now + 10_000) == pytest.approx(burst)
        assert self.book.pools[SLOTS].free(self.now + 10_000) == self.slots
        assert self.book.waiting == 0


World.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestWorld = pytest.mark.slow(World.TestCase)


RATE, BURST = 1.0, 8.0


class Pair:
    """A keeper and two holders of one limit, as tests tell them what to do."""

    def __init__(self, *, slots: int = 0) -> None:
        self.book = QuotaBook(2)
        self.now = 0.0
        self.holdings = [Holdings(2), Holdings(2)]
        amount = Amount(RATE * 60, 60.0, BURST / (RATE * 60))
        shared = [each.of("v", "v/m") for each in self.holdings]
        self.limits = [
            each.limit("tokens", amount, configured=True, share=1.0, steady=True) for each in shared
        ]
        self.slots = [each.slots(slots, lambda: 0) for each in shared] if slots else []
        for number, each in enumerate(self.holdings):
            self.book.declare(each.declarations())
            self.book.join(number, self.now)
            self.exchange(number)

    def exchange(self, number: int) -> dict[int, Answer]:
        self.book.read(number, self.holdings[number].report(self.now), self.now)
        answers = self.book.settle(self.now)
        for holder, answer in answers.items():
            self.holdings[holder].take(answer, self.now)
            self.holdings[holder].give_back("v")
        return answers

    def claim(self, number: int, amount: float) -> bool:
        """Whether that much is held after a word with the keeper."""
        missing = self.limits[number].bucket.lacks(amount, self.now)
        if missing:
            self.holdings[number].lack("v/m", "v", {TOKENS: missing}, self.now)
            self.exchange(number)
        return not self.limits[number].bucket.lacks(amount, self.now)

    def spend(self, number: int, amount: float, at: float | None = None) -> int:
        taken = reserve_all([(self.limits[number].bucket, amount)], self.now if at is None else at, 0.0)
        assert isinstance(taken, Reserved)
        self.holdings[number].has_enough("v/m")
        return taken.marks[0]

    @property
    def free(self) -> float:
        return self.book.pools[TOKENS].free(self.now)


def test_what_one_holder_was_lent_the_other_cannot_have() -> None:
    pair = Pair()
    assert pair.claim(0, 5.0)
    assert not pair.claim(1, 4.0) or pair.limits[0].bucket.held == 0


def test_what_lies_idle_with_one_holder_is_recalled_for_another() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    assert not pair.claim(1, 6.0)
    pair.exchange(0)
    assert pair.limits[1].bucket.held == pytest.approx(6.0)
    assert pair.limits[0].bucket.held == 0


def test_a_claim_that_must_wait_is_told_for_how_long() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    pair.spend(0, 8.0)
    pair.exchange(0)
    lack = pair.holdings[1].lack("v/m", "v", {TOKENS: 3.0}, pair.now)
    pair.exchange(1)
    assert lack.until == pytest.approx(3.0 / RATE)
    assert pair.book.wake_at == pytest.approx(3.0 / RATE)


def test_a_large_claim_is_not_starved_by_small_ones() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    pair.spend(0, 8.0)
    lack = pair.holdings[1].lack("v/m", "v", {TOKENS: 7.0}, pair.now)
    pair.exchange(1)
    served = None
    for tenth in range(1, 100):
        pair.now = tenth / 10
        if pair.claim(0, 1.0):
            pair.spend(0, 1.0)
        pair.exchange(1)
        if lack.granted:
            served = pair.now
            break
    assert served == pytest.approx(7.0, abs=0.2)


def test_a_holder_that_was_killed_has_spent_what_it_held() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    pair.book.leave(0, pair.now)
    assert pair.free == pytest.approx(0.0)
    pair.now = 5.0
    assert pair.free == pytest.approx(5.0 * RATE)


def test_while_the_keeper_is_silent_each_holder_spends_its_share_and_no_more() -> None:
    pair = Pair()
    assert pair.claim(0, 6.0)
    bucket = pair.limits[0].bucket
    pair.now = TERM + 0.001
    assert bucket.lacks(1.0, pair.now), "what was held is void, and the share begins with nothing"
    spent = 0
    for hundredth in range(1000):
        pair.now = TERM + hundredth / 100
        if not bucket.lacks(1.0, pair.now):
            pair.spend(0, 1.0)
            spent += 1
    assert spent == pytest.approx(10 * RATE / 2, abs=1)


def test_after_a_silence_nobody_is_lent_what_others_have_spent_of_their_shares() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    pair.spend(0, 8.0)
    pair.exchange(0)
    pair.now = 20.0
    # Full again by time, as far as the keeper knows; but the holders may have spent ten each of their own.
    pair.exchange(1)
    assert pair.limits[1].bucket.held + max(0.0, pair.free) <= BURST
    assert pair.free < BURST


def test_what_was_spent_before_a_silence_is_charged_once() -> None:
    pair = Pair()
    assert pair.claim(0, 6.0)
    pair.spend(0, 6.0)
    report = pair.holdings[0].report(pair.now)
    pair.now = TERM + 0.1
    pair.book.settle(pair.now)
    charged = pair.free
    pair.book.read(0, report, pair.now)
    assert pair.free == pytest.approx(charged)


def test_what_was_held_before_a_silence_is_void_after_it() -> None:
    pair = Pair()
    assert pair.claim(0, 6.0)
    pair.now = TERM + 0.1
    pair.exchange(0)
    assert pair.limits[0].bucket.held < 6.0
    assert pair.limits[0].bucket.held + pair.free <= BURST


def test_what_is_given_back_late_is_not_given_back_beside_what_time_has_paid() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    mark = pair.spend(0, 8.0)
    for second in range(0, 21, 2):
        pair.now = float(second)
        pair.exchange(0)
        pair.exchange(1)
    assert pair.claim(1, 4.0)
    pair.spend(1, 4.0)
    pair.exchange(1)
    before = pair.free
    pair.limits[0].bucket.refund(8.0, pair.now, mark)
    pair.exchange(0)
    assert pair.free == pytest.approx(before, abs=0.01)


def test_what_is_given_back_at_once_can_be_lent_again() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    mark = pair.spend(0, 8.0)
    pair.exchange(0)
    pair.limits[0].bucket.refund(5.0, pair.now, mark)
    pair.exchange(0)
    assert pair.free + pair.limits[0].bucket.held == pytest.approx(5.0)


def test_what_starts_later_is_paid_back_by_time_from_then_on() -> None:
    pair = Pair()
    assert pair.claim(0, 8.0)
    pair.spend(0, 8.0, at=3.0)
    pair.exchange(0)
    pair.now = 5.0
    assert pair.free == pytest.approx(2.0 * RATE)


def test_places_come_back_from_the_dead_when_their_term_is_over_and_from_the_silent_never() -> None:
    pair = Pair(slots=3)
    for number in (0, 1):
        pair.holdings[number].lack("v/m", "v", {SLOTS: 1.0}, pair.now)
        pair.exchange(number)
    slots = pair.book.pools[SLOTS]
    before = slots.free(pair.now)
    pair.book.leave(0, pair.now)
    held = pair.slots[0].held
    assert held >= 1
    assert slots.free(pair.now) == before
    pair.now = TERM + 0.1
    pair.book.settle(pair.now)
    assert slots.free(pair.now) == before + held
    assert pair.slots[1].held == 3 - slots.free(pair.now)


def test_a_limit_that_a_vendor_names_lower_is_lower_for_all() -> None:
    pair = Pair()
    pair.limits[0].learn(30.0, None, None, pair.now)
    pair.exchange(0)
    assert [each.bucket.burst for each in pair.limits] == pytest.approx([BURST / 2, BURST / 2])


def test_a_vendor_that_has_nothing_left_is_left_alone_by_all() -> None:
    pair = Pair()
    assert pair.claim(1, 2.0)
    pool = pair.book.pools[TOKENS]
    assert isinstance(pool, LimitPool)
    pool.limit.steady = False
    entry = Entry(heard=Heard(60.0, 0.0, 5.0, 0.0))
    pair.book.read(0, Report(era=0, number=99, entries={TOKENS: entry}), pair.now)
    answers = pair.book.settle(pair.now)
    pair.holdings[1].take(answers[1], pair.now)
    assert pair.limits[1].bucket.start(1.0, pair.now) == pytest.approx(5.0)
    assert not pair.claim(0, 1.0)


def test_a_claim_for_more_than_the_limit_can_ever_hold_is_told_so() -> None:
    pair = Pair()
    pair.book.read(0, Report(era=0, number=50, claims=(Claim(1, {TOKENS: 99.0}),)), pair.now)
    assert pair.book.settle(pair.now)[0].waits == {1: math.inf}


def test_a_claim_that_was_met_is_not_met_twice_when_a_report_crossed_the_answer() -> None:
    pair = Pair()
    claim = Claim(7, {TOKENS: 2.0})
    report: Any = Report(era=0, number=50, claims=(claim,))
    pair.book.read(0, report, pair.now)
    assert pair.book.settle(pair.now)[0].granted == (7,)
    pair.book.read(0, report, pair.now)
    assert pair.book.settle(pair.now)[0].granted == ()


@given(costs=st.lists(st.sampled_from([0.5, 1.0, 2.0]), max_size=12))
@settings(max_examples=20, deadline=None)
def test_one_holder_alone_may_spend_the_whole_limit(costs: list[float]) -> None:
    pair = Pair()
    spent = 0.0
    for cost in costs:
        if pair.claim(0, cost):
            pair.spend(0, cost)
            spent += cost
    assert spent == pytest.approx(max([sum(chosen) for chosen in _greedy(costs)]))


def _greedy(costs: list[float]) -> list[list[float]]:
    chosen: list[float] = []
    for cost in costs:
        if sum(chosen) + cost <= BURST:
            chosen.append(cost)
    return [chosen]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="shared among"):
        QuotaBook(0)
    book = QuotaBook(1)
    book.join(1, 0.0)
    with pytest.raises(ValueError, match="known already"):
        book.join(1, 0.0)
    assert book.settle(0.0) == {}
    book.declare({TOKENS: Terms(60.0)})
    book.read(5, Report(era=0, number=1), 0.0)
    assert book.settle(0.0) == {}
