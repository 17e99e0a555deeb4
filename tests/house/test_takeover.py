"""A stream that breaks after content: an error, a continuation, or a new beginning, as the caller wished."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from llm_dispatcher.runtime import JsonOutput, Message, Request, TextDelta, errors
from llm_dispatcher.runtime.canon import Event, Restarted, Seam, UsageReported
from llm_dispatcher.runtime.dialects.formats.chat_completions.stream import Writer
from trio.testing import MockClock

from tests.fakes.control import Plane, plane
from tests.fakes.scripted import Script, ScriptedTransport, piece, status, stream

HELLO = Request(model="m", messages=[Message("user", "hello")])
CONTINUE = Request(model="m", messages=HELLO.messages, midstream="continue")
RESTART = Request(model="m", messages=HELLO.messages, midstream="restart")
PREFILL = {"each": {name: {"model": {"capabilities": ["prefill", "json", "tools"]}} for name in "bc"}}


def vendors(*scripts: Script) -> dict[str, ScriptedTransport]:
    return {name: ScriptedTransport(script) for name, script in zip("abcde", scripts, strict=False)}


async def everything(plane: Plane, request: Request) -> tuple[list[Event], Any]:
    async with plane.stream(request) as events:
        found = [event async for event in events]
    return found, events.reply


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


BREAKS = stream("Once ", "upon ", end=False, cut=True)


async def test_another_vendor_goes_on_where_the_text_broke(autojump_clock: MockClock) -> None:
    scripts = vendors(BREAKS, stream(" a", " time"))
    async with plane(PREFILL, **scripts) as house:
        events, reply = await everything(house, CONTINUE)
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert text_of(events) == reply.text == "Once upon a time"
    assert [event for event in events if isinstance(event, Seam)] == [Seam("a/m", "b/m", "m", "truncated")]
    _, body = scripts["b"].sent[0]
    # Trailing blanks are not sent, and not doubled.
    assert body["messages"][-1] == {"role": "assistant", "content": "Once upon"}
    assert "prefill" in house.routes[1].needs
    assert [(record.fault, record.bill) for record in reply.attempts] == [
        ("truncated", "estimated"), (None, "settled"),
    ]  # fmt: skip
    assert reply.cost == sum(record.cost for record in reply.attempts)
    assert [outcome.last for outcome in house.outcomes] == [False, True]


async def test_the_usage_told_is_that_of_both(autojump_clock: MockClock) -> None:
    async with plane(PREFILL, **vendors(BREAKS, stream("a", "time"))) as house:
        events, reply = await everything(house, CONTINUE)
    (told,) = [event.usage for event in events if isinstance(event, UsageReported)]
    spent = [outcome.spent for outcome in house.outcomes]
    assert told.output_tokens == sum(each.output_tokens for each in spent) == reply.usage.output_tokens
    assert told.input_tokens == sum(each.input_tokens for each in spent)


async def test_a_continuation_may_use_what_is_left_of_the_tokens(autojump_clock: MockClock) -> None:
    scripts = vendors(BREAKS, stream("a"))
    async with plane(PREFILL, **scripts) as house:
        await everything(house, msgspec.structs.replace(CONTINUE, max_tokens=100))
    (_, before), (_, after) = scripts["a"].sent[0], scripts["b"].sent[0]
    assert before["max_tokens"] - after["max_tokens"] == house.outcomes[0].spent.output_tokens


async def test_a_turn_that_the_caller_had_begun_stays_one_turn(autojump_clock: MockClock) -> None:
    messages = [*HELLO.messages, Message("assistant", "Well: ")]
    scripts = vendors(BREAKS, stream("a"))
    async with plane(PREFILL, **scripts) as house:
        await everything(house, msgspec.structs.replace(CONTINUE, messages=messages))
    assert [message["content"] for message in scripts["b"].sent[0][1]["messages"]] == [
        "hello",
        "Well: Once upon",
    ]


async def test_a_continuation_that_breaks_is_gone_on_with_as_well(autojump_clock: MockClock) -> None:
    scripts = vendors(BREAKS, stream("a ", end=False, cut=True), stream("time"))
    async with plane(PREFILL, **scripts) as house:
        events, reply = await everything(house, CONTINUE)
    assert text_of(events) == reply.text == "Once upon a time"
    assert scripts["c"].sent[0][1]["messages"][-1]["content"] == "Once upon a"
    assert sum(isinstance(event, Seam) for event in events) == 2


async def test_the_configuration_can_wish_it_for_a_route(autojump_clock: MockClock) -> None:
    settings = {**PREFILL, "routes": [{"name": "story", "targets": ["m"], "midstream": "continue"}]}
    async with plane(settings, **vendors(BREAKS, stream("a"))) as house:
        events, _ = await everything(house, Request(model="story", messages=HELLO.messages))
    assert text_of(events) == "Once upon a"


@pytest.mark.parametrize(
    ("settings", "request_", "first"),
    [
        (PREFILL, HELLO, BREAKS),
        ({}, CONTINUE, BREAKS),
        (PREFILL, msgspec.structs.replace(CONTINUE, output=JsonOutput()), BREAKS),
        (PREFILL, msgspec.structs.replace(CONTINUE, logprobs=True), BREAKS),
        (PREFILL, msgspec.structs.replace(CONTINUE, n=2), BREAKS),
        (PREFILL, msgspec.structs.replace(CONTINUE, max_tokens=2), BREAKS),
        ({**PREFILL, "retry": {"attempts": 1}}, CONTINUE, BREAKS),
        ({**PREFILL, "retry": {"budget": 0.0, "floor": 0.0}}, CONTINUE, BREAKS),
        (
            PREFILL,
            CONTINUE,
            Script(
                pieces=[
                    piece("let me see"),
                    piece(choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}}]),
                ],
                cut=True,
            ),
        ),
        (PREFILL, CONTINUE, Script(pieces=[piece(choices=[{"index": 0, "delta": {"reasoning_content": "hm"}}])], cut=True)),
    ],
    ids=[
        "not wished", "nobody can", "JSON", "logprobs", "several answers", "no tokens left", "no attempts left",
        "no retries left", "an open tool call", "thoughts",
    ],
)  # fmt: skip
async def test_where_it_cannot_be_gone_on_with_the_stream_ends_with_an_error(
    autojump_clock: MockClock, settings: dict[str, Any], request_: Request, first: Script
) -> None:
    async with plane(settings, **vendors(first, stream("other"))) as house:
        with pytest.raises(errors.StreamTruncated) as caught:
            await everything(house, request_)
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert caught.value.code == "upstream_interrupted"


async def test_when_the_continuation_fails_too_the_first_fault_is_told(autojump_clock: MockClock) -> None:
    async with plane(PREFILL, **vendors(BREAKS, status(503), status(429))) as house:
        with pytest.raises(errors.StreamTruncated) as caught:
            await everything(house, CONTINUE)
        await trio.testing.wait_all_tasks_blocked()
        house.assert_at_rest()
    assert caught.value.kind.value == "truncated"
    assert [record.fault for record in caught.value.attempts] == ["truncated", "overloaded", "rate_limited"]


async def test_who_asked_for_it_gets_a_new_beginning(autojump_clock: MockClock) -> None:
    call = piece(
        choices=[{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}}]
    )
    first = Script(pieces=[piece("half a "), call], cut=True)
    async with plane(**vendors(first, stream("a whole", " answer"))) as house:
        events, reply = await everything(house, RESTART)
    (at,) = [position for position, event in enumerate(events) if isinstance(event, Restarted)]
    assert text_of(events[at:]) == reply.text == "a whole answer"
    assert reply.tool_calls == []
    assert reply.usage.output_tokens == 2
    assert reply.cost == sum(record.cost for record in reply.attempts)


async def test_what_breaks_while_it_is_held_back_is_made_good_unseen(autojump_clock: MockClock) -> None:
    scripts = vendors(stream("lost", end=False, cut=True, gap=0.1), stream("ok"))
    async with plane({"streams": {"hold": "300ms"}}, **scripts) as house:
        events, reply = await everything(house, HELLO)
    assert text_of(events) == reply.text == "ok"


async def test_holding_back_delays_the_first_content_and_loses_nothing(autojump_clock: MockClock) -> None:
    scripts = vendors(stream("a", "b", "c", gap=1.0))
    async with plane({"streams": {"hold": "300ms"}}, **scripts) as house, house.stream(HELLO) as events:
        arrivals = [
            (event.text, trio.current_time()) async for event in events if isinstance(event, TextDelta)
        ]
    assert arrivals == [("a", 2.3), ("b", 3), ("c", 4)]


def test_a_client_sees_the_seam_as_a_comment_and_as_a_field() -> None:
    writer = Writer(id="x", model="m1", created=1, include_usage=False)
    writer.write(TextDelta("a"))
    comment, data, _ = writer.write(Seam("a/m1", "b/m2", "m2", "stalled")).split(b"\n\n")
    assert comment == b": x-dispatch-seam a/m1 -> b/m2"
    chunk = msgspec.json.decode(data.removeprefix(b"data: "))
    assert chunk["choices"] == []
    assert chunk["x_dispatch"] == {
        "seam": {"before": "a/m1", "after": "b/m2", "model": "m2", "class": "stalled"}
    }
    assert b"role" not in writer.write(TextDelta("b"))


def test_after_a_new_beginning_a_client_is_told_the_role_and_the_model_again() -> None:
    writer = Writer(id="x", model="m1", created=1, include_usage=False)
    writer.write(TextDelta("a"))
    mark = writer.write(Restarted("a/m1", "b/m2", "m2", "stalled"))
    assert b'"x_dispatch":{"restart"' in mark
    again = writer.write(TextDelta("b"))
    assert b'"role":"assistant"' in again
    assert b'"model":"m2"' in again
