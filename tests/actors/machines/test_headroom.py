"""Learning a limit from answers: a vendor whose bucket we do not see, and whose word we take."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from llm_dispatcher.actors.machines.bucket import TokenBucket
from llm_dispatcher.actors.machines.headroom import QUIET, Amount, LearnedLimit, is_limit

EPSILON = 1e-6
MINUTE = 60.0


def limit_of(
    most: float = 60.0, *, burst: float = 1.0, share: float = 1.0, steady: bool = True
) -> LearnedLimit:
    return LearnedLimit(Amount(most, MINUTE, burst, 1.0), share=share, steady=steady)


class Answered:
    """An answer on its way: what its header said, when, and what we had reserved by then."""

    def __init__(self, at: float, taken: float, limit: float, remaining: float) -> None:
        self.at = at
        self.taken = taken
        self.limit = limit
        self.remaining = remaining


class ListeningMachine(RuleBasedStateMachine):
    """We believe in too high a limit; the vendor has one of its own. Whoever listens is not refused again."""

    @initialize(believed=st.sampled_from([60.0, 120.0, 600.0]), true=st.sampled_from([30.0, 60.0]))
    def make(self, believed: float, true: float) -> None:
        self.ours = limit_of(believed)
        self.theirs = TokenBucket(true / MINUTE, true)
        self.true = true
        self.now = 0.0
        self.underway: list[Answered] = []
        self.heard = False
        self.admitted: list[tuple[float, float]] = []

    @rule(step=st.sampled_from([0.0, 0.5, 1.0, 7.0, 120.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(cost=st.sampled_from([1.0, 5.0, 20.0]))
    def request(self, cost: float) -> None:
        if self.ours.bucket.wait(cost, self.now) > 0:
            return
        self.ours.bucket.take(cost, self.now)
        self.admitted.append((self.now, cost))
        wait = self.theirs.wait(cost, self.now)
        if wait <= EPSILON:
            self.theirs.take(cost, self.now)
        else:
            assert not self.heard, "refused in spite of what the vendor had said"
        remaining = math.floor(max(0.0, self.theirs.available(self.now)) + EPSILON)
        self.underway.append(Answered(self.now, self.ours.bucket.taken, self.true, remaining))

    @rule(which=st.integers(0, 10))
    def hear(self, which: int) -> None:
        if not self.underway:
            return
        answer = self.underway.pop(which % len(self.underway))
        since = self.ours.bucket.taken - answer.taken
        self.ours.learn(
            answer.limit, answer.remaining, None, self.now, elapsed=self.now - answer.at, reserved=since
        )
        self.heard = True

    @invariant()
    def never_more_than_configured(self) -> None:
        most = self.ours.configured
        for begin, _ in self.admitted:
            for end, _ in self.admitted:
                inside = sum(cost for at, cost in self.admitted if begin <= at <= end)
                assert begin > end or inside <= most + most / MINUTE * (end - begin) + EPSILON


TestListening = ListeningMachine.TestCase
TestListening.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from([None, -1.0, 0.0, 10.0, 30.0, 60.0, 240.0, math.inf, math.nan]),
            st.sampled_from([None, -1.0, 0.0, 5.0, 50.0, math.inf, math.nan]),
            st.sampled_from([None, 0.0, 3.0, 1e9]),
            st.sampled_from([0.0, 1.0, 70.0]),
        ),
        max_size=12,
    ),
    steady=st.booleans(),
    share=st.sampled_from([1.0, 0.95]),
)
def test_no_answer_makes_the_bucket_fuller_or_the_limit_higher_than_configured(
    headers: list[tuple[float | None, float | None, float | None, float]], steady: bool, share: float
) -> None:
    ours, now = limit_of(60, steady=steady, share=share), 0.0
    for limit, remaining, reset, step in headers:
        now += step
        before = ours.bucket.available(now)
        ours.learn(limit, remaining, reset, now)
        after = ours.bucket.available(now)
        assert after <= before + EPSILON
        assert ours.amount.most <= 60
        assert ours.is_sound(now, 86_400.0)
        believed = limit is None or is_limit(limit)
        if believed and remaining is not None and 0 <= remaining <= (60 if limit is None else min(limit, 60)):
            assert after <= remaining + EPSILON
        # Each time the limit rises and falls again, what it had not been filled with counts as used.
        assert ours.bucket.start(1.0, now) <= now + 2 * MINUTE + len(headers) * 60 * MINUTE / ours.amount.most


def test_a_lower_limit_counts_at_once() -> None:
    ours = limit_of(600)
    ours.learn(60, None, None, 0)
    assert ours.amount.most == 60
    assert ours.bucket.rate == 1
    assert ours.bucket.available(0) == 60


def test_a_higher_limit_counts_after_a_quiet_minute_and_never_above_what_was_configured() -> None:
    ours = limit_of(100)
    ours.learn(60, 60, None, 0)
    ours.learn(90, 90, None, QUIET / 2)
    assert ours.amount.most == 60
    ours.learn(90, 90, None, QUIET, trouble_at=QUIET / 2)
    assert ours.amount.most == 60
    ours.learn(90, 90, None, QUIET * 1.5, trouble_at=QUIET / 2)
    assert ours.amount.most == 90
    ours.learn(500, 500, None, QUIET * 10)
    assert ours.amount.most == 100


def test_two_models_with_different_limits_do_not_raise_and_lower_it_in_turn() -> None:
    ours = limit_of(1000)
    for second in range(300):
        ours.learn(60 if second % 2 else 600, None, None, float(second))
        assert second == 0 or ours.amount.most == 60


def test_a_raised_limit_is_filled_by_time_and_not_at_once() -> None:
    ours = LearnedLimit(Amount(60, MINUTE, 1.0, 1.0), configured=False, steady=True)
    ours.learn(60, 60, None, 0)
    ours.learn(600, 600, None, QUIET)
    assert ours.amount.most == 600
    assert ours.bucket.available(QUIET) == 60
    assert ours.bucket.available(QUIET + 1) == pytest.approx(70)


def test_what_was_reserved_since_the_header_is_not_spent_twice_and_what_was_refilled_counts() -> None:
    ours = limit_of(60)
    ours.bucket.take(10, 0)
    ours.learn(60, 40, None, 5, elapsed=5, reserved=10)
    assert ours.bucket.available(5) == pytest.approx(35)


def test_an_old_answer_does_not_stall_those_who_come_later() -> None:
    ours = limit_of(60)
    for second in range(180):
        ours.bucket.take(1, float(second))
    ours.learn(60, 60, None, 180, elapsed=180, reserved=180)
    assert ours.bucket.wait(1, 180) == 0


def test_nothing_left_in_a_window_means_nothing_before_its_reset() -> None:
    ours = limit_of(60, steady=False)
    ours.learn(60, 0, 30, 0)
    assert ours.bucket.start(1, 0) == 30


def test_nothing_left_where_it_refills_steadily_means_a_unit_at_the_next_moment() -> None:
    ours = limit_of(60, steady=True)
    ours.learn(60, 0, 60, 0)
    assert ours.bucket.start(1, 0) == pytest.approx(1)


def test_a_reset_beyond_the_period_is_not_waited_for() -> None:
    ours = limit_of(60, steady=False)
    ours.learn(60, 0, 1e9, 0)
    assert ours.bucket.start(1, 0) == MINUTE


def test_a_window_that_has_rolled_over_since_says_nothing() -> None:
    ours = limit_of(60, steady=False)
    ours.learn(60, 1, 10, 20, elapsed=20)
    ours.learn(60, 0, 10, 20, elapsed=20)
    assert ours.bucket.available(20) == 60


def test_who_shares_an_account_leaves_a_twentieth_to_the_others() -> None:
    ours = limit_of(57, share=0.95)
    ours.learn(60, 60, None, 0)
    assert ours.amount.most == 57
    ours.learn(60, 13, None, 0)
    assert ours.bucket.available(0) == pytest.approx(10)


@pytest.mark.parametrize(("limit", "remaining"), [(0, 0), (-1, -1), (-1, 0), (60, 61), (60, -1), (None, -1)])
def test_nonsense_is_not_believed(limit: float | None, remaining: float) -> None:
    ours = limit_of(60)
    ours.learn(limit, remaining, 60, 0)
    assert (ours.amount.most, ours.bucket.available(0)) == (60, 60)


def test_after_a_crash_that_left_no_number_readable_nothing_is_left_and_no_limit_is_higher() -> None:
    ours = limit_of(60)
    ours.learn(30, 30, None, 0)
    ours.bucket.tat = math.nan
    assert not ours.is_sound(0, 86_400)
    ours.pessimise(0)
    assert ours.is_sound(0, 86_400)
    assert (ours.amount.most, ours.bucket.available(0)) == (30, 0)
    ours.amount = ours.amount.of(math.nan)
    assert not ours.is_sound(0, 86_400)
    ours.pessimise(0)
    assert ours.amount.most == 60
    assert ours.bucket.available(0) == 0


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_a_share_of_nothing_or_of_more_than_all_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        limit_of(60, share=share)
