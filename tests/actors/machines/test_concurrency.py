"""The concurrency limit: slots are counted exactly, a vendor's limit is found and kept to, and chance is no limit."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from llm_dispatcher.actors.machines.concurrency import ConcurrencyLimit

# --- counting -----------------------------------------------------------------------------------


class LimitMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = ConcurrencyLimit(6)
        self.now = 0.0
        self.open: list[int] = []

    @rule(step=st.sampled_from([0.5, 1.0, 3.0, 100.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule()
    def acquire(self) -> None:
        full = self.limit.full(self.now)
        granted = self.limit.acquire(self.now)
        assert granted is not full
        assert granted is (len(self.open) < self.limit.limit) or len(self.open) + 1 == self.limit.limit
        if granted:
            self.open.append(self.limit.begun)

    @precondition(lambda self: self.open)
    @rule(
        which=st.integers(0, 5), named=st.booleans(), how=st.sampled_from(["taken", "lost", "lost", "gone"])
    )
    def end(self, which: int, named: bool, how: str) -> None:
        number = self.open.pop(which % len(self.open))
        before = self.limit.known
        if how == "taken":
            self.limit.on_taken(number, self.now)
            assert self.limit.known >= before
        elif how == "lost":
            self.limit.on_loss(number, self.now, named=named)
            assert self.limit.known <= before
        self.limit.release()

    @invariant()
    def counted_exactly(self) -> None:
        shown = self.limit.statistics()
        assert shown.in_flight == len(self.open)
        assert 1 <= shown.limit <= 6
        assert self.limit.is_sound(len(self.open))


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_a_fixed_limit_learns_nothing() -> None:
    limit = ConcurrencyLimit(3, fixed=True)
    for _ in range(3):
        assert limit.acquire(0)
    for number in (1, 2, 3):
        limit.on_taken(number, 0)
        for _ in range(10):
            limit.on_loss(number, 1, named=True)
    assert limit.limit == 3
    assert not limit.acquire(1)


def test_closing_a_call_twice_is_an_error() -> None:
    limit = ConcurrencyLimit(2)
    limit.acquire(0)
    limit.release()
    with pytest.raises(RuntimeError, match="not open"):
        limit.release()


def test_limits_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="minimum <= maximum"):
        ConcurrencyLimit(2, minimum=3)
    with pytest.raises(ValueError, match="minimum <= maximum"):
        ConcurrencyLimit(2, minimum=0)


# --- what moves it ------------------------------------------------------------------------------


def opened(limit: ConcurrencyLimit, calls: int, now: float = 0.0) -> list[int]:
    numbers = []
    for _ in range(calls):
        assert limit.acquire(now)
        numbers.append(limit.begun)
    return numbers


def lose(limit: ConcurrencyLimit, numbers: list[int], now: float = 0.0, *, named: bool = False) -> None:
    for number in numbers:
        limit.on_loss(number, now, named=named)
        limit.release()


def held_at_eight() -> ConcurrencyLimit:
    """Eight calls are open, and five more were refused, one after the other."""
    limit = ConcurrencyLimit()
    opened(limit, 8)
    for _ in range(5):
        lose(limit, opened(limit, 1))
    assert (limit.limit, limit.in_flight) == (8, 8)
    return limit


def test_a_few_losses_change_nothing() -> None:
    limit = ConcurrencyLimit()
    opened(limit, 8)
    for _ in range(4):
        lose(limit, opened(limit, 1))
    assert limit.limit == math.inf


def test_the_limit_is_what_the_vendor_held_on_to_when_it_went_on_refusing() -> None:
    assert not held_at_eight().acquire(0)


def test_three_refusals_that_say_that_too_many_are_open_are_enough() -> None:
    limit = ConcurrencyLimit()
    opened(limit, 8)
    for _ in range(3):
        lose(limit, opened(limit, 1), named=True)
    assert limit.limit == 8


def test_of_calls_that_fail_together_only_so_many_count_as_it_takes() -> None:
    limit = ConcurrencyLimit()
    numbers = opened(limit, 100)
    lose(limit, numbers[8:])
    shown = limit.statistics()
    assert shown.decreases == 1
    assert shown.limit == 48, "at least half of the 96 that were open"


def test_after_a_second_one_more_is_tried_and_after_each_refusal_the_pause_is_twice_as_long() -> None:
    limit, now, pauses = held_at_eight(), 0.0, []
    for _ in range(8):
        since = now
        while limit.full(now):
            now += 0.25
        pauses.append(now - since)
        lose(limit, opened(limit, 1, now), now)
        assert limit.limit == 8
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_probe_that_is_taken_on_beside_all_others_raises_the_limit_and_twice_as_many_are_tried() -> None:
    limit = held_at_eight()
    (probe,) = opened(limit, 1, 1.0)
    assert limit.full(1.0)
    limit.on_taken(probe, 1.1)
    assert limit.statistics().limit == 9 + 2
    for probe in opened(limit, 2, 1.2):
        limit.on_taken(probe, 1.3)
    assert limit.limit > 15


def test_a_probe_that_nobody_refuses_for_two_seconds_is_taken_on() -> None:
    limit = held_at_eight()
    opened(limit, 1, 1.0)
    assert limit.full(2.9)
    assert not limit.full(3.0)
    assert limit.known == 9


def test_a_probe_proves_nothing_by_itself_if_others_had_ended_meanwhile() -> None:
    limit = held_at_eight()
    (probe,) = opened(limit, 1, 1.0)
    limit.release()
    opened(limit, 1, 1.1)
    limit.on_taken(probe, 1.2)
    assert limit.known == 8


def test_a_loss_of_a_call_from_before_the_limit_moved_says_nothing_of_the_new_one() -> None:
    limit = held_at_eight()
    lose(limit, [1, 2, 3, 4, 5, 6], 0.5, named=True)
    assert limit.limit == 8


def test_it_never_rises_above_what_was_configured_nor_falls_below_the_least() -> None:
    limit = ConcurrencyLimit(4, minimum=2)
    for _ in range(20):
        lose(limit, opened(limit, 2, 0.0), 0.0)
    assert limit.limit == 2
    for second in range(1, 30):
        for number in opened(limit, int(limit.limit) - limit.in_flight, float(second)):
            limit.on_taken(number, float(second))
    assert limit.limit == 4


def test_after_a_crash_it_begins_with_one_and_finds_its_way_up() -> None:
    limit = ConcurrencyLimit()
    opened(limit, 30)
    limit.reset(3, 0.0)
    assert limit.is_sound(3)
    assert limit.full(0.5)
    for _ in range(3):
        limit.release()
    for tenth in range(10, 20):
        for number in [limit.begun for _ in range(10) if limit.acquire(tenth / 10)]:
            limit.on_taken(number, tenth / 10)
    assert limit.known >= 70, "before long nobody was held up any more"


# --- over a vendor ------------------------------------------------------------------------------


class Traffic:
    """Callers come at random, each to stay for a while, and whoever finds no room waits. The vendor refuses what is beyond
    `most`, and others by `chance`; a refused caller comes back at once."""

    def __init__(
        self,
        *,
        rate: float,
        stay: float,
        most: float = math.inf,
        chance: float = 0.0,
        streamed: bool = True,
        named: bool = False,
        seed: int = 1,
    ) -> None:
        self.rate, self.stay, self.most, self.chance = rate, stay, most, chance
        self.streamed, self.named = streamed, named
        self.rng = random.Random(seed)
        self.limit = ConcurrencyLimit()
        self.taken = self.waiting = 0
        self.ends = 0.0
        self.tried, self.lost, self.held_up = list[float](), list[float](), list[float]()
        self._events: list[tuple[float, int, str, int]] = []
        self._order = iter(range(10**9))

    def run(self, seconds: float) -> None:
        """So many seconds more."""
        self.ends += seconds
        begins = self.ends - seconds
        for at in self._arrivals(seconds):
            self._plan(begins + at, "come")
        for tick in range(int(seconds * 4)):
            self._plan(begins + tick / 4, "look")
        while self._events and self._events[0][0] < self.ends:
            now, _, what, number = heapq.heappop(self._events)
            if what == "come":
                self.waiting += 1
            elif what != "look":
                self._end(number, what, now)
            while self.waiting and self._begin(now):
                self.waiting -= 1
            if what == "come" and self.waiting:
                self.held_up.append(now)

    def _arrivals(self, seconds: float) -> Iterator[float]:
        now = 0.0
        while now < seconds:
            yield now
            now += self.rng.expovariate(self.rate)

    def _plan(self, at: float, what: str, number: int = 0) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, number))

    def _begin(self, now: float) -> bool:
        if not self.limit.acquire(now):
            return False
        self.tried.append(now)
        number = self.limit.begun
        if self.taken >= self.most or self.rng.random() < self.chance:
            self._plan(now + self.rng.uniform(0.02, 0.1), "lost", number)
            return True
        self.taken += 1
        stay = self.stay * self.rng.uniform(0.5, 1.5)
        if self.streamed:
            self._plan(now + min(0.3, stay / 2), "first", number)
        self._plan(now + stay, "done", number)
        return True

    def _end(self, number: int, what: str, now: float) -> None:
        if what == "lost":
            self.lost.append(now)
            self.waiting += 1
            self.limit.on_loss(number, now, named=self.named)
        elif what == "first" or not self.streamed:
            self.limit.on_taken(number, now)
        if what == "done":
            self.taken -= 1
        if what != "first":
            self.limit.release()


CROWDS: list[dict[str, Any]] = [
    {"rate": 8, "stay": 60.0},
    {"rate": 8, "stay": 60.0, "streamed": False},
    {"rate": 30, "stay": 1.0, "streamed": False},
    {"rate": 2, "stay": 5.0},
]


@pytest.mark.parametrize("chance", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("crowd", CROWDS, ids=str)
def test_losses_by_chance_keep_nearly_nobody_waiting(crowd: dict[str, Any], chance: float) -> None:
    traffic = Traffic(chance=chance, **crowd)
    traffic.run(300.0)
    assert len(traffic.lost) > 0.5 * chance * len(traffic.tried)
    assert len(traffic.held_up) <= 0.01 * len(traffic.tried)
    assert not traffic.waiting


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("most", "rate", "stay", "streamed"),
    [
        (8, 1.5, 10.0, True),
        (8, 1.5, 10.0, False),
        (8, 30, 0.5, True),
        (1, 1.0, 2.0, True),
        (100, 15, 10.0, True),
    ],
)
def test_a_vendors_limit_is_found_and_kept_to(
    most: int, rate: float, stay: float, streamed: bool, named: bool
) -> None:
    seconds = 300.0
    traffic = Traffic(rate=rate, stay=stay, most=most, streamed=streamed, named=named)
    traffic.run(seconds)
    assert most <= traffic.limit.limit <= most + 1
    late = [at for at in traffic.lost if at >= seconds / 2]
    assert len(late) <= 6, "one a minute, and a few more by the way"
    served = len([at for at in traffic.tried if at >= seconds / 2]) - len(late)
    assert served >= 0.9 * most / stay * seconds / 2, "nothing of what the vendor takes is left unused"


def test_a_limit_is_found_among_chance_losses_too() -> None:
    traffic = Traffic(rate=1.5, stay=10.0, most=8, chance=0.05)
    traffic.run(600.0)
    assert 7 <= traffic.limit.limit <= 9
    late = [at for at in traffic.lost if at >= 300]
    assert len(late) <= 0.12 * len([at for at in traffic.tried if at >= 300])


def test_a_vendor_that_takes_fewer_than_before_is_followed_down_and_up_again() -> None:
    traffic = Traffic(rate=3.0, stay=5.0, most=12)
    limits = []
    for most in (12, 4, 12):
        traffic.most = most
        traffic.run(120.0)
        limits.append(traffic.limit.limit)
    assert [12 <= limits[0] <= 13, 4 <= limits[1] <= 5, 12 <= limits[2] <= 13] == [True] * 3
