"""Requests in the responses format: what becomes of messages, thoughts, tools and wishes, and there and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import (
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_dispatcher.runtime.dialects import Unsupported
from llm_dispatcher.runtime.dialects.formats.responses import request
from llm_dispatcher.runtime.dialects.formats.responses.options import Options, seals_thoughts
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

USER = Message("user", "hi")
USUAL = Options()
SDK: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)


def body(*, options: Options = USUAL, **fields: Any) -> Any:
    wanted = Request(**{"model": "gpt-5", "messages": [USER], **fields})
    written, dropped = request.write(wanted, wanted.model, options, stream=False)
    assert dropped == ()
    return json.loads(written)


def items(*messages: Message) -> Any:
    wanted = Request(model="m", messages=[*messages])
    return json.loads(request.write(wanted, "m", USUAL, stream=False, lenient=True)[0])["input"]


# --- there and back -----------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=5)
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=2).map(json.dumps)
SPOKEN: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, WORDS, extra=st.sampled_from([None, {"responses": {"prompt_cache_breakpoint": {"mode": "explicit"}}}])),
    st.builds(lambda url, detail: Image(url=f"https://e.org/{url}", detail=detail), st.integers(0, 9), st.sampled_from(["auto", "low"])),
    st.builds(lambda data: Image(data=data, media_type="image/png", detail="auto"), st.sampled_from(["AAAA", "iVBO"])),
    st.builds(lambda name: Opaque("responses", {"type": "input_file", "file_id": name}), WORDS),
)  # fmt: skip


@st.composite
def thoughts(draw: st.DrawFn) -> Thinking:
    seal = draw(st.sampled_from([None, "sealed"]))
    kinds = draw(st.lists(st.sampled_from(["summary_text", "reasoning_text"]), min_size=0 if seal else 1, max_size=3))  # fmt: skip
    kinds.sort(reverse=True)
    if seal is None:
        kinds.append("reasoning_text")
    parts = [(kind, draw(WORDS)) for kind in kinds]
    places, at = [], 0
    for kind, text in parts:
        places.append([at, kind])
        at += len(text) + 2
    usual = places in ([], [[0, "summary_text"]])
    extra = None if usual else {"responses": {"parts": places}}
    return Thinking("\n\n".join(text for _, text in parts), seal, format="responses", extra=extra)


@st.composite
def turns(draw: st.DrawFn) -> Message:
    """A turn of the assistant, in the one form in which the reader gives it."""
    parts: list[Part] = []
    for number in range(draw(st.integers(1, 5))):
        after_text = bool(parts) and isinstance(parts[-1], Text | Refusal)
        kind = draw(st.sampled_from(["text", "thought", "call", "opaque"]))
        if kind == "text":
            fields: dict[str, Any] = {}
            if draw(st.booleans()):
                fields["annotations"] = [{"type": "url_citation", "n": number}]
            begins = draw(st.booleans())
            phase: dict[str, Any] = draw(st.sampled_from([{}, {"phase": "commentary"}]))
            if begins and (phase or after_text):
                fields["item"] = phase
            refuses = draw(st.booleans())
            if refuses:
                fields.pop("annotations", None)
            extra = {"responses": fields} if fields else None
            parts.append((Refusal if refuses else Text)(draw(WORDS), extra=extra))
        elif kind == "thought":
            parts.append(draw(thoughts()))
        elif kind == "call":
            extra = draw(st.sampled_from([None, {"responses": {"namespace": "n"}}]))
            parts.append(ToolCall(f"c{number}", draw(WORDS), draw(ARGUMENTS), extra=extra))
        else:
            parts.append(Opaque("responses", {"type": "web_search_call", "id": f"ws{number}"}))
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].extra is None:
        return Message("assistant", parts[0].text)
    return Message("assistant", parts)


RESULTS = st.lists(
    st.builds(ToolResult, WORDS, WORDS | st.lists(SPOKEN, max_size=2)),
    min_size=1,
    max_size=2,
).map(lambda results: Message("tool", [*results]))
SAID = st.builds(Message, st.sampled_from(["user", "developer", "system"]), WORDS | st.lists(SPOKEN, min_size=1, max_size=3))  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    for _ in range(draw(st.integers(1, 4))):
        before = messages[-1].role if messages else None
        kinds = [SAID]
        # Neighbours of one kind would be read as one.
        if before != "assistant":
            kinds.append(turns())
        if before != "tool":
            kinds.append(RESULTS)
        messages.append(draw(st.one_of(kinds)))
    return messages


SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"type": "object", "properties": {}}, {"type": "object", "required": ["x"]}]
)
TOOLS = st.builds(
    Tool, WORDS, st.none() | WORDS, SCHEMAS, st.none() | st.booleans(),
    st.sampled_from([{"responses": {}}, {"responses": {"defer_loading": True}}]),
)  # fmt: skip
REQUESTS = st.builds(
    Request,
    model=st.just("gpt-5"),
    messages=conversations(),
    tools=st.lists(TOOLS, max_size=2),
    tool_choice=st.sampled_from([None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", "f")]),
    parallel_tool_calls=st.none() | st.booleans(),
    output=st.none() | st.just(JsonOutput()) | st.builds(JsonOutput, SCHEMAS, WORDS, st.none() | WORDS, st.none() | st.booleans()),
    max_tokens=st.none() | st.integers(1, 99),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    logprobs=st.sampled_from([None, True]),
    top_logprobs=st.sampled_from([None, 3]),
    reasoning=st.sampled_from([None, Reasoning("low"), Reasoning("none"), Reasoning(None, include=True), Reasoning("high", include=True)]),
    user=st.none() | WORDS,
    extra=st.sampled_from([
        {}, {"responses": {"text": {"verbosity": "low"}, "tools": [{"type": "web_search"}]}},
        {"responses": {"include": ["file_search_call.results"], "reasoning": {"context": "x"}, "max_tool_calls": 2}},
        {"responses": {"tool_choice": {"type": "web_search"}, "metadata": {"a": "b"}}},
    ]),
)  # fmt: skip


@pytest.mark.slow
@given(wanted=REQUESTS)
def test_a_request_is_the_same_after_it_was_written_and_read(wanted: Request) -> None:
    if wanted.tool_choice is not None and "tool_choice" in wanted.extra.get("responses", {}):
        return
    written, dropped = request.write(wanted, wanted.model, USUAL, stream=False)
    assert dropped == ()
    assert request.read(written).request == wanted


# --- what is written how ------------------------------------------------------------------------


def test_what_is_written_is_what_the_sdk_would_send() -> None:
    written = body(
        messages=[
            Message("system", "be brief"),
            Message("user", [Text("see"), Image(data="AAAA", media_type="image/png", detail="low")]),
            Message("assistant", [Thinking("hm", "sealed", format="responses"), Text("I call"), ToolCall("a", "f", "{}")]),
            Message("tool", [ToolResult("a", "1")]),
        ],
        tools=[Tool("f", "does", {"type": "object"})],
        tool_choice=ToolChoice("named", "f"),
        output=JsonOutput({"type": "object"}, "n", strict=True),
        reasoning=Reasoning("low", include=True),
        max_tokens=50,
        user="u",
    )  # fmt: skip
    # The SDK's type wants an id of a thought; the recordings show vendors that answer without.
    SDK.validate_python({**written, "input": [{"id": "rs", **item} for item in written["input"]]})
    assert written == {
        "model": "gpt-5",
        "input": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
            {"role": "assistant", "content": "I call"},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "does", "parameters": {"type": "object"}, "strict": False}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 50,
        "user": "u",
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip


def test_a_function_is_not_strict_unless_the_caller_said_so() -> None:
    tools = [Tool("chat's"), Tool("own", extra={"responses": {}}), Tool("strict", strict=True)]
    assert [tool.get("strict") for tool in body(tools=tools)["tools"]] == [False, None, True]


def test_only_thoughts_that_the_vendor_can_read_are_sent() -> None:
    open_parts = {"responses": {"parts": [[0, "reasoning_text"]]}}
    wanted = Request(
        model="m",
        messages=[
            Message(
                "assistant",
                [
                    Thinking("a", "sealed", format="responses"),
                    Thinking("b", format="responses"),
                    Thinking("c", format="responses", extra=open_parts),
                    Thinking("d", "sealed", format="messages"),
                    Text("e"),
                ],
            )
        ],
    )
    written, dropped = request.write(wanted, "m", USUAL, stream=False)
    sent = json.loads(written)["input"]
    assert [item.get("type", "message") for item in sent] == ["reasoning", "reasoning", "message"]
    assert sent[0]["encrypted_content"] == "sealed"
    assert (sent[1]["content"], sent[1]["id"]) == ([{"type": "reasoning_text", "text": "c"}], "rs_1")
    assert dropped == ("reasoning without its seal", "reasoning of another vendor")


@pytest.mark.parametrize(
    ("model", "seals"),
    [
        ("o3", True), ("o4-mini", True), ("gpt-5", True), ("gpt-5.6-sol", True), ("openai/gpt-6-luna", True),
        ("codex-mini-latest", True), ("grok-4.3", True), ("gpt-12", True),
        ("gpt-4o", False), ("gpt-4.1-nano", False), ("gpt-5-chat-latest", False), ("gpt-oss-20b", False), ("o365", False),
        ("deepseek-v4-flash", False), ("my-deployment", False),
    ],
)  # fmt: skip
def test_models_that_think_are_asked_for_sealed_thoughts(model: str, seals: bool) -> None:
    assert seals_thoughts(model) is seals
    assert ("include" in body(model=model)) is seals
    assert "include" in body(model=model, options=Options(sealed_thoughts=True))
    assert "include" not in body(model=model, options=Options(sealed_thoughts=False))


def test_what_a_vendor_refuses_is_not_sent_and_a_wish_for_it_is_refused() -> None:
    options = Options(refuses=("store", "include", "parallel_tool_calls"))
    assert body(options=options).keys() == {"model", "input"}
    with pytest.raises(Unsupported, match="parallel_tool_calls"):
        body(options=options, parallel_tool_calls=True)


@pytest.mark.parametrize(
    ("reasoning", "written"),
    [
        (Reasoning("high"), {"effort": "high"}),
        (Reasoning(budget_tokens=0), {"effort": "none"}),
        (Reasoning(include=True), {"summary": "auto"}),
        (Reasoning(adaptive=True), None),
        (Reasoning(budget_tokens=-1), None),
    ],
)
def test_reasoning_is_asked_for_in_efforts(reasoning: Reasoning, written: Any) -> None:
    assert body(reasoning=reasoning).get("reasoning") == written


@pytest.mark.parametrize(
    ("wish", "feature"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"seed": 0}, "seed"),
        ({"n": 2}, "n"),
        ({"top_k": 3}, "top_k"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"reasoning": Reasoning(budget_tokens=9)}, "reasoning budget"),
        ({"messages": [Message("user", "x", name="bob")]}, "the name of a message"),
        ({"messages": [Message("tool", "x")]}, "a tool message without a call's id"),
        ({"messages": [Message("user", [ToolCall("a", "f")])]}, "ToolCall"),
        ({"messages": [Message("user", [Opaque("messages", {})])]}, "a part of the format messages"),
        ({"messages": [Message("assistant", [Image(url="u")])]}, "Image in a message of the assistant"),
        ({"tools": [Tool("x", extra={"chat_completions": {"type": "x"}})]}, "a tool of the type x"),
        ({"extra": {"messages": {"top": 1}}}, "messages.top"),
    ],
)
def test_what_cannot_be_said_is_refused_or_dropped_by_name(wish: dict[str, Any], feature: str) -> None:
    with pytest.raises(Unsupported, match=feature):
        body(**wish)
    wanted = Request(**{"model": "m", "messages": [USER], **wish})
    _, dropped = request.write(wanted, "m", USUAL, stream=False, lenient=True)
    assert feature in dropped


def test_wishes_that_ask_for_nothing_are_no_hindrance() -> None:
    assert body(n=1, presence_penalty=0, logprobs=False).keys() == {"model", "input", "store", "include"}


def test_items_and_parts_of_the_format_go_back_where_they_were() -> None:
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "1"}
    file = {"type": "input_file", "file_id": "f"}
    call = {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "x"}
    sent = items(
        Message("user", [Text("see"), Opaque("responses", file)]),
        Message("assistant", [Text("a"), Opaque("responses", call), Text("b")]),
        Message("user", [Opaque("responses", output)]),
    )
    assert sent == [
        {"role": "user", "content": [{"type": "input_text", "text": "see"}, file]},
        {"role": "assistant", "content": "a"},
        call,
        {"role": "assistant", "content": "b"},
        output,
    ]


def test_the_detail_of_an_image_is_always_said_since_the_interface_demands_it() -> None:
    [item] = body(messages=[Message("user", [Image(url="https://e.org/i.png")])])["input"]
    [image] = item["content"]
    assert image["detail"] == "auto"
