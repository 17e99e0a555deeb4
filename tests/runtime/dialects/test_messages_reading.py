"""Request bodies of the messages format: read into the canon, and written again without a loss."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import (
    Image,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from llm_dispatcher.runtime.dialects.formats.messages import request

from tests.corpus import Recording, folder, needs_corpus


def read(**body: Any) -> Request:
    said = {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return request.read(json.dumps({**said, **body}).encode()).request


def again(wanted: Request, *, stream: bool = False) -> Any:
    body, dropped = request.write(wanted, wanted.model, stream=stream)
    assert dropped == ()
    return json.loads(body)


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """A body in one of its equivalent forms: the differences that the reader's module lists are taken away."""
    found = {name: value for name, value in body.items() if value not in (None, [], False)}
    found["messages"] = [
        {"role": role, "content": [block for turn in turns for block in blocks(turn["content"])]}
        for role, turns in groupby(body["messages"], key=lambda turn: turn["role"])
    ]
    found["system"] = blocks(body.get("system") or "")
    if "tools" in found:
        # Functions come first, in their order.
        found["tools"] = sorted(found["tools"], key=lambda tool: "input_schema" not in tool)
    wanted = found.pop("output_format", None)
    if wanted is not None:
        found["output_config"] = {"format": {name: wanted[name] for name in ("type", "schema")}}
    return found


def blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [
        {name: value for name, value in block.items() if value not in (None, False)}
        for block in content
        if block.get("text") != ""
    ]


NO_REQUESTS = {"anthropic-messages/dd-trace-py-anthropic-anthropic-completion-error-0-b8d04a"}
"""Recordings of a client that sent what is no request."""


def written_again(recording: Recording) -> Any:
    """The recorded body through the reader and the writer; the model is in the URL with some services."""
    read_body = request.read(json.dumps(recording.request_body).encode(), "in-the-url")
    body = again(read_body.request, stream=read_body.stream)
    if "model" not in recording.request_body:
        assert body.pop("model") == "in-the-url"
    return body


@needs_corpus
@pytest.mark.parametrize("name", ["anthropic-messages", "vertex-messages"])
def test_every_recorded_request_is_written_again_as_it_was(name: str) -> None:
    tried = 0
    for recording in folder(name):
        if recording.name not in NO_REQUESTS:
            assert plain(written_again(recording)) == plain(recording.request_body), recording.name
            tried += 1
    assert tried > 0


@needs_corpus
def test_what_is_no_request_is_refused_by_name() -> None:
    for recording in folder("anthropic-messages"):
        if recording.name in NO_REQUESTS:
            with pytest.raises(request.InvalidBody, match=r"messages"):
                request.read(json.dumps(recording.request_body).encode())


def test_turns_become_messages_and_results_a_message_of_their_own() -> None:
    wanted = read(
        system=[{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": "no"},
                    {"type": "image", "source": {"type": "url", "url": "https://e.org/i.png"}},
                    {"type": "image", "source": {"type": "file", "file_id": "f"}},
                ],
            },
        ],
    )
    assert wanted.messages == [
        Message("system", [Text("be brief", extra={"messages": {"cache_control": {"type": "ephemeral"}}})]),
        Message("user", "go"),
        Message(
            "assistant",
            [
                Thinking("hm", "s", format="messages"),
                Thinking(redacted="d", format="messages"),
                ToolCall("a", "f", '{"x":1}'),
            ],
        ),
        Message("tool", [ToolResult("a", "no", is_error=True)]),
        Message(
            "user",
            [
                Image(url="https://e.org/i.png"),
                Opaque("messages", {"type": "image", "source": {"type": "file", "file_id": "f"}}),
            ],
        ),
    ]


def test_settings_get_their_canonical_words() -> None:
    wanted = read(
        tools=[
            {"name": "f", "input_schema": {"type": "object"}, "strict": True},
            {"type": "bash_1", "name": "b"},
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        metadata={"user_id": "u", "team": "t"},
        stop_sequences=["x"],
        service_tier="auto",
        mode="fast",
    )
    assert wanted.tools == [Tool("f", None, {"type": "object"}, strict=True)]
    assert wanted.tool_choice == ToolChoice("named", "f")
    assert wanted.parallel_tool_calls is False
    assert (wanted.user, wanted.stop, wanted.mode) == ("u", ["x"], "fast")
    assert wanted.extra == {
        "messages": {
            "service_tier": "auto",
            "tools": [{"type": "bash_1", "name": "b"}],
            "metadata": {"team": "t"},
        }
    }


@pytest.mark.parametrize(
    ("body", "reasoning"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(budget_tokens=2000)),
        ({"thinking": {"type": "disabled"}}, Reasoning(budget_tokens=0)),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            Reasoning("max", include=False, adaptive=True),
        ),
        ({"output_config": {"effort": "low"}}, None),
        ({"thinking": {"type": "between_tools"}}, None),
    ],
)
def test_thinking_is_read_and_written_again(body: dict[str, Any], reasoning: Reasoning | None) -> None:
    wanted = read(max_tokens=4000, **body)
    assert wanted.reasoning == reasoning
    written = again(wanted)
    assert {name: written[name] for name in body} == body


def test_a_system_turn_within_the_conversation_stays_where_it_is() -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "be brief"},
        {"role": "assistant", "content": "yes"},
    ]
    assert again(read(messages=turns))["messages"] == turns


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":[{"role":"cat","content":"x"}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":-1}', "max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"many"}', "max_tokens"),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1%b}' % (b"0" * 400),
            "max_tokens",
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"x":%b}' % (b"[" * 990 + b"]" * 990),
            None,
        ),
        (
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"input_schema":{}}]}',
            "tools[0].name",
        ),
    ],
)
def test_a_body_that_is_no_request_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(request.InvalidBody) as caught:
        request.read(body)
    assert caught.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "source", "content", "input", "tool_use_id", "data", "id", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    content=st.lists(
        st.dictionaries(
            st.sampled_from(["type", "text", "source", "content", "input", "tool_use_id", "thinking"]),
            st.sampled_from(["text", "image", "tool_result", "tool_use", "thinking"]) | JSON,
            max_size=5,
        ),
        max_size=3,
    ),
    settings=st.dictionaries(
        st.sampled_from(
            ["system", "tools", "tool_choice", "thinking", "output_config", "output_format", "metadata"]
        ),
        JSON | st.lists(st.dictionaries(st.sampled_from(["type", "name"]), JSON), max_size=2),
    ),
)
def test_whatever_a_client_sends_is_read_or_refused(content: Any, settings: dict[str, Any]) -> None:
    with suppress(request.InvalidBody):
        found = read(messages=[{"role": "user", "content": content}], **settings)
        assert found.messages[-1].role in ("user", "tool")
