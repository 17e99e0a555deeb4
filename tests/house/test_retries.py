"""How often, how soon and on whose account a failed attempt is repeated."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.machines.backoff import Backoff
from llm_dispatcher.actors.messages import Headroom, Remaining
from llm_dispatcher.runtime import Message, Request, TextDelta, errors
from llm_dispatcher.runtime.canon import Fault
from llm_dispatcher.runtime.dialects import Answer
from llm_dispatcher.runtime.dialects.openai import OpenAI
from llm_dispatcher.runtime.wire.client_errors import StaleConnection
from trio.testing import MockClock

from tests.fakes.control import Leasing, Plane, plane
from tests.fakes.scripted import Script, ScriptedTransport, answer, piece, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")])


async def times(
    *scripts: Script, settings: dict[str, Any] | None = None, request: Request = HELLO
) -> list[float]:
    """When a lone vendor with these answers was asked."""
    a = ScriptedTransport(*scripts)
    async with plane(settings, a=a) as house:
        with suppress(errors.DispatchError):
            await house.send(request)
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    return [when for when, _ in a.sent]


async def test_a_vendors_hint_holds_if_it_is_longer_than_our_own_wait(autojump_clock: MockClock) -> None:
    assert await times(status(429, headers={"retry-after": "7"}), answer()) == [0, 7]
    assert await times(status(500, headers={"retry-after-ms": "1"}), answer()) == [7, 7.25]


async def test_an_overloaded_vendor_has_a_second_at_least(autojump_clock: MockClock) -> None:
    assert await times(status(529), answer()) == [0, 1]


async def test_a_hint_that_is_too_long_is_kept_but_not_waited_for(autojump_clock: MockClock) -> None:
    for hint, timeout in (("121", 600.0), ("30", 20.0)):
        begun = trio.current_time()
        a = ScriptedTransport(status(429, headers={"retry-after": hint}), answer())
        async with plane(a=a) as house:
            with pytest.raises(errors.RateLimited):
                await house.send(Request(model="m", messages=HELLO.messages, timeout=timeout))
            assert trio.current_time() == begun
            await trio.testing.wait_all_tasks_blocked()
            assert house.settled[0].retry_at == begun + float(hint)
        assert len(a.sent) == 1


async def test_a_vendors_explicit_word_on_repeating_counts(autojump_clock: MockClock) -> None:
    assert len(await times(status(500, headers={"x-should-retry": "false"}), answer())) == 1
    assert len(await times(status(429, headers={"x-should-retry": "true"}), answer())) == 2


async def test_jitter_spreads_the_waits_over_the_whole_interval() -> None:
    rng = random.Random(3)
    delays = [Backoff().delay(2, rng) for _ in range(1000)]
    assert min(delays) < 0.02
    assert max(delays) > 0.98
    assert 0.45 < sum(delays) / 1000 < 0.55


async def fails(house: Plane, request: Request) -> int:
    """How many attempts a request took that failed."""
    with pytest.raises(errors.DispatchError) as caught:
        await house.send(request)
    return len(caught.value.attempts)


async def test_without_a_budget_a_failure_is_told_at_once(autojump_clock: MockClock) -> None:
    scripts = {name: ScriptedTransport(status(503)) for name in "abc"}
    async with plane({"retry": {"budget": 0.1, "floor": 0.0}}, **scripts) as house:
        made = [await fails(house, HELLO) for _ in range(100)]
    assert trio.current_time() == 0
    assert sum(made) == 110


@pytest.mark.parametrize("streamed", [False, True])
async def test_as_long_as_retries_help_none_is_refused(autojump_clock: MockClock, streamed: bool) -> None:
    """Even for more failures than the budget has retries; and not for the seventh where nobody helps."""
    good = stream("hi") if streamed else answer("hi")
    for b, answered in ((good, 20), (status(503), 0)):
        scripts = {"a": ScriptedTransport(status(503)), "b": ScriptedTransport(b)}
        async with plane({"retry": {"budget": 0.0, "floor": 0.1}}, **scripts) as house:
            served = 0
            for _ in range(20):
                with suppress(errors.DispatchError):
                    if streamed:
                        async with house.stream(HELLO):
                            served += 1
                    else:
                        served += bool(await house.send(HELLO))
            assert served == answered
            assert len(scripts["b"].sent) == (20 if answered else 6)


async def test_a_retry_whose_connection_was_stale_is_told_of_once(autojump_clock: MockClock) -> None:
    """The fresh connection is on the same account: what comes of that is what came of the retry."""
    stale = Script(error=StaleConnection("closed"))
    scripts = {"a": ScriptedTransport(status(503)), "b": ScriptedTransport(stale, answer())}
    async with plane({}, **scripts) as house:
        await house.send(HELLO)
        told = house.house.budget.statistics(trio.current_time())[""]
    assert (told.withdrawals, told.helped, told.in_vain) == (1, 1, 0)


@pytest.mark.parametrize(("probe", "asked"), [(False, 2), (True, 1)])
async def test_who_fails_on_trial_is_not_asked_twice(
    autojump_clock: MockClock, probe: bool, asked: int
) -> None:
    """Its circuit is open again for seconds: the caller is told at once, not after a back-off."""
    a = ScriptedTransport(status(500))
    async with plane({}, Leasing(desperate=True, probe=probe), a=a) as house:
        assert await fails(house, HELLO) == asked
    assert (trio.current_time() == 0) is probe


async def test_one_class_of_requests_cannot_spend_the_retries_of_another(autojump_clock: MockClock) -> None:
    batch = Request(model="m", messages=HELLO.messages, criticality="sheddable")
    scripts = {name: ScriptedTransport(status(503)) for name in "abc"}
    async with plane({"retry": {"budget": 0.1, "floor": 0.0}}, **scripts) as house:
        for _ in range(20):
            await fails(house, batch)
        spent = len(house.leases)
        for _ in range(20):
            await fails(house, HELLO)
    assert (spent, len(house.leases)) == (22, 44)
    assert {route.criticality for route in house.routes} == {"sheddable", "critical"}


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_no_more_attempts_than_configured(autojump_clock: MockClock, attempts: int) -> None:
    scripts = {name: ScriptedTransport(status(503)) for name in "abcde"}
    async with plane({"retry": {"attempts": attempts}}, **scripts) as house:
        assert await fails(house, HELLO) == attempts


async def test_stale_connections_are_free_once_however_many_deployments_there_are(
    autojump_clock: MockClock,
) -> None:
    scripts = {name: ScriptedTransport(Script(error=StaleConnection("closed"))) for name in "abcde"}
    async with plane({"retry": {"attempts": 3}}, **scripts) as house:
        assert await fails(house, HELLO) == 4


async def test_a_retry_never_releases_what_the_attempt_before_it_may_cost(autojump_clock: MockClock) -> None:
    cut = Script(pieces=[piece("")], cut=True)
    scripts = {
        "a": ScriptedTransport(status(504)),
        "b": ScriptedTransport(cut),
        "c": ScriptedTransport(answer()),
    }
    async with plane(**scripts) as house:
        reply = await house.send(HELLO)
        await trio.testing.wait_all_tasks_blocked()
    assert [record.bill for record in reply.attempts] == ["unknown", "unknown", "settled"]
    assert [settle.used is None for settle in house.settled] == [True, True, False]
    first, second, third = [record.ceiling or 0 for record in reply.attempts]
    assert first == second > third > 0


async def test_every_error_names_all_attempts(autojump_clock: MockClock) -> None:
    scripts = {"a": ScriptedTransport(status(503)), "b": ScriptedTransport(Script(after=1e9))}
    async with plane(**scripts) as house:
        with pytest.raises(errors.DeadlinePassed) as caught:
            await house.send(Request(model="m", messages=HELLO.messages, timeout=5))
    assert [record.fault for record in caught.value.attempts] == ["overloaded", "ttft_timeout"]


async def test_an_answer_out_of_panic_says_so(autojump_clock: MockClock) -> None:
    for desperate in (False, True):
        async with plane({}, Leasing(desperate=desperate), a=ScriptedTransport(answer())) as house:
            assert (await house.send(HELLO)).panic is desperate


async def test_what_the_vendor_used_up_is_told_with_its_price(autojump_clock: MockClock) -> None:
    async with plane(a=ScriptedTransport(answer(after=2, usage=(10, 5)))) as house:
        await house.send(HELLO)
        await trio.testing.wait_all_tasks_blocked()
    (settle,) = house.settled
    assert settle.used is not None
    assert (settle.used.input_tokens, settle.used.output_tokens, settle.used.dollars) == (10, 5, 0.00002)
    assert (settle.exact, settle.status, settle.seconds) == (True, 200, 2)


async def test_what_the_answers_head_says_of_the_limits_reaches_the_vendors_actor(
    autojump_clock: MockClock,
) -> None:
    class Telling(OpenAI):
        def fault(self, answer: Answer, /) -> Fault:
            return msgspec.structs.replace(super().fault(answer), day_ends_in=3600.0)

    scripts = {
        "a": ScriptedTransport(status(429, headers={"x-ratelimit-remaining-requests": "0"})),
        "b": ScriptedTransport(
            Script(pieces=answer().pieces, headers={"x-ratelimit-remaining-requests": "7"})
        ),
    }
    async with plane(**scripts) as house:
        deployments = {
            name: msgspec.structs.replace(each, dialect=Telling(each.dialect.target))
            for name, each in house.house.deployments.items()
        }
        house.house = msgspec.structs.replace(house.house, deployments=deployments)
        await house.send(HELLO)
        await trio.testing.wait_all_tasks_blocked()
    refused, served = house.settled
    assert refused.headroom == Headroom({"requests": Remaining(remaining=0.0)})
    assert served.headroom == Headroom({"requests": Remaining(remaining=7.0)})
    assert (refused.day_ends_at, served.day_ends_at) == (3600.0, None)


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_slept_through_his_turn_gets_another_and_does_not_rush(
    mock_clock: MockClock, streamed: bool
) -> None:
    a = ScriptedTransport(stream("hi") if streamed else answer("hi"))
    async with (
        plane({"retry": {"budget": 0.0, "floor": 0.0}}, Leasing(starts_in=5), a=a) as house,
        trio.open_nursery() as nursery,
    ):

        async def ask() -> None:
            if streamed:
                async with house.stream(HELLO) as events:
                    assert [event.text async for event in events if isinstance(event, TextDelta)] == ["hi"]
            else:
                assert (await house.send(HELLO)).text == "hi"

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(20)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(a.sent), [each.start_at for each in house.leases]) == (0, [5, 25])
        assert [(each.sent, each.fault) for each in house.settled] == [(False, FaultClass.LOCAL)]
        mock_clock.jump(5)
    assert len(a.sent) == 1
