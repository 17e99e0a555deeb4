"""The token bucket against slow models: a list of everything admitted, a counter of tokens, a replay of history."""

import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from llm_dispatcher.actors.machines.bucket import Reserved, TokenBucket, TooLong, reserve_all

EPSILON = 1e-6
RATES = st.sampled_from([0.5, 1.0, 2.0])
BURSTS = st.sampled_from([1.0, 2.0, 3.0])
COSTS = st.sampled_from([0.5, 1.0, 2.0, 3.0])
STEPS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])


class Admission:
    def __init__(self, start: float, cost: float, mark: int, *, charged: bool = False) -> None:
        self.start = start
        self.cost = cost
        self.mark = mark
        self.charged = charged
        self.refunded = False


class BucketMachine(RuleBasedStateMachine):
    """Everything that can befall a bucket, checked by summing over every window there is."""

    @initialize(rate=RATES, burst=BURSTS)
    def make(self, rate: float, burst: float) -> None:
        self.bucket = TokenBucket(rate, burst)
        self.now = 0.0
        self.closed = -math.inf
        self.admissions: list[Admission] = []

    @rule(step=STEPS)
    def wait(self, step: float) -> None:
        self.now += step

    @rule(cost=COSTS, patience=st.sampled_from([0.0, 1.0, 10.0]))
    def reserve(self, cost: float, patience: float) -> None:
        expected = self.bucket.start(cost, self.now)
        outcome = reserve_all([(self.bucket, cost)], self.now, patience)
        if isinstance(outcome, TooLong):
            assert outcome.wait > patience
            assert self.bucket.start(cost, self.now) == expected
            return
        assert outcome.start_at == expected >= max(self.now, self.closed)
        self.admissions.append(Admission(outcome.start_at, cost, outcome.marks[0]))

    @rule(cost=COSTS)
    def charge(self, cost: float) -> None:
        before = self.bucket.available(self.now)
        self.bucket.charge(cost, self.now)
        assert self.bucket.available(self.now) <= min(before, self.bucket.burst - cost) + EPSILON
        self.admissions.append(Admission(self.now, cost, self.bucket.mark, charged=True))

    @precondition(lambda self: any(not a.refunded for a in self.admissions))
    @rule(data=st.data(), part=st.sampled_from([0.25, 1.0]))
    def refund(self, data: st.DataObject, part: float) -> None:
        admission = data.draw(st.sampled_from([a for a in self.admissions if not a.refunded]))
        before = self.bucket.available(self.now)
        self.bucket.refund(part * admission.cost, self.now, admission.mark)
        after = self.bucket.available(self.now)
        assert before <= after + EPSILON
        assert after <= min(self.bucket.burst, before + part * admission.cost) + EPSILON
        admission.cost *= 1 - part
        admission.refunded = True

    @rule(step=STEPS)
    def drain(self, step: float) -> None:
        self.bucket.drain_until(self.now + step)
        self.closed = max(self.closed, self.now + step)

    @rule(tokens=st.sampled_from([-1.0, 0.0, 1.0, 5.0]))
    def learn(self, tokens: float) -> None:
        before = self.bucket.available(self.now)
        self.bucket.cap_available(tokens, self.now)
        assert self.bucket.available(self.now) <= min(before, tokens) + EPSILON

    @invariant()
    def no_window_holds_more_than_burst_and_refill(self) -> None:
        bucket = self.bucket
        taken = [a for a in self.admissions if not a.charged]
        for first in taken:
            for last in taken:
                inside = sum(a.cost for a in taken if first.start <= a.start <= last.start)
                assert first.start > last.start or inside <= (
                    bucket.burst + bucket.rate * (last.start - first.start) + EPSILON
                )

    @invariant()
    def who_reserves_after_a_charge_waits_it_out(self) -> None:
        bucket = self.bucket
        for position, last in enumerate(self.admissions):
            known = self.admissions[: position + 1]
            for first in known:
                if last.charged or first.start > last.start:
                    continue
                inside = sum(a.cost for a in known if a.start >= first.start)
                assert inside <= bucket.burst + bucket.rate * (last.start - first.start) + EPSILON

    @invariant()
    def nothing_starts_in_a_closed_bucket(self) -> None:
        for cost in (0.1, 1.0):
            assert self.bucket.start(cost, self.now) >= self.closed
        assert self.now >= self.closed or self.bucket.available(self.now) <= 0

    @invariant()
    def the_wait_it_names_is_enough_and_no_longer_than_needed(self) -> None:
        bucket = copy.deepcopy(self.bucket)
        start = bucket.start(bucket.burst, self.now)
        assert bucket.start(bucket.burst, start) == pytest.approx(start, abs=EPSILON)
        earlier = start - 0.01
        if earlier > self.now:
            assert bucket.start(bucket.burst, earlier) > earlier + EPSILON


