"""A local program as a vendor: what it is told, what its lines mean, and the whole way through the house."""

from __future__ import annotations

import json
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Dispatcher, DispatchError
from llm_dispatcher.runtime.canon import (
    Event,
    Failed,
    Finished,
    Message,
    Opened,
    Request,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from llm_dispatcher.runtime.config import ConfigError, load_mapping
from llm_dispatcher.runtime.dialects import Answer, Target, VendorFault
from llm_dispatcher.runtime.dialects.formats.program_lines import FORMAT
from llm_dispatcher.runtime.dialects.program import Program
from llm_dispatcher.runtime.plan import plan_deployments, vendor_spec
from llm_dispatcher.runtime.stream import EventStream

ASK = Request(
    model="m", messages=[Message("developer", "be brief"), Message("user", "x")], max_tokens=5, top_k=3
)


def dialect(**options: Any) -> Program:
    return Program(Target(vendor="p", base_url="http://here.invalid/v1", model="gguf", options=options))


def decoded(*pieces: bytes, **options: Any) -> list[Event]:
    decoder = dialect(**options).decoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.close()]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


# --- what it is told ----------------------------------------------------------------------------


def test_it_is_told_what_openai_would_be() -> None:
    request = dialect().build(ASK, stream=True).request
    assert json.loads(request.read()) == {
        "model": "gguf",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "x"}],
        "max_tokens": 5,
        "top_k": 3,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"output": "yaml"}, "Invalid enum value 'yaml'"),
        ({"max_line_bytes": 0}, "at least 1"),
        ({"shell": True}, "known are output, max_line_bytes"),
    ],
)
def test_options_that_do_not_exist_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dialect(**options)


# --- lines of JSON ------------------------------------------------------------------------------

SAID = [
    {"thinking": "hm"},
    {"text": "ye"},
    {"text": "s", "more": "is left unread"},
    {"tool_call": {"name": "f", "arguments": {"x": 1}}},
    {"tool_call": {"name": "g", "arguments": "{}", "id": "own"}},
    {"usage": {"input_tokens": 3, "output_tokens": 4, "cost": 1}},
    {"done": True, "finish": "stop"},
]
BODY = b"".join(json.dumps(each).encode() + b"\n" for each in SAID)


@settings(max_examples=30)
@given(cuts=st.sets(st.integers(0, len(BODY))))
def test_where_the_pipe_cuts_makes_no_difference(cuts: set[int]) -> None:
    pieces = [BODY[a:b] for a, b in pairwise([0, *sorted(cuts), len(BODY)])]
    assert decoded(*pieces) == decoded(BODY)


def test_lines_add_up_to_an_answer() -> None:
    whole = dialect().completion(BODY)
    assert whole.choices[0].parts == [
        Thinking("hm", format=FORMAT),
        Text("yes"),
        ToolCall("call_0", "f", '{"x":1}'),
        ToolCall("own", "g", "{}"),
    ]
    assert (whole.choices[0].finish, whole.usage) == ("stop", Usage(3, 4))


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        (b"", "stop"),
        (b'{"tool_call": {"name": "f"}}\n', "tool_calls"),
        (b'{"done": true, "finish": "length"}', "length"),
        (b'{"done": true, "finish": "bored"}', "other"),
    ],
)
def test_the_end_of_the_output_is_an_end_and_a_reason_may_be_given(end: bytes, finish: str) -> None:
    events = decoded(b'{"text": "x"}\n' + end)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == finish


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"error": {"message": "no", "type": "rate_limit_error"}}', FaultClass.RATE_LIMITED),
        (b'{"error": {"message": "no", "status": 503}}', FaultClass.OVERLOADED),
        (b'{"error": "no"}', FaultClass.IN_STREAM_ERROR),
        (b"Loading model...", FaultClass.MALFORMED),
        (b'{"text": 5}', FaultClass.MALFORMED),
    ],
)
def test_it_may_say_that_it_failed_and_must_not_say_anything_else(line: bytes, kind: FaultClass) -> None:
    for body in (line, line + b"\n" + BODY):
        events = decoded(BODY[: BODY.index(b"\n") + 1], body)
        assert isinstance(events[-1], Failed)
        assert events[-1].fault.kind is kind
    with pytest.raises(VendorFault):
        dialect().completion(line)


# --- lines of text ------------------------------------------------------------------------------


@given(said=st.text("ab\n é", max_size=40), cut=st.integers(0, 40))
def test_text_is_the_answer_without_the_line_ends_around_it(said: str, cut: int) -> None:
    body = said.encode()
    events = decoded(body[:cut], body[cut:], output="text")
    if said.strip("\n"):
        assert text(events) == said.strip("\n")
        assert isinstance(events[0], Opened)
        assert events[-1] == Finished("stop")
    else:
        assert isinstance(events[-1], Failed)
        assert events[-1].fault.kind is FaultClass.EMPTY_OK


def test_text_that_is_not_utf_8_is_readable_as_far_as_it_can_be() -> None:
    assert text(decoded(b"a\xff\r\nb", output="text")) == "a�\nb"


