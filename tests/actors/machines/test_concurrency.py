"""The concurrency limit: permits are counted exactly, and the limit learns only from what it may learn from."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from llm_dispatcher.actors.machines.concurrency import ConcurrencyLimit


class LimitMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.limit = ConcurrencyLimit(2, minimum=1, maximum=4, interval=1.0)
        self.now = 0.0
        self.open = 0
        self.losses = list[float]()

    @rule(step=st.sampled_from([0.0, 0.5, 1.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule()
    def acquire(self) -> None:
        granted = self.limit.acquire()
        assert granted == (self.open < int(self.limit.limit))
        self.open += granted

    @precondition(lambda self: self.open)
    @rule()
    def succeed(self) -> None:
        before = self.limit.limit
        self.limit.on_success(self.now)
        rests = bool(self.losses) and self.now - self.losses[-1] < 1.0
        grows = self.open >= before / 2 and not rests
        assert self.limit.limit == (min(4.0, before + 1 / before) if grows else before)
        self.limit.release()
        self.open -= 1

    @precondition(lambda self: self.open)
    @rule()
    def lose(self) -> None:
        before = self.limit.limit
        self.limit.on_loss(self.now)
        if not self.losses or self.now - self.losses[-1] >= 1.0:
            assert self.limit.limit == max(1.0, before * 0.9)
            self.losses.append(self.now)
        else:
            assert self.limit.limit == before
        self.limit.release()
        self.open -= 1

    @invariant()
    def counted_exactly(self) -> None:
        shown = self.limit.statistics(self.now)
        assert shown.in_flight == self.open
        assert 1 <= shown.limit <= 4
        assert shown.decreases == len(self.losses)


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def test_a_limits_worth_of_successes_adds_about_one() -> None:
    limit = ConcurrencyLimit(10)
    for _ in range(10):
        limit.acquire()
    for _ in range(10):
        limit.on_success(0.0)
    assert limit.limit == pytest.approx(11, abs=0.1)


def test_success_under_little_use_proves_nothing() -> None:
    limit = ConcurrencyLimit(10)
    limit.acquire()
    limit.on_success(0.0)
    assert limit.limit == 10


def test_calls_that_fail_together_are_one_loss() -> None:
    limit = ConcurrencyLimit(10, interval=1.0)
    for millisecond in range(50):
        limit.on_loss(5.0 + millisecond / 1000)
    assert limit.limit == 9
    limit.on_loss(6.0)
    assert limit.limit == pytest.approx(8.1)


def test_a_fixed_limit_learns_nothing() -> None:
    limit = ConcurrencyLimit(3, fixed=True)
    for _ in range(3):
        assert limit.acquire()
    limit.on_success(0.0)
    limit.on_loss(1.0)
    assert limit.limit == 3
    assert not limit.acquire()


def test_closing_a_call_twice_is_an_error() -> None:
    limit = ConcurrencyLimit(2)
    limit.acquire()
    limit.release()
    with pytest.raises(RuntimeError, match="not open"):
        limit.release()


def test_limits_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="minimum <= initial <= maximum"):
        ConcurrencyLimit(2, minimum=3)
    with pytest.raises(ValueError, match="minimum <= initial <= maximum"):
        ConcurrencyLimit(2, minimum=0)
    with pytest.raises(ValueError, match="factor"):
        ConcurrencyLimit(2, decrease=1.0)