TestBucketMachine = BucketMachine.TestCase
TestBucketMachine.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


@given(rate=RATES, burst=BURSTS, calls=st.lists(st.tuples(STEPS, COSTS), max_size=30))
def test_it_admits_exactly_what_a_counter_of_tokens_would(
    rate: float, burst: float, calls: list[tuple[float, float]]
) -> None:
    bucket, tokens, now = TokenBucket(rate, burst), burst, 0.0
    for step, cost in calls:
        now += step
        tokens = min(burst, tokens + step * rate)
        assert bucket.available(now) == pytest.approx(tokens)
        assert (bucket.wait(cost, now) == 0) == (cost <= tokens)
        if cost <= burst:
            assert bucket.wait(cost, now) == pytest.approx(max(0.0, (cost - tokens) / rate))
        if bucket.wait(cost, now) == 0:
            assert bucket.take(cost, now) == now
            tokens -= cost


@given(
    rate=st.floats(1e-3, 1e6),
    burst=st.floats(1.0, 1e6),
    start=st.floats(0, 1e6),
    calls=st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 1)), min_size=2, max_size=20),
)
def test_two_callers_are_never_swapped_by_rounding(
    rate: float, burst: float, start: float, calls: list[tuple[float, float]]
) -> None:
    one, other = TokenBucket(rate, burst), TokenBucket(rate / 3, burst)
    starts, now = [], start
    for step, share in calls:
        now += step
        outcome = reserve_all([(one, share * burst), (other, share * burst / 7)], now, math.inf)
        assert isinstance(outcome, Reserved)
        starts.append(outcome.start_at)
    assert starts == sorted(starts)


@given(
    rate=RATES,
    burst=BURSTS,
    calls=st.lists(st.tuples(STEPS, COSTS), min_size=1, max_size=20),
    which=st.integers(0, 19),
    later=STEPS,
    part=st.sampled_from([0.25, 1.0]),
)
def test_a_refund_leaves_what_there_would_be_had_the_cost_been_smaller_from_the_start(
    rate: float, burst: float, calls: list[tuple[float, float]], which: int, later: float, part: float
) -> None:
    which %= len(calls)
    bucket, replay, now = TokenBucket(rate, burst), -math.inf, 0.0
    mark = 0
    for position, (step, wanted) in enumerate(calls):
        now += step
        cost = min(wanted, burst)
        start = bucket.take(cost, now)
        used = cost * (1 - part) if position == which else cost
        replay = max(replay, start) + used / rate
        if position == which:
            mark, unused = bucket.mark, cost * part
    now += later
    bucket.refund(unused, now, mark)
    assert max(bucket.tat, now) == pytest.approx(max(replay, now))


def test_a_refund_after_the_bucket_was_full_gives_nothing_twice() -> None:
    bucket = TokenBucket(rate=1, burst=2)
    bucket.take(2, 0)
    mark = bucket.mark
    bucket.take(2, 10)
    bucket.refund(2, 10, mark)
    assert bucket.wait(1, 10) == 1


def test_a_reservation_undone_at_once_leaves_no_trace() -> None:
    bucket = TokenBucket(rate=1, burst=2)
    bucket.take(1, 5)
    before = bucket.available(5)
    bucket.take(1, 5)
    bucket.refund(1, 5)
    assert bucket.available(5) == before