@pytest.mark.parametrize("output", ["json", "text"])
def test_a_line_without_an_end_is_refused_at_the_limit(output: str) -> None:
    decoder = dialect(output=output, max_line_bytes=100).decoder()
    events: list[Event] = []
    for _ in range(102):
        events += decoder.feed(b"x")
    assert [type(event) for event in events] == [Failed]
    assert decoder.finished


def test_an_exit_code_is_a_fault_with_its_last_words() -> None:
    body = b'{"error": {"message": "the program ended with code 75: busy", "code": "exit_75"}}'
    fault = dialect().fault(Answer(503, {}, body))
    assert (fault.kind, fault.code, fault.message) == (
        FaultClass.OVERLOADED, "exit_75", "the program ended with code 75: busy",
    )  # fmt: skip


# --- in the house -------------------------------------------------------------------------------

ECHO = """
    import json, sys
    asked = json.load(sys.stdin)
    print(json.dumps({"text": asked["model"] + ": "}), flush=True)
    print(json.dumps({"text": asked["messages"][-1]["content"], "usage": {"input_tokens": 2, "output_tokens": 3}}))
    sys.exit(int(asked.get("seed", 0)))
"""


def configuration(folder: Path, source: str, **more: Any) -> dict[str, Any]:
    file = folder / "answer.py"
    file.write_text(textwrap.dedent(source))
    vendor = {
        "name": "home",
        "dialect": "program",
        "program": {"command": [sys.executable, "-I", "-S", str(file)], "at_once": 2},
        "models": [{"name": "m", "price": {"input": 1, "output": 2}}],
        **more,
    }
    return {"vendors": [vendor], "retry": {"attempts": 1}}


@pytest.mark.slow
async def test_a_request_is_answered_whole_and_streamed(tmp_path: Path) -> None:
    async with Dispatcher.open(configuration(tmp_path, ECHO)) as dispatcher:
        with trio.fail_after(20):
            reply = await dispatcher.send(Request(model="m", messages=[Message("user", "hé")]))
            assert reply.completion.choices[0].text == "m: hé"
            assert str(reply.attempts[-1].cost) == "0.000008"
            async with dispatcher.stream(Request(model="m", messages=[Message("user", "hé")])) as events:
                assert text([event async for event in events]) == "m: hé"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind"),
    [(65, FaultClass.BAD_REQUEST), (75, FaultClass.OVERLOADED), (1, FaultClass.SERVER_ERROR)],
)
async def test_a_program_that_fails_before_it_speaks_is_the_callers_error(
    code: int, kind: FaultClass, tmp_path: Path
) -> None:
    program = f"import sys; sys.stderr.write('no luck today'); sys.exit({code})"
    async with Dispatcher.open(configuration(tmp_path, program)) as dispatcher:
        with trio.fail_after(20), pytest.raises(DispatchError, match="no luck today") as caught:
            await dispatcher.send(Request(model="m", messages=[Message("user", "x")]))
    assert caught.value.kind is kind


@pytest.mark.slow
async def test_a_stream_whose_program_fails_after_some_words_does_not_look_complete(tmp_path: Path) -> None:
    async def read_on(events: EventStream) -> None:
        async for _ in events:
            pass

    wish = Request(model="m", messages=[Message("user", "x")], seed=9)
    async with Dispatcher.open(configuration(tmp_path, ECHO)) as dispatcher:
        with trio.fail_after(20):
            async with dispatcher.stream(wish) as events:
                with pytest.raises(DispatchError) as caught:
                    await read_on(events)
    assert caught.value.kind is FaultClass.TRUNCATED


def test_so_many_requests_are_let_through_as_programs_may_run(tmp_path: Path) -> None:
    for more, concurrent in (({}, 2), ({"limits": {"concurrent": 1}}, 1), ({"limits": {"concurrent": 9}}, 2)):
        config = load_mapping(configuration(tmp_path, ECHO, **more))
        (vendor,) = config.vendors
        spec = vendor_spec(config, vendor, list(plan_deployments([vendor])))
        assert spec.account_limits.concurrent == concurrent


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"program": None}, "program: is missing"),
        ({"dialect": "openai"}, "a program does not speak 'openai'"),
        ({"base_url": "https://e.example"}, "is given as well as an address"),
        ({"program": {"command": []}}, "program.command"),
        ({"program": {"command": [""]}}, "is empty"),
        ({"program": {"command": ["a", "b\0"]}}, "zero byte"),
        ({"program": {"command": ["a"], "environment": {"A=B": "c"}}}, "is no variable"),
        ({"program": {"command": ["a"], "at_once": 0}}, "at_once"),
    ],
)
def test_a_program_that_cannot_be_meant_is_a_problem(
    more: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    config = configuration(tmp_path, ECHO, **more)
    config["vendors"][0] = {name: value for name, value in config["vendors"][0].items() if value is not None}
    with pytest.raises(ConfigError, match=complaint):
        load_mapping(config)
