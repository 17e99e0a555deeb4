"""Requests in the messages format: what becomes of turns, thinking, images and ids, and there and back."""

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
from llm_dispatcher.runtime.dialects.formats.chat_completions.quirks import Quirks
from llm_dispatcher.runtime.dialects.formats.chat_completions.request import read as read_chat
from llm_dispatcher.runtime.dialects.formats.chat_completions.request import write as write_chat
from llm_dispatcher.runtime.dialects.formats.messages import request
from llm_dispatcher.runtime.dialects.formats.messages.thinking import Way, way_of

USER = Message("user", "hi")


def body(model: str = "claude-sonnet-4-6", **fields: Any) -> Any:
    wanted = Request(**{"model": model, "messages": [USER], **fields})
    written, dropped = request.write(wanted, model, stream=False)
    assert dropped == ()
    return json.loads(written)


def turns(*messages: Message, **more: Any) -> Any:
    wanted = Request(model="m", messages=[*messages])
    return json.loads(request.write(wanted, "m", stream=False, lenient=True, **more)[0])["messages"]


# --- there and back -----------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5)
EXTRA: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    [None, {"messages": {"cache_control": {"type": "ephemeral"}}}]
)
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"type": "object", "properties": {}}, {"type": "object", "required": ["x"]}]
)
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=2).map(
    lambda given: json.dumps(given, separators=(",", ":"), ensure_ascii=False)
)
TEXTS = st.builds(Text, WORDS, extra=EXTRA)
IMAGES = st.one_of(
    st.builds(lambda name: Image(url=f"https://e.org/{name}.png"), st.sampled_from("abc")),
    st.just(Image(data="aGk=", media_type="image/webp")),
)
PIECES: st.SearchStrategy[list[Part]] = st.lists(TEXTS | IMAGES, min_size=1, max_size=2)
OPAQUES = st.builds(lambda data: Opaque("messages", {"type": "document", "source": data}), WORDS)
THOUGHTS = st.one_of(
    st.builds(lambda text, seal: Thinking(text, seal, format="messages"), WORDS, WORDS),
    st.builds(lambda data: Thinking(redacted=data, format="messages"), WORDS),
)


def settled(parts: list[Part]) -> str | list[Part]:
    """A single plain text is a string."""
    only = parts[0] if len(parts) == 1 else None
    return only.text if isinstance(only, Text) and only.extra is None else parts


