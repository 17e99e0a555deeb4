"""Request bodies of the responses format: read into the canon, and written again without a loss."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import (
    File,
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
)
from llm_dispatcher.runtime.dialects import Unsupported
from llm_dispatcher.runtime.dialects.formats.chat_completions.quirks import Quirks
from llm_dispatcher.runtime.dialects.formats.chat_completions.request import write as write_chat
from llm_dispatcher.runtime.dialects.formats.messages.request import write as write_messages
from llm_dispatcher.runtime.dialects.formats.responses import request
from llm_dispatcher.runtime.dialects.formats.responses.options import Options
from llm_dispatcher.runtime.dialects.formats.responses.reading import SEALED

from tests.corpus import Recording, folder, needs_corpus
from tests.corpus.oracle_responses import FOLDERS

BARE = Options(sealed_thoughts=False, refuses=("store",))
"""Nothing is asked for that the request does not ask for."""


def read(**body: Any) -> Request:
    return request.read(json.dumps({"model": "gpt-5", "input": "hi", **body}).encode()).request


def again(wanted: Request, *, stream: bool = False) -> Any:
    body, _ = request.write(wanted, wanted.model, BARE, stream=stream)
    return json.loads(body)


NOTHING = [{"type": "text", "text": ""}]


# --- recordings ---------------------------------------------------------------------------------


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A body in one of its equivalent forms: the differences that the reader's module lists are taken away."""
    found = {name: value for name, value in body.items() if value not in (None, "", [], {}, False)}
    for name, value in (("store", True), ("service_tier", "auto"), ("truncation", "disabled"), ("top_logprobs", 0)):  # fmt: skip
        if found.get(name) == value:
            del found[name]
    include = [name for name in found.pop("include", ()) if name != SEALED]
    if include:
        found["include"] = include
    items = body["input"]
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    if found.get("instructions"):
        items = [{"role": "system", "content": found.pop("instructions")}, *items]
    found["input"] = [item for each in items if (item := plain_item(each)) is not None]
    found["tools"] = sorted((plain_tool(tool) for tool in body.get("tools") or ()), key=lambda tool: tool["type"] != "function")  # fmt: skip
    text = {name: value for name, value in (found.pop("text", None) or {}).items() if value}
    if text not in ({}, {"format": {"type": "text"}}):
        found["text"] = {**text, "format": {name: value for name, value in text["format"].items() if value is not None}}  # fmt: skip
    return found


def plain_item(item: dict[str, Any]) -> dict[str, Any] | None:
    kind = item.get("type")
    if kind not in (None, "message", "reasoning", "function_call", "function_call_output"):
        return item
    found = {
        name: value
        for name, value in item.items()
        if name not in ("id", "status") and value not in (None, [], {}) and (name, value) != ("type", "message")
    }  # fmt: skip
    if kind == "reasoning":
        return found if found.keys() & {"encrypted_content", "content"} else None
    content = found.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if content:
        parts = [
            {
                name: value
                for name, value in part.items()
                if value not in (None, [], {}) and (name, value) != ("detail", "auto")
            }
            for part in content
        ]
        found["content"] = [{**part, "type": "text"} if part["type"].endswith("_text") else part for part in parts]  # fmt: skip
    return None if found == {"role": "assistant"} or found.get("content") == NOTHING else found


def plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool["type"] != "function":
        return tool
    found = {name: value for name, value in tool.items() if value not in (None, {})}
    return {"parameters": {"type": "object", "properties": {}}, **found}


def written_again(recording: Recording) -> Any:
    """The recorded body through the reader and the writer."""
    body = request.read(json.dumps(recording.request_body).encode())
    return again(body.request, stream=body.stream)


def refusal(recording: Recording) -> str | None:
    """The field for which the recorded body is no request here; None for all others."""
    body = recording.request_body
    for name in ("previous_response_id", "conversation", "background"):
        if body.get(name):
            return name
    if "model" not in body:
        # A prompt that is stored at the vendor may name one.
        return "model"
    return None


@needs_corpus
def test_every_recorded_request_is_written_again_as_it_was_or_refused_for_wanting_a_memory() -> None:
    tried = refused = 0
    for recording in (each for name in FOLDERS for each in folder(name)):
        param = refusal(recording)
        if "o1-pro-tool-round-trip-2" in recording.name:
            # OpenAI refused it as well: a turn of the tool.
            param = "input[2].role"
        if param is None:
            assert plain(written_again(recording)) == plain(recording.request_body), recording.name
            tried += 1
        else:
            with pytest.raises(request.InvalidBody) as caught:
                written_again(recording)
            assert caught.value.param == param, recording.name
            refused += 1
    assert (tried > 200, refused) == (True, 10)


