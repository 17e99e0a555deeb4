"""Callers who leave: the connection is closed at once, or the answer is read to its end for the bill's sake."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Message, Request, TextDelta, errors
from trio.testing import MockClock

from tests.fakes.control import Leasing, Plane, plane, until
from tests.fakes.scripted import ScriptedTransport, answer, hang, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=60)
DRAIN: dict[str, Any] = {"each": {"a": {"on_disconnect": "drain"}}}
SLOW = stream("one", "two", "three", gap=1.0)
EXACT = Decimal("0.000016")
"""Ten tokens in and three out, as the vendor reports at the end."""


async def leave_after(house: Plane, seconds: float, *, streamed: bool = True) -> None:
    with trio.move_on_after(seconds):
        if not streamed:
            await house.send(HELLO)
            return
        async with house.stream(HELLO) as events:
            async for _ in events:
                pass


async def settled(house: Plane) -> None:
    await until(lambda: not house.in_flight)
    await trio.testing.wait_all_tasks_blocked()
    house.assert_at_rest()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("seconds", [0.5, 2.5])
async def test_by_default_the_connection_is_closed_at_once(
    autojump_clock: MockClock, seconds: float, streamed: bool
) -> None:
    a = ScriptedTransport(SLOW if streamed else answer(after=5))
    async with plane(a=a) as house:
        await leave_after(house, seconds, streamed=streamed)
        assert trio.current_time() <= seconds + 1
        assert a.open == 0
        await settled(house)
    (outcome,) = house.outcomes
    assert (outcome.fault, outcome.last) == (FaultClass.CLIENT_GONE, True)
    # It was sent: the input is paid at least, and the ceiling says what it might come to.
    assert outcome.spent.estimated
    assert outcome.spent.input_tokens > 0
    assert outcome.spent.output_tokens == (1 if streamed and seconds > 2 else 0)
    assert outcome.spent.cost is not None
    assert outcome.spent.ceiling is not None
    assert outcome.spent.ceiling > outcome.spent.cost > 0


@pytest.mark.parametrize("seconds", [0.5, 2.5, 4.5])
async def test_a_vendor_that_bills_in_any_case_is_read_to_the_end(
    autojump_clock: MockClock, seconds: float
) -> None:
    a = ScriptedTransport(SLOW)
    async with plane(DRAIN, a=a) as house:
        await leave_after(house, seconds)
        assert trio.current_time() == seconds
        await settled(house)
        assert trio.current_time() == pytest.approx(7, abs=0.1)
    (outcome,), (settle,) = house.outcomes, house.settled
    assert (outcome.fault, outcome.last) == (FaultClass.CLIENT_GONE, True)
    assert (outcome.spent.cost, outcome.spent.ceiling, outcome.spent.estimated) == (EXACT, EXACT, False)
    assert (settle.fault, settle.exact) == (None, True)


async def test_so_is_an_answer_that_is_not_streamed(autojump_clock: MockClock) -> None:
    async with plane(DRAIN, a=ScriptedTransport(answer(after=10, usage=(10, 3)))) as house:
        await leave_after(house, 2, streamed=False)
        await settled(house)
        assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert house.outcomes[0].spent.cost == EXACT


async def test_a_reader_who_stops_between_two_events_is_read_on_for(autojump_clock: MockClock) -> None:
    async with plane(DRAIN, a=ScriptedTransport(SLOW)) as house:
        async with house.stream(HELLO) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        await settled(house)
    assert house.outcomes[0].spent.cost == EXACT


async def test_reading_on_ends_at_the_requests_deadline(autojump_clock: MockClock) -> None:
    async with plane(DRAIN, a=ScriptedTransport(stream("one", "two", gap=25.0))) as house:
        await leave_after(house, 55)
        await settled(house)
        assert trio.current_time() == pytest.approx(60, abs=0.25)
    (outcome,) = house.outcomes
    assert outcome.fault is FaultClass.CLIENT_GONE
    assert outcome.spent.estimated


async def test_only_so_many_answers_are_read_on_at_once(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(lambda: answer(after=10))
    async with plane(DRAIN, a=a) as house:
        async with trio.open_nursery() as callers:
            for _ in range(40):
                callers.start_soon(lambda: leave_after(house, 1, streamed=False))
        await trio.testing.wait_all_tasks_blocked()
        assert house.in_flight == 32
        await until(lambda: not house.in_flight)
    assert sorted({outcome.spent.estimated for outcome in house.outcomes}) == [False, True]
    assert sum(outcome.spent.estimated for outcome in house.outcomes) == 8
    assert sum(outcome.last for outcome in house.outcomes) == 40


async def test_a_request_that_waits_for_its_turn_is_not_sent_for_nobody(autojump_clock: MockClock) -> None:
    a = ScriptedTransport(answer())
    async with plane(DRAIN, Leasing(starts_in=5.0), a=a) as house:
        await leave_after(house, 1, streamed=False)
        await settled(house)
    assert a.sent == []
    assert not house.settled[0].sent
    assert house.outcomes[0].spent.cost == 0


async def test_an_answer_through_the_houses_own_task_is_like_any_other(autojump_clock: MockClock) -> None:
    scripts = {"a": ScriptedTransport(status(503)), "b": ScriptedTransport(SLOW)}
    settings = {"each": {name: {"on_disconnect": "drain"} for name in "ab"}}
    async with plane(settings, **scripts) as house:
        async with house.stream(HELLO) as events:
            found = [event.text async for event in events if isinstance(event, TextDelta)]
        await settled(house)
    assert found == ["one", "two", "three"]
    assert events.reply is not None
    assert [record.fault for record in events.reply.attempts] == ["overloaded", None]


async def test_a_deadline_is_the_end_also_where_answers_are_read_on(autojump_clock: MockClock) -> None:
    async with plane(DRAIN, a=ScriptedTransport(hang())) as house:
        with pytest.raises(errors.DeadlinePassed):
            await house.send(HELLO)
        assert trio.current_time() == 60
        await settled(house)


async def impatient(house: Plane) -> None:
    async with house.stream(HELLO) as events:
        while True:
            with trio.move_on_after(0.3):
                await anext(events)


async def test_a_wait_for_an_event_that_is_given_up_ends_the_stream_honestly(
    autojump_clock: MockClock,
) -> None:
    async with plane(a=ScriptedTransport(SLOW)) as house:
        with pytest.raises(errors.StreamTruncated, match="broken off"):
            await impatient(house)
        await settled(house)


async def test_where_answers_are_read_on_a_wait_can_be_given_up_and_taken_up_again(
    autojump_clock: MockClock,
) -> None:
    async with plane(DRAIN, a=ScriptedTransport(SLOW)) as house:
        found: list[str] = []
        async with house.stream(HELLO) as events:
            while events.reply is None:
                with trio.move_on_after(0.3):
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        break
                    found += [event.text] if isinstance(event, TextDelta) else []
    assert found == ["one", "two", "three"]


async def test_a_house_that_closes_settles_what_it_was_reading_on(autojump_clock: MockClock) -> None:
    async with plane(DRAIN, a=ScriptedTransport(answer(after=50))) as house:
        await leave_after(house, 1, streamed=False)
        await house.house.background.stop(1)
        await settled(house)
        assert trio.current_time() <= 2.1


async def test_a_deadline_in_the_middle_of_a_stream_is_the_houses_own(autojump_clock: MockClock) -> None:
    script = stream(*["x"] * 100, gap=1.0)
    async with plane(a=ScriptedTransport(script)) as house:
        with pytest.raises(errors.DeadlinePassed) as caught:
            await leave_after(house, 1000)
        assert trio.current_time() == 60
        await settled(house)
    assert caught.value.attempts[0].fault == "local"
    assert house.outcomes[0].spent.output_tokens > 50


async def test_an_ending_before_the_first_attempt_is_told_as_well(autojump_clock: MockClock) -> None:
    async with plane(a=ScriptedTransport(answer())) as house:
        with trio.CancelScope() as scope:
            scope.cancel()
            await house.send(HELLO)
        await settled(house)
    (outcome,) = house.outcomes
    assert (outcome.fault, outcome.deployment, outcome.attempt) == (FaultClass.CLIENT_GONE, None, 0)


@pytest.mark.parametrize("reported", [False, True])
async def test_29_whoever_leaves_at_whichever_event_pays_what_had_come(
    autojump_clock: MockClock, reported: bool
) -> None:
    words = ["w"] * 12
    for leaves_after in range(len(words) + 1):
        a = ScriptedTransport(stream(*words, end=reported))
        async with plane(a=a) as house:
            seen = 0
            async with house.stream(HELLO) as events:
                while seen < leaves_after:
                    seen += isinstance(await anext(events), TextDelta)
            began = trio.current_time()
            assert a.open == 0
            assert trio.current_time() - began <= 1
            await settled(house)
        (outcome,) = house.outcomes
        spent = outcome.spent
        # Entering the stream has read one word already.
        assert spent.output_tokens == max(1, leaves_after)
        assert spent.ceiling is not None
        assert spent.ceiling >= Decimal(10 + 2 * len(words)) / 1_000_000


async def test_a_reader_who_comes_back_after_the_deadline_is_told_so(autojump_clock: MockClock) -> None:
    async with plane(a=ScriptedTransport(stream("one", "two"))) as house:
        async with house.stream(HELLO) as events:
            await anext(events)
            await trio.sleep(61)
            with pytest.raises(errors.DeadlinePassed):
                async for _ in events:
                    pass
        await settled(house)