def contents(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[str | list[Part]]:
    return st.lists(st.one_of(*kinds), min_size=1, max_size=3).map(settled)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A conversation that the format can say, in the one form in which it is read."""
    messages = [Message("system", draw(contents(TEXTS)))] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(contents(TEXTS, IMAGES, OPAQUES))))
        said: list[Part] = draw(st.lists(THOUGHTS | TEXTS, max_size=3))
        ids = [f"t{number}_{call}" for call in range(draw(st.integers(0, 2)))]
        said += [ToolCall(call, draw(WORDS), draw(ARGUMENTS)) for call in ids]
        if said:
            messages.append(Message("assistant", settled(said)))
        else:
            break
        if ids:
            results: list[Part] = [
                ToolResult(call, draw(WORDS | PIECES), is_error=draw(st.booleans()))
                for call in ids
            ]  # fmt: skip
            messages.append(Message("tool", results))
            break
    return messages


@st.composite
def requests(draw: st.DrawFn) -> Request:
    tools = [
        Tool(
            f"f{number}", draw(st.none() | WORDS), draw(SCHEMAS), draw(st.none() | st.booleans()), draw(EXTRA)
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    choice = draw(
        st.sampled_from([None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", "f0")])
    )
    return Request(
        model="claude-sonnet-4-6",
        messages=draw(conversations()),
        tools=tools,
        tool_choice=choice if tools else None,
        parallel_tool_calls=draw(st.none() | st.booleans()) if tools and choice else None,
        output=draw(st.none() | st.builds(JsonOutput, SCHEMAS)),
        max_tokens=draw(st.integers(3000, 9000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(1, 9)),
        stop=draw(st.lists(WORDS, max_size=2)),
        reasoning=draw(
            st.sampled_from(
                [
                    None,
                    Reasoning(budget_tokens=2000),
                    Reasoning("high", adaptive=True),
                    Reasoning("low", include=True, adaptive=True),
                    Reasoning(budget_tokens=0),
                ]
            )
        ),
        user=draw(st.none() | WORDS),
        extra=draw(st.sampled_from([{}, {"messages": {"service_tier": "auto", "container": "c"}}])),
    )


@pytest.mark.slow
@given(wanted=requests(), stream=st.booleans())
def test_a_request_is_the_same_after_it_was_written_and_read(wanted: Request, stream: bool) -> None:
    written, dropped = request.write(wanted, wanted.model, stream=stream)
    assert dropped == ()
    again = request.read(written)
    assert again.request == wanted
    assert again.stream is stream


# --- turns --------------------------------------------------------------------------------------


def test_neighbours_of_one_role_share_a_turn_and_empty_ones_make_none() -> None:
    assert turns(USER, Message("user", " "), Message("user", "there"), Message("assistant", "\n")) == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]}
    ]


def test_a_late_system_message_keeps_its_place_in_the_users_words_or_as_a_system_turn() -> None:
    late = [USER, Message("assistant", "yes"), Message("system", "be brief")]
    assert turns(*late)[-1] == {"role": "user", "content": "be brief"}
    assert turns(*late, system_turns=True)[-1] == {"role": "system", "content": "be brief"}


def test_leading_system_messages_are_one_text_unless_they_have_fields_of_their_own() -> None:
    developer = Message("developer", "b")
    assert body(messages=[Message("system", "a"), developer, USER])["system"] == "a\n\nb"
    marked = Message("system", [Text("a", extra={"messages": {"cache_control": {"type": "ephemeral"}}})])
    assert body(messages=[marked, developer, USER])["system"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]


def test_ids_that_anthropic_does_not_take_are_changed_alike_in_call_and_result() -> None:
    call, result = ToolCall("functions.f:0", "f", "{}"), ToolResult("functions.f:0", "1")
    [_, asked, answered] = turns(USER, Message("assistant", [call]), Message("tool", [result]))
    assert asked["content"][0]["id"] == answered["content"][0]["tool_use_id"] == "functions_f_0"


def test_thoughts_go_back_only_under_anthropics_own_seal() -> None:
    wanted = Request(
        model="m",
        messages=[
            USER,
            Message(
                "assistant",
                [
                    Thinking("a", "sealed", format="messages"),
                    Thinking("b", format="messages"),
                    Thinking("c", "sealed", format="generate_content"),
                    Thinking("d"),
                    Refusal("no"),
                ],
            ),
        ],
    )
    written, dropped = request.write(wanted, "m", stream=False)
    assert [block["type"] for block in json.loads(written)["messages"][1]["content"]] == ["thinking", "text"]
    assert dropped == ("reasoning without its signature", "reasoning of another vendor")


def test_what_a_stream_told_about_its_blocks_goes_to_them() -> None:
    caller = {"type": "code_execution_20260120", "tool_id": "s"}
    parts: list[Part] = [
        Text("one"),
        Opaque("messages", {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"n": 1}}}),
        Opaque("messages", {"type": "content_block_start", "index": 1, "content_block": {"type": "text"}}),
        Text("two"),
        Opaque("messages", {"type": "content_block_start", "index": 2, "content_block": {"id": "a", "caller": caller}}),
        ToolCall("a", "f", "{}"),
        Opaque("messages", {"type": "message_delta", "delta": {"stop_sequence": "x"}}),
    ]  # fmt: skip
    [_, turn] = turns(USER, Message("assistant", parts))
    assert turn["content"] == [
        {"type": "text", "text": "one", "citations": [{"n": 1}]},
        {"type": "text", "text": "two"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": caller},
    ]


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "source"),
    [
        (Image(url="https://e.org/i"), {"type": "url", "url": "https://e.org/i"}),
        (
            Image(url="data:image/png;base64,aGk="),
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
        ),
        (Image(url="data:image/gif,hi"), {"type": "base64", "media_type": "image/gif", "data": "aGk="}),
        (Image(data="/9j/xx"), {"type": "base64", "media_type": "image/jpeg", "data": "/9j/xx"}),
    ],
)
def test_images_are_sent_by_address_or_as_base64(image: Image, source: dict[str, str]) -> None:
    assert turns(Message("user", [image])) == [
        {"role": "user", "content": [{"type": "image", "source": source}]}
    ]


@pytest.mark.parametrize(
    ("image", "feature"),
    [
        (Image(data="Qk0", media_type="image/bmp"), "images of the type image/bmp"),
        (Image(data="xx"), "images of the type unknown"),
        (Image(url="https://e.org/i", detail="low"), "image detail 'low'"),
    ],
)
def test_images_that_anthropic_does_not_take_are_refused_by_name(image: Image, feature: str) -> None:
    with pytest.raises(Unsupported) as caught:
        body(messages=[Message("user", [image])])
    assert caught.value.feature == feature


# --- thinking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "way"),
    [
        ("claude-3-5-haiku-latest", "none"),
        ("claude-3-opus-20240229", "none"),
        ("claude-3-7-sonnet-20250219", "budget"),
        ("claude-sonnet-4-20250514", "budget"),
        ("claude-opus-4-1", "budget"),
        ("claude-haiku-4-5@20251001", "budget"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-sonnet-5", "adaptive"),
        ("something-else", "adaptive"),
    ],
)
def test_a_models_name_says_how_it_is_told_to_think(model: str, way: Way) -> None:
    assert way_of(model) == way


@pytest.mark.parametrize(
    ("model", "reasoning", "bound", "told"),
    [
        ("claude-opus-4-6", Reasoning("high"), 4000, ({"type": "adaptive"}, {"effort": "high"}, 4000)),
        ("claude-opus-4-6", Reasoning("minimal"), 4000, ({"type": "adaptive"}, {"effort": "low"}, 4000)),
        ("claude-opus-4-6", Reasoning(budget_tokens=-1), 9, ({"type": "adaptive"}, None, 9)),
        ("claude-opus-4-6", Reasoning("none"), 9, ({"type": "disabled"}, None, 9)),
        (
            "claude-opus-4-6",
            Reasoning(include=False),
            9,
            ({"type": "adaptive", "display": "omitted"}, None, 9),
        ),
        ("claude-opus-4-1", Reasoning("low"), 8000, ({"type": "enabled", "budget_tokens": 2048}, None, 8000)),
        (
            "claude-opus-4-1",
            Reasoning("high"),
            8000,
            ({"type": "enabled", "budget_tokens": 6000}, None, 8000),
        ),
        (
            "claude-opus-4-1",
            Reasoning("max"),
            None,
            ({"type": "enabled", "budget_tokens": 24576}, None, 28672),
        ),
        ("claude-opus-4-1", Reasoning(budget_tokens=0), 9, ({"type": "disabled"}, None, 9)),
        ("claude-3-5-haiku-latest", Reasoning("none"), 9, (None, None, 9)),
    ],
)
def test_an_effort_is_told_as_each_generation_understands_it(
    model: str, reasoning: Reasoning, bound: int | None, told: tuple[Any, Any, int]
) -> None:
    written = body(model, reasoning=reasoning, max_tokens=bound)
    assert (written.get("thinking"), written.get("output_config"), written["max_tokens"]) == told


@pytest.mark.parametrize(
    ("model", "reasoning", "bound", "feature"),
    [
        ("claude-3-5-haiku-latest", Reasoning("low"), 9, "reasoning"),
        ("claude-opus-4-1", Reasoning("low"), 1000, "a reasoning budget below 1024 tokens"),
        ("claude-opus-4-1", Reasoning(budget_tokens=2000), 2000, "a reasoning budget that leaves no tokens for the answer"),
        ("claude-opus-4-6", Reasoning("enormous"), 9, "reasoning effort 'enormous'"),
    ],
)  # fmt: skip
def test_thinking_that_cannot_be_is_refused_by_name(
    model: str, reasoning: Reasoning, bound: int, feature: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        body(model, reasoning=reasoning, max_tokens=bound)
    assert caught.value.feature == feature


# --- between formats --------------------------------------------------------------


def test_a_tool_that_only_another_format_knows_is_no_function_here() -> None:
    chat = {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "custom", "custom": {"name": "g"}}],
    }
    wanted = read_chat(json.dumps(chat).encode()).request
    with pytest.raises(Unsupported, match="a tool of the type custom"):
        request.write(wanted, "m", stream=False)
    written, dropped = request.write(wanted, "m", stream=False, lenient=True)
    assert (dropped, "tools" in json.loads(written)) == (("a tool of the type custom",), False)


def test_permissions_are_no_wish_and_do_not_keep_a_request_from_another_vendor() -> None:
    wanted = Request(model="m", messages=[USER], extra={"messages": {"betas": ["x-2025-01-01"]}})
    written, dropped = write_chat(wanted, "m", Quirks(), stream=False, lenient=False)
    assert (dropped, "betas" in json.loads(written)) == ((), False)
    asking = Request(model="m", messages=[USER], extra={"messages": {"mcp_servers": [{}]}})
    with pytest.raises(Unsupported, match=r"messages\.mcp_servers"):
        write_chat(asking, "m", Quirks(), stream=False, lenient=False)