# --- what is read how ---------------------------------------------------------------------------


def test_items_become_messages_and_those_of_one_turn_one_message() -> None:
    wanted = read(
        instructions="be brief",
        input=[
            {"role": "developer", "content": "and kind"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}]},
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"},
            {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "I call", "annotations": []}], "phase": "commentary"},
            {"type": "function_call", "id": "fc", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
            {"role": "assistant", "content": "done"},
            {"role": "user", "content": [{"type": "input_file", "file_url": "https://e.org/f"}]},
        ],
    )  # fmt: skip
    assert wanted.messages == [
        Message("system", "be brief"),
        Message("developer", "and kind"),
        Message("user", [Text("go"), Image(data="AAAA", media_type="image/png", detail="low")]),
        Message(
            "assistant",
            [
                Thinking("hm", "sealed", format="responses"),
                Text("I call", extra={"responses": {"item": {"phase": "commentary"}}}),
                ToolCall("a", "f", "{}"),
                ToolCall("b", "g", "{}"),
            ],
        ),
        Message("tool", [ToolResult("a", "1"), ToolResult("b", [Text("2")])]),
        Message("assistant", "done"),
        Message("user", [File(url="https://e.org/f")]),
    ]


def test_settings_get_their_canonical_words() -> None:
    schema = {"type": "object"}
    wanted = read(
        tools=[{"type": "web_search"}, {"type": "function", "name": "f", "parameters": schema, "strict": True}],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "detailed"},
        include=["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        max_output_tokens=50,
        top_logprobs=2,
        metadata={"a": "b"},
        user="u",
        mode="fast",
        store=True,
        service_tier="auto",
        truncation="disabled",
        max_tool_calls=3,
    )  # fmt: skip
    assert wanted.tools == [Tool("f", None, schema, strict=True, extra={"responses": {}})]
    assert wanted.tool_choice == ToolChoice("named", "f")
    assert wanted.parallel_tool_calls is False
    assert wanted.output == JsonOutput(schema, "n", None, strict=True)
    assert wanted.reasoning == Reasoning("low", include=True)
    assert (wanted.logprobs, wanted.top_logprobs, wanted.max_tokens) == (True, 2, 50)
    assert (wanted.user, wanted.mode) == ("u", "fast")
    assert wanted.extra == {
        "responses": {
            "tools": [{"type": "web_search"}],
            "text": {"verbosity": "low"},
            "reasoning.summary": "detailed",
            "include": ["file_search_call.results"],
            "metadata": {"a": "b"},
            "max_tool_calls": 3,
        }
    }


def test_an_answer_repeats_what_was_asked_for() -> None:
    body = {"model": "m", "input": "hi", "instructions": "be brief", "metadata": {"a": "b"}, "store": True, "temperature": 0.5}  # fmt: skip
    asked = request.read(json.dumps(body).encode()).asked
    assert (asked["instructions"], asked["metadata"], asked["temperature"]) == ("be brief", {"a": "b"}, 0.5)
    assert (asked["tools"], asked["tool_choice"], asked["top_p"]) == ([], "auto", None)
    assert "store" not in asked


def test_two_messages_of_the_assistant_stay_two() -> None:
    items = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    assert again(read(input=items))["input"] == items


