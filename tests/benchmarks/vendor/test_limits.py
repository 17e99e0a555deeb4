"""The vendor's limiter against an oracle that knows every admission and looks at every window."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.benchmarks.vendor import Limit, Limiter, Script, Step
from llm_dispatcher.benchmarks.vendor.limits import Admission, Exceeded
from trio.testing import MockClock

from tests.benchmarks.vendor import as_answer, simulated

ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 8),  # quarters of a second since the one before
        st.sampled_from(["a", "b"]),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=40,
)


def worst_window(admitted: list[tuple[float, int]], per: float) -> int:
    """The most that any half-open window of `per` seconds holds: it suffices to end it at each admission."""
    return max(
        [sum([cost for at, cost in admitted if end - per < at <= end]) for end, _ in admitted], default=0
    )


@given(arrivals=ARRIVALS, most=st.integers(1, 6), what=st.sampled_from(["requests", "tokens", "input_tokens", "output_tokens"]))  # fmt: skip
def test_no_window_holds_more_than_the_limit_and_nothing_is_refused_without_need(
    arrivals: list[tuple[int, str, int, int]], most: int, what: Any
) -> None:
    per, now = 4.0, 0.0
    limiter = Limiter([Limit(what=what, most=most, per=per)])
    admitted: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    refused = 0
    for number, (quarters, key, asked, made) in enumerate(arrivals):
        now += quarters / 4
        cost = {"requests": 1, "tokens": asked + made, "input_tokens": asked, "output_tokens": made}[what]
        found = limiter.admit(number, key, "m", asked, made, now)
        trial = [*admitted[key], (now, cost)]
        held = sum([each for at, each in trial if at > now - per])
        if isinstance(found, Admission):
            admitted[key] = trial
            assert cost == 0 or held <= most
        else:
            refused += 1
            assert held > most
            _check_wait(found, trial, cost, most, per, now)
    assert limiter.violated == len(limiter.violations) == refused
    assert limiter.peaks == [max(worst_window(each, per) for each in admitted.values())]
    assert limiter.peaks[0] <= most


def _check_wait(
    found: Exceeded, trial: list[tuple[float, int]], cost: int, most: int, per: float, now: float
) -> None:
    """The wait is the first moment at which the request would be admitted; None if there is none."""
    if cost > most:
        assert found.wait is None
        return
    assert found.wait is not None
    moments = sorted(at + per for at, _ in trial[:-1] if at + per > now)
    first = next(
        when for when in moments if cost + sum([each for at, each in trial[:-1] if at > when - per]) <= most
    )
    assert now + found.wait == first


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40), st.integers(1, 3))
def test_concurrency_counts_what_is_under_way(steps: list[tuple[int, bool]], most: int) -> None:
    limiter = Limiter([Limit(what="concurrency", most=most)])
    running: list[Admission] = []
    for which, ends in steps:
        if ends and running:
            admission = running.pop(which % len(running))
            admission.settle(0, 0)
            admission.settle(0, 0)
            continue
        found = limiter.admit(0, "k", "m", 0, 0, 0.0)
        assert isinstance(found, Admission) is (len(running) < most)
        if isinstance(found, Admission):
            running.append(found)


@given(used=st.integers(0, 12), later=st.booleans())
def test_what_an_answer_did_not_use_is_given_back_once_and_never_more(used: int, later: bool) -> None:
    limiter = Limiter([Limit(what="output_tokens", most=10, per=60)])
    first = limiter.admit(1, "k", "m", 0, 10, 0.0)
    assert isinstance(first, Admission)
    if later:
        # It has left the window before it ends: nothing is there to give back.
        assert isinstance(limiter.admit(2, "k", "m", 0, 10, 60.0), Admission)
        first.settle(0, used)
        assert isinstance(limiter.admit(3, "k", "m", 0, 1, 61.0), Exceeded)
        return
    first.settle(0, used)
    (state,) = limiter.states("k", "m", 1.0)
    assert state.remaining == max(0, 10 - used)


@settings(max_examples=30)
@given(arrivals=ARRIVALS)
def test_a_limit_that_only_records_refuses_nothing_and_misses_nothing(
    arrivals: list[tuple[int, str, int, int]],
) -> None:
    limiter = Limiter([Limit(what="requests", most=2, per=4, scope="vendor", enforce=False)])
    now, admitted, beyond = 0.0, [], 0
    for number, (quarters, key, asked, made) in enumerate(arrivals):
        now += quarters / 4
        assert isinstance(limiter.admit(number, key, "m", asked, made, now), Admission)
        admitted.append((now, 1))
        beyond += sum([1 for at, _ in admitted if at > now - 4]) > 2
    assert limiter.violated == beyond
    assert limiter.peaks == [worst_window(admitted, 4)]


def test_refused_requests_can_count_as_well() -> None:
    strict = Limiter([Limit(what="requests", most=1, per=60, counts_refused=True)])
    assert isinstance(strict.admit(1, "k", "m", 0, 0, 0.0), Admission)
    assert isinstance(strict.admit(2, "k", "m", 0, 0, 59.0), Exceeded)
    assert isinstance(strict.admit(3, "k", "m", 0, 0, 61.0), Exceeded)


# --- as a client meets it -----------------------------------------------------------------------


@pytest.mark.parametrize("format", ["openai", "anthropic", "gemini"])
async def test_the_hint_of_a_refusal_is_exact(autojump_clock: MockClock, format: str) -> None:
    script = Script(limits=[Limit(what="requests", most=2)], default=Step(tokens=1))
    async with simulated(script) as world:
        await trio.sleep(1)
        for _ in range(2):
            assert (await world.ask(format=format)).status == 200
            await trio.sleep(1.5)
        seen = await world.ask(format=format)
        assert seen.status == 429
        hint = world.dialect(format).fault(as_answer(seen)).retry_after
        assert hint is not None
        assert 57 <= hint <= 58
        await trio.sleep(hint)
        assert (await world.ask(format=format)).status == 200
        (violation,) = world.vendor.limiter.violations
        assert (violation.at, violation.attempt, violation.scope, violation.found) == (4, 3, "k", 3)


async def test_each_key_has_its_own_limit_unless_the_limit_is_the_vendors(autojump_clock: MockClock) -> None:
    for scope, statuses in (("key", [200, 200, 429]), ("vendor", [200, 429, 429])):
        script = Script(limits=[Limit(what="requests", most=1, scope=scope)])  # type: ignore[arg-type]
        async with simulated(script) as world:
            assert [(await world.ask(key=key)).status for key in ("a", "b", "a")] == statuses


async def test_a_request_that_no_wait_makes_small_enough_says_so(autojump_clock: MockClock) -> None:
    script = Script(limits=[Limit(what="tokens", most=10)], default=Step(tokens=30))
    async with simulated(script) as world:
        fault = world.dialect().fault(as_answer(await world.ask()))
        assert (fault.kind, fault.retry_after) == (FaultClass.TOO_LARGE, None)


async def test_a_day_is_a_limit_like_any_other(autojump_clock: MockClock) -> None:
    script = Script(limits=[Limit(what="requests", most=1, per="1d")])
    async with simulated(script) as world:
        assert (await world.ask(format="gemini")).status == 200
        seen = await world.ask(format="gemini")
        assert world.dialect("gemini").fault(as_answer(seen)).kind is FaultClass.DAILY_LIMIT
        await trio.sleep(86_400)
        assert (await world.ask(format="gemini")).status == 200


async def test_a_refused_attempt_uses_up_no_step_of_the_script(autojump_clock: MockClock) -> None:
    script = Script(
        limits=[Limit(what="requests", most=1)],
        steps=[Step(tokens=1), Step(tokens=2)],
        default=Step(tokens=9),
    )
    async with simulated(script) as world:
        for _ in range(3):
            await world.ask()
        await trio.sleep(60)
        await world.ask()
        assert [each.planned_tokens for each in world.vendor.history] == [1, 0, 0, 2]
