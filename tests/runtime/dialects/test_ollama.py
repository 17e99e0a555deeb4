"""Ollama's own interface: what is asked, and how lines of JSON are read."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.assembly import Assembler
from llm_dispatcher.runtime.canon import (
    Audio,
    Completion,
    Event,
    Failed,
    File,
    Finished,
    Image,
    JsonOutput,
    Message,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from llm_dispatcher.runtime.dialects import Answer, Target, Unsupported, VendorFault
from llm_dispatcher.runtime.dialects.formats.ollama_chat import FORMAT, request
from llm_dispatcher.runtime.dialects.ollama import Ollama

TOOL = Tool("f", "does", {"type": "object"}, strict=True)
AT = "2026-05-04T22:48:51.925773Z"
END = {"done": True, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 7}


def dialect(**more: Any) -> Ollama:
    target = {"vendor": "o", "base_url": "http://127.0.0.1:11434", "model": "qwen3:4b"}
    return Ollama(Target(**{**target, **more}))


def written(
    *messages: Message, model: str = "qwen3:4b", dropped: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    wish = Request(model="m", messages=[*messages] or [Message("user", "x")], **more)
    body, found = request.write(wish, model, stream=True, parameters={}, lenient=bool(dropped))
    assert found == dropped
    told: dict[str, Any] = json.loads(body)
    return told


# --- requests -----------------------------------------------------------------------------------


def test_the_door_leads_where_it_should_and_the_vendors_parameters_go_with_every_request() -> None:
    options = {"parameters": {"num_ctx": 32768, "temperature": 0.1}, "keep_alive": "10m"}
    wish = Request(
        model="m",
        messages=[Message("user", "x")],
        temperature=0.7,
        extra={FORMAT: {"options": {"min_p": 0.2}}},
    )
    sent = (
        dialect(base_url="http://127.0.0.1:11434/v1/", options=options, key="k")
        .build(wish, stream=False)
        .request
    )
    assert str(sent.url) == "http://127.0.0.1:11434/api/chat"
    assert sent.headers["authorization"] == "Bearer k"
    assert json.loads(sent.read()) == {
        "model": "qwen3:4b",
        "messages": [{"role": "user", "content": "x"}],
        "options": {"num_ctx": 32768, "temperature": 0.7, "min_p": 0.2},
        "keep_alive": "10m",
        "stream": False,
    }
    assert "authorization" not in dialect().build(wish, stream=True).request.headers


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"base_url": "ollama"}, "is no address; use 'http://127.0.0.1:11434'"),
        ({"options": {"num_ctx": 1}}, "known are parameters, keep_alive, max_event_bytes"),
        ({"options": {"max_event_bytes": 0}}, "at least 1"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_with_a_remedy(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dialect(**more)


def test_a_conversation_with_tools_thoughts_and_pictures() -> None:
    body = written(
        Message("developer", "be brief"),
        Message(
            "user", [Text("look"), Image(data="AAAA"), Image(url="data:image/png;base64,BBBB"), Text(" here")]
        ),
        Message("assistant", [Thinking("hm", format=FORMAT), Text("so"), ToolCall("a", "f", '{"x": 1}')]),
        Message("tool", [ToolResult("a", "one"), ToolResult("b", [Text("two")], "g")]),
        tools=[TOOL],
        max_tokens=9,
        stop=["."],
        seed=5,
    )
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "look here", "images": ["AAAA", "BBBB"]},
        {
            "role": "assistant",
            "content": "so",
            "thinking": "hm",
            "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}],
        },
        {"role": "tool", "content": "one", "tool_call_id": "a", "tool_name": "f"},
        {"role": "tool", "content": "two", "tool_call_id": "b", "tool_name": "g"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does", "parameters": {"type": "object"}},
        }
    ]
    assert body["options"] == {"num_predict": 9, "stop": ["."], "seed": 5}


@pytest.mark.parametrize(
    ("model", "reasoning", "think"),
    [
        ("qwen3:4b", Reasoning(effort="none"), False),
        ("qwen3:4b", Reasoning(budget_tokens=0), False),
        ("qwen3:4b", Reasoning(effort="low"), True),
        ("gpt-oss:20b", Reasoning(effort="xhigh"), "high"),
        ("qwen3:4b", Reasoning(), None),
    ],
)
def test_thinking_is_switched_and_only_gpt_oss_is_told_how_much(
    model: str, reasoning: Reasoning, think: bool | str | None
) -> None:
    assert written(model=model, reasoning=reasoning).get("think") == think


def test_json_is_asked_for_with_or_without_a_schema() -> None:
    assert written(output=JsonOutput())["format"] == "json"
    assert written(output=JsonOutput({"type": "object"}))["format"] == {"type": "object"}


def test_to_allow_no_tool_none_is_sent() -> None:
    assert "tools" not in written(tools=[TOOL], tool_choice=ToolChoice("none"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n": 2}, "n above 1"),
        ({"tools": [TOOL], "tool_choice": ToolChoice("required")}, "must be called"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning": Reasoning(budget_tokens=5000)}, "budget"),
        ({"reasoning": Reasoning(effort="extreme")}, "'extreme'"),
        ({"extra": {"messages": {"container": "c"}}}, "messages.container"),
    ],
)
def test_what_cannot_be_said_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        written(**more)


def test_a_picture_at_an_address_is_refused_since_nobody_would_fetch_it() -> None:
    with pytest.raises(Unsupported, match="an image at an address"):
        written(Message("user", [Image(url="https://e.org/i.png")]))


def test_thoughts_of_others_are_left_out() -> None:
    thought = Thinking("theirs", "s", format="messages")
    body = written(Message("assistant", [thought, Text("c")]), dropped=("reasoning of another vendor",))
    assert body["messages"] == [{"role": "assistant", "content": "c"}]


# --- answers ------------------------------------------------------------------------------------


def line(end: dict[str, Any] | None = None, **message: Any) -> bytes:
    told = {
        "model": "q",
        "created_at": AT,
        "message": {"role": "assistant", **message},
        "done": False,
        **(end or {}),
    }
    return json.dumps(told).encode() + b"\n"


CALLS = [{"function": {"name": "f", "arguments": {"x": 1}}}, {"id": "own", "function": {"name": "g"}}]
STREAM = [
    line(content="", thinking="h"),
    line(content="", thinking="m"),
    line(content="y"),
    line(content="es"),
    line(content="", tool_calls=CALLS),
    line(END, content=""),
]
WHOLE = line(END, content="yes", thinking="hm", tool_calls=CALLS)


def decoded(*pieces: bytes, **options: Any) -> list[Event]:
    decoder = dialect(options=options).decoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.close()]


def assembled(events: list[Event]) -> Completion:
    assembler = Assembler()
    for each in events:
        assembler.add(each)
    return assembler.completion(FORMAT)


@settings(max_examples=30)
@given(cuts=st.sets(st.integers(0, sum(map(len, STREAM)))))
def test_a_stream_holds_what_a_whole_answer_does_wherever_it_is_cut(cuts: set[int]) -> None:
    body = b"".join(STREAM)
    streamed = assembled(decoded(*[body[a:b] for a, b in pairwise([0, *sorted(cuts), len(body)])]))
    assert streamed == dialect().completion(WHOLE)


def test_a_whole_answer() -> None:
    whole = dialect().completion(WHOLE)
    (choice,) = whole.choices
    assert (choice.text, choice.thinking, choice.finish, choice.vendor_finish) == (
        "yes",
        "hm",
        "tool_calls",
        "stop",
    )
    assert choice.tool_calls == [
        ToolCall("call_20260504224851925773_0", "f", '{"x":1}'),
        ToolCall("own", "g", "{}"),
    ]
    assert (whole.model, whole.created, whole.usage) == ("q", 1_777_934_931, Usage(12, 7))


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        ({"done_reason": "length"}, "length"),
        ({"done_reason": "load"}, "other"),
        ({"done_reason": None}, "stop"),
    ],
)
def test_why_an_answer_ended(end: dict[str, Any], finish: str) -> None:
    events = decoded(line({**END, **end}, content="x"))
    assert [event.reason for event in events if isinstance(event, Finished)] == [finish]


@pytest.mark.parametrize("count", range(len(STREAM)))
def test_a_stream_without_its_end_is_broken(count: int) -> None:
    last = decoded(*STREAM[:count])[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED
    last = decoded(*STREAM[:count], STREAM[count][:20])[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.TRUNCATED


def test_a_last_line_without_its_line_end_is_an_end() -> None:
    assert isinstance(decoded(*STREAM[:-1], STREAM[-1].rstrip())[-2], Finished)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("server busy, please try again. maximum pending requests exceeded", FaultClass.IN_STREAM_ERROR),
        ("an error was encountered while running the model: unexpected EOF", FaultClass.IN_STREAM_ERROR),
    ],
)
def test_an_error_may_be_a_line_of_the_stream(words: str, kind: FaultClass) -> None:
    events = decoded(*STREAM[:3], json.dumps({"error": words}).encode() + b"\n", *STREAM[3:])
    assert isinstance(events[-1], Failed)
    assert (events[-1].fault.kind, events[-1].fault.message) == (kind, words)


def test_what_cannot_be_read_or_is_too_long_breaks_the_stream() -> None:
    last = decoded(STREAM[0], b"<html>\n")[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.MALFORMED
    last = decoded(*STREAM, max_event_bytes=90)[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultClass.OVERSIZED


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"no"])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(VendorFault) as caught:
        dialect().completion(body)
    assert caught.value.fault.kind is FaultClass.MALFORMED


@pytest.mark.parametrize(
    ("status", "words", "kind", "elsewhere"),
    [
        (404, "model 'm' not found", FaultClass.NO_MODEL, False),
        (
            400,
            "registry.ollama.ai/library/llama2:latest does not support tools",
            FaultClass.BAD_REQUEST,
            True,
        ),
        (400, '"qwen2" does not support thinking', FaultClass.BAD_REQUEST, True),
        (401, "unauthorized", FaultClass.AUTH, False),
        (
            503,
            "server busy, please try again. maximum pending requests exceeded",
            FaultClass.OVERLOADED,
            False,
        ),
        (500, "llama runner process has terminated: signal: killed", FaultClass.SERVER_ERROR, False),
    ],
)
def test_refusals(status: int, words: str, kind: FaultClass, elsewhere: bool) -> None:
    fault = dialect().fault(Answer(status, {}, json.dumps({"error": words}).encode()))
    assert (fault.kind, fault.elsewhere, fault.message) == (kind, elsewhere, words)


def test_a_document_that_is_text_is_told_and_others_and_sound_are_refused() -> None:
    text = File(data="aGk=", media_type="text/plain", name="a.txt")
    assert written(Message("user", [text]))["messages"][0]["content"] == "a.txt:\n\nhi"
    with pytest.raises(Unsupported, match="a document that is not text"):
        written(Message("user", [File(data="JVBERi0", media_type="application/pdf")]))
    with pytest.raises(Unsupported, match="sound"):
        written(Message("user", [Audio(data="AAAA", media_type="audio/wav")]))