def test_many_rising_levels_are_forgotten_only_to_the_cautious_side() -> None:
    bucket = TokenBucket(rate=1, burst=1000)
    marks = []
    for _ in range(200):
        bucket.take(2, 0)
        marks.append(bucket.mark)
    before = bucket.available(0)
    bucket.refund(2, 0, marks[-2])
    assert bucket.available(0) == before + 2
    bucket.refund(2, 0, marks[0])
    assert before + 2 <= bucket.available(0) <= before + 4
    assert len(bucket._levels._lows) <= bucket._levels.KEPT


def test_a_moment_of_rest_is_remembered_through_many_later_reservations() -> None:
    bucket = TokenBucket(rate=1, burst=1000)
    bucket.take(5, 0)
    mark = bucket.mark
    for _ in range(200):
        bucket.take(2, 10)
    before = bucket.available(10)
    bucket.refund(5, 10, mark)
    assert bucket.available(10) == before


def test_what_the_vendor_says_is_left_is_not_raised_by_refunds_of_earlier_work() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.take(4, 0)
    mark = bucket.mark
    bucket.cap_available(1, 0)
    bucket.refund(4, 0, mark)
    assert bucket.available(0) == 1


def test_work_reserved_under_an_earlier_limit_is_not_refunded_into_the_present_one() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.take(4, 0)
    mark = bucket.mark
    bucket.rescale(0.1, 10, 0)
    bucket.refund(4, 0, mark)
    assert bucket.available(0) == pytest.approx(6)


def test_a_drained_bucket_starts_its_first_unit_at_the_end_and_the_next_at_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=10)
    bucket.drain_until(7)
    assert [bucket.take(1, 0) for _ in range(3)] == [7, 7.5, 8]


def test_a_later_longer_drain_extends_and_a_later_shorter_one_does_not_shorten() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.drain_until(1)
    bucket.drain_until(20)
    bucket.drain_until(5)
    assert bucket.start(1, 0) == 20


def test_a_refund_does_not_reopen_a_closed_bucket() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.take(10, 0)
    bucket.drain_until(7)
    bucket.refund(10, 1)
    assert bucket.start(1, 1) == 7
    assert bucket.start(2, 1) == 8


def test_what_exceeds_the_burst_can_never_pass_and_takes_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=2)
    for cost in (2.5, math.inf, math.nan):
        assert bucket.wait(cost, 0) == math.inf
        assert bucket.take(cost, 0) == math.inf
        assert reserve_all([(bucket, cost)], 0, math.inf) == TooLong(math.inf, 0)
    assert bucket.available(0) == 2


def test_a_dimension_not_used_neither_waits_nor_takes() -> None:
    bucket = TokenBucket(rate=1, burst=2)
    bucket.drain_until(100)
    before = bucket.tat
    assert bucket.take(0, 0) == 0
    assert bucket.tat == before


@pytest.mark.parametrize("amount", [-1.0, math.inf, math.nan])
def test_amounts_that_would_corrupt_the_state_are_refused(amount: float) -> None:
    bucket = TokenBucket(rate=1, burst=2)
    with pytest.raises(ValueError, match="finite"):
        bucket.refund(amount, 0)
    with pytest.raises(ValueError, match="finite"):
        bucket.charge(amount, 0)
    if not math.isfinite(amount):
        with pytest.raises(ValueError, match="finite"):
            bucket.drain_until(amount)
        with pytest.raises(ValueError, match="finite"):
            bucket.cap_available(amount, 0)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-1, 1), (math.inf, 1), (1, math.nan)])
def test_a_limit_of_nothing_or_of_everything_is_not_a_bucket(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="positive, finite"):
        TokenBucket(rate, burst)


@given(
    old=st.tuples(RATES, BURSTS),
    new=st.tuples(RATES, BURSTS),
    charged=st.sampled_from([0.0, 0.5, 1.0, 5.0]),
    drained=st.sampled_from([None, 1.0, 9.0]),
    step=STEPS,
)
def test_a_changed_limit_keeps_the_debt_and_never_makes_the_bucket_fuller(
    old: tuple[float, float], new: tuple[float, float], charged: float, drained: float | None, step: float
) -> None:
    bucket = TokenBucket(*old)
    bucket.charge(charged, 0)
    if drained is not None:
        bucket.drain_until(drained)
    before = bucket.statistics(step)
    bucket.rescale(*new, step)
    after = bucket.statistics(step)
    assert after.available <= before.available + EPSILON
    if before.closed_until <= step:
        assert after.burst - after.available >= before.burst - before.available - EPSILON
    assert bucket.start(0.5, step) >= (drained or 0)
    assert after.closed_until == before.closed_until