def test_thoughts_of_another_format_come_back_under_their_own_seal() -> None:
    def thought(seal: str) -> dict[str, Any]:
        return {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": seal}  # fmt: skip

    seals = ["x-dispatch:messages:signature:se:al", "x-dispatch:messages:redacted:dark", "x-dispatch:odd"]
    [_, turn] = read(input=[{"role": "user", "content": "go"}, *map(thought, seals)]).messages
    assert turn.content == [
        Thinking("hm", "se:al", format="messages"),
        Thinking("hm", redacted="dark", format="messages"),
        Thinking("hm", "x-dispatch:odd", format="responses"),
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"input":"hi"}', "model"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":""}', "input"),
        (b'{"model":"m","input":[]}', "input"),
        (b'{"model":"m","input":7}', "input"),
        (b'{"model":"m","input":[{"role":"cat","content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"role":[],"content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"role":"user","content":7}]}', "input[0].content"),
        (b'{"model":"m","input":[{"role":"user","content":["x"]}]}', "input[0].content[0]"),
        (b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}', "input[0].content[0].text"),
        (b'{"model":"m","input":[{"type":"function_call_output","output":"x"}]}', "input[0].call_id"),
        (b'{"model":"m","input":[{"type":"function_call","name":"x"}]}', "input[0]"),
        (b'{"model":"m","input":[{"type":"item_reference","id":"x"}]}', "input[0]"),
        (b'{"model":"m","input":[{"id":"x"}]}', "input[0]"),
        (b'{"model":"m","input":"x","max_output_tokens":0}', "max_output_tokens"),
        (b'{"model":"m","input":"x","temperature":"warm"}', "temperature"),
        (b'{"model":"m","input":"x","tools":[{"type":"function"}]}', "tools[0].name"),
        (b'{"model":"m","input":"x","tool_choice":"some"}', "tool_choice"),
        (b'{"model":"m","input":"x","tool_choice":{"type":"function"}}', "tool_choice"),
        (b'{"model":"m","input":"x","text":{"format":{"type":"json_schema"}}}', "text.format.schema"),
        (b'{"model":"m","input":"x","previous_response_id":"resp_1"}', "previous_response_id"),
        (b'{"model":"m","input":"x","conversation":{"id":"c"}}', "conversation"),
        (b'{"model":"m","input":"x","background":true}', "background"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(request.InvalidBody) as caught:
        request.read(body)
    assert caught.value.param == param


def test_what_is_refused_for_want_of_a_memory_says_what_to_do() -> None:
    with pytest.raises(request.InvalidBody, match="send the whole conversation as `input`"):
        read(previous_response_id="resp_1")


# --- towards other formats ----------------------------------------------------------------------

USUAL: dict[str, Any] = {
    "instructions": "be brief",
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "low", "summary": "detailed"},
    "prompt_cache_key": "k",
    "metadata": {"a": "b"},
    "safety_identifier": "s",
    "stream_options": {"include_obfuscation": False},
    "service_tier": "auto",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I call"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
    ],
}
"""What coding agents send: nothing in it keeps another vendor from answering."""


def test_a_usual_request_can_be_served_by_chat_completions() -> None:
    body, dropped = write_chat(read(**USUAL), "m", Quirks(), stream=True, lenient=False)
    written = json.loads(body)
    assert [turn["role"] for turn in written["messages"]] == ["system", "user", "assistant", "tool"]
    assert written["messages"][2]["content"] == "I call"
    assert [call["id"] for call in written["messages"][2]["tool_calls"]] == ["a"]
    assert written["reasoning_effort"] == "low"
    assert dropped == ()


def test_a_usual_request_can_be_served_by_messages() -> None:
    body, dropped = write_messages(read(**USUAL), "claude-sonnet-4-6", stream=True)
    written = json.loads(body)
    assert [turn["role"] for turn in written["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in written["messages"][1]["content"]] == ["text", "tool_use"]
    assert dropped == ("reasoning of another vendor",)


@pytest.mark.parametrize(
    ("wish", "feature"),
    [
        ({"tools": [{"type": "web_search"}]}, "responses.tools"),
        ({"text": {"verbosity": "low"}}, "responses.text"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "web_search_call", "id": "w"}]}, "a part of the format responses"),
        ({"max_tool_calls": 2}, "responses.max_tool_calls"),
    ],
)  # fmt: skip
def test_what_only_this_format_knows_is_refused_by_others(wish: dict[str, Any], feature: str) -> None:
    with pytest.raises(Unsupported, match=feature):
        write_chat(read(**wish), "m", Quirks(), stream=False, lenient=False)


# --- whatever comes -----------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "format", "content", "output", "call_id", "id", "name", "role"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(
    items=st.lists(
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "text",
                    "content",
                    "output",
                    "call_id",
                    "name",
                    "summary",
                    "encrypted_content",
                ]
            ),
            st.sampled_from(
                [
                    "message",
                    "function_call",
                    "function_call_output",
                    "reasoning",
                    "user",
                    "assistant",
                    "x-dispatch:a:signature:b",
                ]
            )
            | JSON,
            max_size=5,
        ),
        max_size=3,
    ),
    settings=st.dictionaries(
        st.sampled_from(
            [
                "tools",
                "tool_choice",
                "text",
                "reasoning",
                "include",
                "metadata",
                "instructions",
                "conversation",
            ]
        ),
        JSON | st.lists(st.dictionaries(st.sampled_from(["type", "name"]), JSON), max_size=2),
    ),
)
def test_whatever_a_client_sends_is_read_and_written_or_refused(items: Any, settings: dict[str, Any]) -> None:
    with suppress(request.InvalidBody, Unsupported):
        found = read(input=items, **settings)
        assert found.messages
        again(found)
