"""The simulation is worth something: a house that breaks a promise is found out, by the promise that it breaks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.gauge import Gauge
from llm_dispatcher.actors.machines.bucket import TokenBucket
from llm_dispatcher.actors.vault import VendorState
from llm_dispatcher.benchmarks.vendor import Delays, Script, Step, Stop, When
from llm_dispatcher.runtime import attempt, journey
from llm_dispatcher.runtime.dialects.formats.chat_completions.stream import Reader
from llm_dispatcher.runtime.money import Bill, BillState

from .checker import check
from .story import Behaviour, Client, Crash, Limits, Story, VendorPlan, enforced
from .world import play

Patch = pytest.MonkeyPatch


def _clients() -> Iterator[Client]:
    rng = random.Random("a rough day")
    kinds = [Behaviour()] * 6 + [Behaviour(kind="leaves", after=2), Behaviour(kind="gives up", after=0.2)]
    for number in range(1, 81):
        yield Client(
            number=number,
            at=round(number * 0.5 + rng.random() * 0.4, 3),
            model=rng.choice(["small", "large"]),
            stream=rng.random() < 0.8,
            characters=rng.choice([20, 1000]),
            most=40,
            timeout=rng.choice([1.0, 8.0, 8.0]),
            tenant="tenant-0",
            library=number % 3 == 0,
            behaviour=kinds[number % len(kinds)],
        )


def _rough_day() -> Story:
    """Limits, faults, leaving clients and crashes: something of everything, on two vendors."""
    limits = Limits(requests=40, burst=0.05, concurrent=2)
    rules = [
        Step(name="cut", chance=0.2, when=When(stream=True), stop=Stop(after_tokens=3, how="end")),
        Step(name="limited", chance=0.05, error="rate_limited", retry_after=3.0),
        Step(name="billed", chance=0.1, error="gateway_timeout", bill="generated"),
        Step(name="silent", chance=0.05, act="blackhole"),
        Step(name="late", when=When(from_=30.0, until=32.0), delay=Delays(first_event=5.0)),
    ]
    default = Step(tokens=10, delay=Delays(first_event=0.3, between=0.05))
    vendors = [
        VendorPlan(
            name=name,
            format="openai",
            models=("small", "large"),
            keys=(f"{name}-key-0",),
            limits=limits,
            script=Script(seed=seed, rules=rules, default=default, limits=enforced(limits, "openai", 0.1)),
        )
        for seed, name in enumerate(("v0", "v1"))
    ]
    crashes = [Crash(actor="vendor v0", at=float(at)) for at in (5, 15, 25)]
    return Story(
        seed=1, mode="safety", seconds=45.0, vendors=tuple(vendors), clients=tuple(_clients()),
        crashes=tuple(crashes), first_token=6.0, retries=0.05, floor=0.0,
    )  # fmt: skip


ROUGH_DAY = _rough_day()


def broken_promises() -> set[str]:
    return {each.promise for each in check(ROUGH_DAY, play(ROUGH_DAY))}


def test_the_house_as_it_is_gets_through_a_rough_day() -> None:
    assert [str(each) for each in check(ROUGH_DAY, play(ROUGH_DAY))] == []


def _forget_permits(patch: Patch) -> None:
    settle = attempt.Attempt.settle

    def forgetful(self: Any, **more: Any) -> None:
        now = trio.current_time()
        if self._ended or self.fault is not None or now >= self._deadline:
            settle(self, **more)

    patch.setattr(attempt.Attempt, "settle", forgetful)


def _settle_twice(patch: Patch) -> None:
    settlement = attempt.Attempt._settlement

    def eager(self: Any, *arguments: Any) -> Any:
        made = settlement(self, *arguments)
        self.deployment.mailbox.tell(made)
        return made

    patch.setattr(attempt.Attempt, "_settlement", eager)


def _refill_after_crashes(patch: Patch) -> None:
    audit = VendorState.audit

    def generous(self: VendorState, now: float, crashed_over: Any = None) -> list[str]:
        for gauge in self._gauges().values():
            for each in gauge._dimensions:
                assert isinstance(each.bucket, TokenBucket)
                each.bucket.tat = now
        return audit(self, now, crashed_over)

    patch.setattr(VendorState, "audit", generous)


def _shorten_cooldowns(patch: Patch) -> None:
    close = Gauge.close
    patch.setattr(
        Gauge,
        "close",
        lambda self, until, cause: close(self, (until + trio.current_time()) / 2, cause),
    )


def _exceed_limits(patch: Patch) -> None:
    of = TokenBucket._set_limit
    patch.setattr(TokenBucket, "_set_limit", lambda self, rate, burst: of(self, rate * 1.5, burst * 1.5))


def _take_an_early_end_for_an_end(patch: Patch) -> None:
    def believing(self: Any) -> list[Any]:
        self._finished = True
        return []

    patch.setattr(Reader, "close", believing)


def _release_what_may_be_billed(patch: Patch) -> None:
    ending = Bill._ending

    def forgetful(self: Bill, fault: Any, *, complete: bool) -> BillState:
        state = ending(self, fault, complete=complete)
        return BillState.RELEASED if state is BillState.UNKNOWN else state

    patch.setattr(Bill, "_ending", forgetful)


def _retry_without_end(patch: Patch) -> None:
    patch.setattr(journey.Journey, "_has_room", lambda self: True)
    patch.setattr(journey.Journey, "_may_repeat", lambda self, *arguments: True)
    patch.setattr("llm_dispatcher.actors.machines.budget.ClassedBudget.withdraw", lambda *arguments: True)


def _linger_at_the_end(patch: Patch) -> None:
    close = attempt.Attempt.close

    async def stubborn(self: Any) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        await close(self)

    patch.setattr(attempt.Attempt, "close", stubborn)


SABOTAGE: list[tuple[Callable[[Patch], None], str]] = [
    (_forget_permits, "I9"),
    (_settle_twice, "I9"),
    (_refill_after_crashes, "I10"),
    (_shorten_cooldowns, "I10"),
    (_exceed_limits, "I4"),
    (_take_an_early_end_for_an_end, "I2"),
    (_release_what_may_be_billed, "I3"),
    (_retry_without_end, "I5"),
    (_linger_at_the_end, "I1"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("sabotage", "promise"), SABOTAGE, ids=lambda each: getattr(each, "__name__", each))
def test_a_house_that_breaks_a_promise_is_found_out(
    monkeypatch: Patch, sabotage: Callable[[Patch], None], promise: str
) -> None:
    sabotage(monkeypatch)
    assert promise in broken_promises()