@given(
    limits=st.lists(st.tuples(RATES, BURSTS, STEPS), min_size=1, max_size=6),
    tries=st.integers(1, 8),
)
def test_over_reloads_no_window_holds_more_than_the_most_generous_limit(
    limits: list[tuple[float, float, float]], tries: int
) -> None:
    bucket, now, admitted = TokenBucket(1.0, 1.0), 0.0, list[float]()
    for rate, burst, step in limits:
        bucket.rescale(rate, burst, now)
        for _ in range(tries):
            if bucket.wait(1, now) == 0:
                admitted.append(bucket.take(1, now))
        now += step
    rate = max(1.0, *(limit[0] for limit in limits))
    burst = max(1.0, *(limit[1] for limit in limits))
    for first in admitted:
        for last in admitted:
            inside = sum(1 for start in admitted if first <= start <= last)
            assert first > last or inside <= burst + rate * (last - first) + EPSILON


def test_reserving_takes_from_all_dimensions_or_from_none() -> None:
    requests, tokens = TokenBucket(rate=1, burst=5), TokenBucket(rate=10, burst=100)
    tokens.charge(100, 0)
    before = (requests.tat, tokens.tat)
    assert reserve_all([(requests, 1), (tokens, 50)], now=0, patience=4.9) == TooLong(wait=5, limiting=1)
    assert (requests.tat, tokens.tat) == before
    outcome = reserve_all([(requests, 1), (tokens, 50)], now=0, patience=5)
    assert isinstance(outcome, Reserved)
    assert outcome.start_at == 5
    assert requests.available(5) == 4
    assert tokens.available(5) == 0


def test_a_bucket_does_not_refill_behind_the_back_of_callers_another_dimension_holds_up() -> None:
    requests, tokens = TokenBucket(rate=1, burst=10), TokenBucket(rate=1, burst=1)
    tokens.drain_until(10)
    sleeping = [reserve_all([(requests, 1), (tokens, 0.001)], 0, 100) for _ in range(10)]
    starts = [outcome.start_at for outcome in sleeping if isinstance(outcome, Reserved)]
    assert len(starts) == 10
    starts += [requests.take(1, 10) for _ in range(10)]
    for first in starts:
        for last in starts:
            assert first > last or sum(first <= s <= last for s in starts) <= 10 + last - first + EPSILON


def test_statistics_show_debt_and_closing() -> None:
    bucket = TokenBucket(rate=2, burst=4)
    bucket.charge(6, 0)
    bucket.drain_until(0.5)
    shown = bucket.statistics(0)
    assert (shown.available, shown.full_at, shown.closed_until) == (-2, 3, 0.5)


@given(costs=st.lists(COSTS, max_size=10))
def test_two_readings_tell_what_was_reserved_between(costs: list[float]) -> None:
    bucket = TokenBucket(rate=1, burst=3)
    before = bucket.taken
    for cost in costs:
        reserve_all([(bucket, cost)], 0, math.inf)
    bucket.charge(100, 0)
    assert bucket.taken - before == sum(costs)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_after_a_crash_a_bucket_is_empty_and_earlier_reservations_are_not_given_back(broken: float) -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.take(4, 0)
    mark = bucket.mark
    bucket.drain_until(3)
    assert bucket.is_sound(0, 100)
    bucket.tat = broken
    assert not bucket.is_sound(0, 100)
    bucket.empty(1, 10, 1)
    assert bucket.is_sound(1, 100)
    bucket.refund(4, 5, mark)
    assert bucket.available(5) <= 4
    assert bucket.start(1, 1) >= 3
    bucket.closed_until = math.nan
    assert not bucket.is_sound(1, 100)
    bucket.empty(1, 10, 1)
    assert bucket.available(1) == 0


def test_a_debt_that_no_request_can_have_made_is_no_sound_bucket() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    bucket.charge(1000, 0)
    assert bucket.is_sound(0, 1000)
    assert not bucket.is_sound(0, 999)
