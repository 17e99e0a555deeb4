"""The circuit breaker against an independent model that keeps everything it ever heard and recounts it each time."""

import copy
import math
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from llm_dispatcher.actors.machines.breaker import (
    TRANSITIONS,
    BreakerSettings,
    CircuitBreaker,
    Permit,
    Refusal,
    State,
    Verdict,
)

# Small numbers, so that corners are a few steps away. No jitter: the model knows every time exactly.
SMALL = BreakerSettings(
    consecutive=2,
    window=4.0,
    slices=4,
    samples=3,
    failure_share=0.5,
    stream_share=0.5,
    slow_share=0.6,
    slow_hold=6.0,
    quick_streak=2,
    open_base=4.0,
    open_cap=16.0,
    open_jitter=0.0,
    forget=30.0,
    probe_timeout=5.0,
    slow_start=10.0,
    probes_most=4,
    closes_after=3,
)
CALM = (State.CLOSED, State.SLOW)


class Model:
    """What the breaker should do, said the long way round."""

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.epoch = 0
        self.until = -math.inf
        self.exponent = 0
        self.closed_at: float | None = None
        self.heard: list[tuple[float, Verdict]] = []
        self.paces: list[tuple[float, bool]] = []
        self.last_slow = -math.inf
        self.out: dict[int, float] = {}
        self.answered: set[int] = set()
        self.successes = 0
        self.beats: list[bool] = []

    def recent(self, items: list[tuple[float, Any]], now: float) -> list[Any]:
        return [item for time, item in items if int(now) - int(time) < SMALL.slices]

    def enter(self, state: State, now: float) -> None:
        if not (self.state in CALM and state in CALM):
            self.heard.clear()
        self.paces.clear()
        if state not in CALM:
            self.epoch += 1
        if state is State.CLOSED and self.state is not State.SLOW:
            self.closed_at = now
        self.out.clear()
        self.answered.clear()
        self.successes = 0
        self.state = state

    def open(self, now: float, retry_at: float | None) -> None:
        asked = -math.inf if retry_at is None else retry_at
        if self.state is State.HALF_OPEN and now < self.until:
            self.until = max(self.until, asked)
        else:
            if self.state in CALM and (self.closed_at is None or now >= self.closed_at + SMALL.forget):
                self.exponent = 0
            self.until = max(now + min(16.0, 4.0 * 2**self.exponent), asked)
            self.exponent += 1
        self.enter(State.OPEN, now)

    def tick(self, now: float) -> None:
        if self.state is State.OPEN and now >= self.until:
            self.enter(State.HALF_OPEN, now)
        if self.state is State.SLOW and now >= self.last_slow + SMALL.slow_hold:
            self.enter(State.CLOSED, now)

    def still_out(self, now: float) -> int:
        return sum(1 for expiry in self.out.values() if expiry > now)

    def probes(self, now: float) -> bool:
        return self.state is State.HALF_OPEN and self.still_out(now) < [1, 2, 4][self.successes]

    def admits(self, now: float, panic: bool) -> bool:
        self.tick(now)
        if panic and self.state is State.OPEN:
            self.enter(State.HALF_OPEN, now)
        if self.state is State.HALF_OPEN:
            return self.probes(now) or (panic and self.is_alive())
        return self.state not in (State.OPEN, State.ISOLATED)

    def is_alive(self) -> bool:
        last = self.beats[-20:]
        return any(last) and sum(last) / len(last) >= 0.25

    def answer(
        self, permit: Permit, verdict: Verdict, now: float, retry_at: float | None, slow: bool
    ) -> None:
        if verdict in (Verdict.SUCCESS, Verdict.FAILURE):
            self.beats.append(verdict is Verdict.SUCCESS)
        elif verdict is Verdict.STREAM_BROKEN and any(self.beats[-20:]):
            self.beats[max(place for place, good in enumerate(self.beats) if good)] = False
        if permit.epoch != self.epoch:
            return
        if self.state is State.HALF_OPEN:
            self.answer_probe(permit, verdict, now, retry_at)
        elif self.state in CALM:
            self.tick(now)
            self.hear(verdict, now, retry_at, slow)

    def answer_probe(self, permit: Permit, verdict: Verdict, now: float, retry_at: float | None) -> None:
        if not permit.probe or permit.number in self.answered:
            return
        self.answered.add(permit.number)
        self.out.pop(permit.number, None)
        if verdict in (Verdict.SUCCESS, Verdict.STREAM_OK):
            self.successes += 1
            if self.successes == 3:
                self.enter(State.CLOSED, now)
        elif verdict is not Verdict.NEUTRAL:
            self.open(now, retry_at)

    def hear(self, verdict: Verdict, now: float, retry_at: float | None, slow: bool) -> None:
        self.heard.append((now, verdict))
        if self.must_trip(verdict, now):
            self.open(now, retry_at)
            return
        if slow or verdict is Verdict.SUCCESS:
            self.paces.append((now, slow))
        if slow:
            self.last_slow = now
            paces = self.recent(self.paces, now)
            if self.state is State.CLOSED and len(paces) >= 3 and sum(paces) / len(paces) >= 0.6:
                self.enter(State.SLOW, now)
        elif self.state is State.SLOW and [late for _, late in self.paces[-2:]] == [False, False]:
            self.enter(State.CLOSED, now)

    def must_trip(self, verdict: Verdict, now: float) -> bool:
        recent = self.recent(self.heard, now)
        if verdict is Verdict.FAILURE:
            answers = [v for _, v in self.heard if v in (Verdict.SUCCESS, Verdict.FAILURE)]
            if answers[-2:] == [Verdict.FAILURE] * 2:
                return True
            return self.dominates(recent, Verdict.FAILURE, Verdict.SUCCESS)
        return verdict is Verdict.STREAM_BROKEN and self.dominates(recent, verdict, Verdict.STREAM_OK)

    def dominates(self, recent: list[Verdict], bad: Verdict, good: Verdict) -> bool:
        total = recent.count(bad) + recent.count(good)
        return total >= 3 and recent.count(bad) / total >= 0.5


class BreakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(SMALL)
        self.model = Model()
        self.now = 0.0
        self.rng = random.Random(0)
        self.permits: list[Permit] = []

    @rule(step=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 12.0, 40.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(panic=st.booleans(), times=st.integers(1, 3))
    def admit(self, panic: bool, times: int) -> None:
        for _ in range(times):
            answer = self.breaker.admit(self.now, self.rng, panic=panic)
            assert isinstance(answer, Permit) == self.model.admits(self.now, panic)
            if isinstance(answer, Refusal):
                assert answer.until > self.now
                assert answer.state is self.model.state
                continue
            assert answer.epoch == self.model.epoch
            assert answer.probe == self.model.probes(self.now)
            assert answer.number not in {permit.number for permit in self.permits}
            if answer.probe:
                self.model.out[answer.number] = self.now + SMALL.probe_timeout
            self.permits.append(answer)

    @precondition(lambda self: self.permits)
    @rule(
        data=st.data(),
        verdict=st.sampled_from(Verdict),
        slow=st.booleans(),
        retry=st.sampled_from([None, None, 1.0, 25.0]),
        again=st.booleans(),
    )
    def settle(
        self, data: st.DataObject, verdict: Verdict, slow: bool, retry: float | None, again: bool
    ) -> None:
        permit = data.draw(st.sampled_from(self.permits[-6:]))
        retry_at = None if retry is None else self.now + retry
        self.breaker.settle(permit, verdict, self.now, self.rng, retry_at, slow=slow)
        self.model.answer(permit, verdict, self.now, retry_at, slow)
        if not again:
            self.permits.remove(permit)

    @rule(verdict=st.sampled_from([Verdict.SUCCESS, Verdict.FAILURE]), slow=st.booleans())
    def call(self, verdict: Verdict, slow: bool) -> None:
        """Ask and answer in one step, so that runs get far."""
        self.admit(False, 1)
        if self.permits:
            permit = self.permits.pop()
            self.breaker.settle(permit, verdict, self.now, self.rng, slow=slow)
            self.model.answer(permit, verdict, self.now, None, slow)

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        permit = data.draw(st.sampled_from(self.permits))
        self.breaker.release(permit)
        if permit.epoch == self.model.epoch and permit.probe and self.model.state is State.HALF_OPEN:
            self.model.answered.add(permit.number)
            self.model.out.pop(permit.number, None)

    @rule(order=st.sampled_from(["isolate", "force_closed", "automatic", "automatic", "suspect"]))
    def order(self, order: str) -> None:
        model, now = self.model, self.now
        getattr(self.breaker, order)(now)
        if order == "isolate" and model.state is not State.ISOLATED:
            model.enter(State.ISOLATED, now)
        elif order == "force_closed" and model.state is not State.FORCED_CLOSED:
            model.enter(State.FORCED_CLOSED, now)
        elif order == "automatic" and model.state is State.FORCED_CLOSED:
            model.until = now
            model.enter(State.CLOSED, now)
        elif (order == "automatic" and model.state is State.ISOLATED) or (
            order == "suspect" and model.state in (*CALM, State.HALF_OPEN)
        ):
            model.until = now
            if order == "suspect":
                model.beats.clear()
            model.enter(State.HALF_OPEN, now)

    @invariant()
    def agrees_with_the_model(self) -> None:
        breaker, model = self.breaker, self.model
        assert breaker.state is model.state
        assert breaker.epoch == model.epoch
        assert breaker.until == model.until
        assert breaker.statistics(self.now).probes_out == model.still_out(self.now)

    @invariant()
    def probes_out_are_never_more_than_allowed(self) -> None:
        if self.model.state is State.HALF_OPEN:
            assert self.model.still_out(self.now) <= 4
        else:
            assert self.breaker.statistics(self.now).probes_out == 0

    @invariant()
    def weight_is_a_share_and_zero_only_when_nothing_passes(self) -> None:
        weight = self.breaker.weight(self.now)
        admits = isinstance(copy.deepcopy(self.breaker).admit(self.now, self.rng), Permit)
        assert 0 <= weight <= 1
        assert (weight > 0) == admits

    @invariant()
    def it_is_never_stuck(self) -> None:
        """Whatever happened, and whoever never answers: three good answers later it is closed."""
        if self.model.state is State.ISOLATED:
            return
        breaker = copy.deepcopy(self.breaker)
        now = max(self.now, self.model.until) + SMALL.probe_timeout + SMALL.slow_hold
        for _ in range(3):
            permit = breaker.admit(now, self.rng)
            assert isinstance(permit, Permit)
            breaker.settle(permit, Verdict.SUCCESS, now, self.rng)
        assert breaker.state_at(now) in (State.CLOSED, State.FORCED_CLOSED)

    @invariant()
    def every_change_stands_in_the_table(self) -> None:
        last = None
        for change in self.breaker.history:
            assert TRANSITIONS[change.source][change.cause] is change.target
            assert last is None or last is change.source
            last = change.target
        assert len(self.breaker.history) <= SMALL.history


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
