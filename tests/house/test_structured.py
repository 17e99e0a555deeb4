"""Structured answers from vendors that cannot be bound to a schema: asked for as a call, told as text."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta
from llm_dispatcher.runtime.canon import (
    Choice,
    Completion,
    Finished,
    JsonOutput,
    Part,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
)
from llm_dispatcher.runtime.dialects import Target, Unsupported
from llm_dispatcher.runtime.dialects.anthropic import Anthropic
from llm_dispatcher.runtime.dialects.by_call import ANSWER, answer_by_call, asked_by_call
from trio.testing import MockClock

from tests.fakes.scripted import Script, ScriptedTransport, config

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASKED = Request(model="m", messages=[Message("user", "where?")], output=JsonOutput(SCHEMA, name="place"))
LACKING = {"options": {"json_schema": False}}
ARGUMENTS = ['{"ci', 'ty": "Bonn"}']


def call(arguments: str, **more: Any) -> dict[str, Any]:
    return {"index": 0, "function": {"arguments": arguments}, **more}


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": choices}).encode() + b"\n\n"


def vendor(script: Script) -> ScriptedTransport:
    return ScriptedTransport(script)


def dispatcher(transport: ScriptedTransport) -> Dispatcher:
    settings = config("a")
    settings["vendors"][0] |= LACKING
    return Dispatcher.open(settings, transports={"a": transport}, rng=random.Random(1))


async def test_a_whole_answer_is_text_and_the_caller_sees_no_call(autojump_clock: MockClock) -> None:
    made = {"id": "x", "type": "function", "function": {"name": ANSWER, "arguments": "".join(ARGUMENTS)}}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "tool_calls": [made]},
        "finish_reason": "tool_calls",
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    body = {"id": "c", "model": "m", "created": 1, "choices": [choice], "usage": usage}
    transport = vendor(Script(pieces=[json.dumps(body).encode()]))
    async with dispatcher(transport) as house:
        reply = await house.send(ASKED)
    assert json.loads(reply.text) == {"city": "Bonn"}
    assert reply.completion.choices[0].finish == "stop"
    assert reply.completion.choices[0].tool_calls == []
    sent = transport.sent[0][1]
    assert "response_format" not in sent
    assert sent["tool_choice"] == {"type": "function", "function": {"name": ANSWER}}
    assert sent["tools"][0]["function"]["parameters"] == SCHEMA


async def test_a_stream_is_text_piece_by_piece(autojump_clock: MockClock) -> None:
    first = call("", id="x", type="function")
    first["function"]["name"] = ANSWER
    pieces = [
        chunk({"role": "assistant", "content": "I answer:"}),
        chunk({"tool_calls": [first]}),
        *[chunk({"tool_calls": [call(each)]}) for each in ARGUMENTS],
        chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
    ]
    async with dispatcher(vendor(Script(pieces=pieces))) as house, house.stream(ASKED) as events:
        found = [event async for event in events]
    assert [event.text for event in found if isinstance(event, TextDelta)] == ARGUMENTS
    assert [event.reason for event in found if isinstance(event, Finished)] == ["stop"]


def body(model: str, wanted: Request) -> tuple[Any, bool]:
    target = Target(vendor="a", base_url="https://e.org/v1", model=model, key="k")
    built = Anthropic(target).build(wanted, stream=False)
    return json.loads(built.request.read()), built.by_call


@pytest.mark.parametrize(
    ("model", "native"),
    [
        ("claude-3-7-sonnet-20250219", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-opus-4-0", False),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4-5", True),
        ("claude-opus-5", True),
    ],
)
def test_anthropics_older_models_are_asked_by_a_call_and_newer_ones_bound(model: str, native: bool) -> None:
    sent, by_call = body(model, ASKED)
    assert by_call is not native
    assert ("output_config" in sent) is native
    assert ("tools" in sent) is not native


def test_json_of_any_shape_is_asked_of_anthropic_by_a_call() -> None:
    sent, by_call = body("claude-opus-5", Request(model="m", messages=ASKED.messages, output=JsonOutput()))
    assert by_call
    assert sent["tool_choice"] == {"type": "tool", "name": ANSWER}
    assert sent["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.parametrize(
    "beside",
    [
        {"tools": [Tool("f")]},
        {"reasoning": Reasoning("low")},
        {"output": JsonOutput({"type": "array"})},
    ],
)
def test_where_a_call_cannot_be_forced_the_wish_is_refused(beside: dict[str, Any]) -> None:
    wanted = Request(**{"model": "m", "messages": ASKED.messages, "output": JsonOutput(SCHEMA), **beside})
    assert asked_by_call(wanted) is None
    with pytest.raises(Unsupported, match="JSON schema"):
        body("claude-sonnet-4-0", wanted)


def test_thoughts_stay_and_what_is_said_beside_the_answer_goes() -> None:
    thought = Thinking("hm")
    parts: list[Part] = [thought, Text("Here:"), ToolCall("x", ANSWER, "{}"), ToolCall("y", ANSWER, "[]")]
    told = answer_by_call(Completion(choices=[Choice(parts=parts, finish="tool_calls")]))
    assert told.choices[0].parts == [thought, Text("{}")]
    cut = answer_by_call(Completion(choices=[Choice(parts=[], finish="length")]))
    assert cut.choices[0].finish == "length"
