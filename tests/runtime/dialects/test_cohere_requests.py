"""Requests to Cohere: those that were recorded come out as they were, and every wish is said, or refused."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
from llm_dispatcher.runtime.canon import (
    Image,
    JsonOutput,
    Message,
    Opaque,
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
from llm_dispatcher.runtime.dialects import Target, Unsupported
from llm_dispatcher.runtime.dialects.cohere import Cohere
from llm_dispatcher.runtime.dialects.formats.cohere_chat import FORMAT, request
from pydantic import TypeAdapter

from tests.corpus import Recording, needs_corpus, recordings
from tests.corpus.requests_cohere import equal_sense, read

TOOL = Tool("f", "does", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
OTHER = Tool("g")


def written(*messages: Message, stream: bool = False, **more: Any) -> dict[str, Any]:
    wish = Request(model="m", messages=[*messages] or [Message("user", "x")], **more)
    body, dropped = request.write(wish, "command", stream=stream)
    assert dropped == ()
    found: dict[str, Any] = json.loads(body)
    return found


def dialect(**more: Any) -> Cohere:
    target = {"vendor": "cohere", "base_url": "https://api.cohere.com/v2", "model": "command", "key": "k"}
    return Cohere(Target(**{**target, **more}))


# --- recordings ---------------------------------------------------------------------------------


@needs_corpus
@pytest.mark.parametrize("recording", tuple(recordings("cohere-chat")), ids=lambda recording: recording.name)
def test_every_recorded_request_is_written_as_it_was(recording: Recording) -> None:
    body = recording.request_body
    found, dropped = request.write(read(body), body["model"], stream=bool(body.get("stream")))
    assert equal_sense(json.loads(found)) == equal_sense(body)
    assert dropped == ()


# --- one by one ---------------------------------------------------------------------------------


def test_the_door_leads_where_it_should() -> None:
    wish = Request(model="m", messages=[Message("user", "x")])
    sent = dialect(base_url="https://api.cohere.com/v2/").build(wish, stream=True).request
    assert (sent.method, str(sent.url)) == ("POST", "https://api.cohere.com/v2/chat")
    assert (sent.headers["authorization"], sent.headers["accept"]) == ("Bearer k", "text/event-stream")
    assert json.loads(sent.read()) == {
        "model": "command",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
    }
    assert "authorization" not in dialect(key=None).build(wish, stream=False).request.headers


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"base_url": "api.cohere.com"}, "is no address; use 'https://api.cohere.com/v2'"),
        ({"options": {"oops": 1}}, "known are max_event_bytes"),
        ({"options": {"max_event_bytes": 0}}, "at least 1"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_with_a_remedy(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dialect(**more)


def test_a_conversation_with_tools_and_thoughts() -> None:
    body = written(
        Message("system", "be brief"),
        Message("developer", [Text("and kind")]),
        Message("user", [Text("look"), Image(url="https://e.org/i.png", detail="low"), Image(data="aGk=")]),
        Message(
            "assistant",
            [Thinking("hm", format=FORMAT), ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "")],
        ),
        Message("tool", [ToolResult("a", "one"), ToolResult("b", [Text("two")])]),
        Message(
            "assistant",
            [Thinking("so", format=FORMAT), Thinking("theirs", "s", format="messages"), Text("3")],
        ),
        Message("user", "thanks"),
        tools=[TOOL, OTHER],
    )
    calls = [("a", "f", '{"x": 1}'), ("b", "g", "{}")]
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "system", "content": [{"type": "text", "text": "and kind"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://e.org/i.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
        {
            "role": "assistant",
            "tool_plan": "hm",
            "tool_calls": [
                {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call, name, arguments in calls
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "3"}],
        },
        {"role": "user", "content": "thanks"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f", "g"]
    assert body["tools"][0]["function"]["parameters"] == TOOL.parameters
    assert body["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_an_assistants_turn_of_which_nothing_is_left_is_left_out() -> None:
    body = written(
        Message("user", "x"),
        Message("assistant", ""),
        Message("assistant", [Thinking("theirs", format="messages")]),
        Message("assistant", [Refusal("no")]),
        Message("user", "y"),
    )
    assert [turn["content"] for turn in body["messages"]] == ["x", "no", "y"]


def test_what_came_in_this_format_goes_out_as_it_came() -> None:
    citation = {"start": 0, "end": 1, "text": "x"}
    document = {"type": "document", "document": {"data": {"a": "b"}}}
    body = written(
        Message(
            "assistant", [Text("x"), Opaque(FORMAT, {"citation": citation}), Opaque(FORMAT, {"logprobs": {}})]
        ),
        Message("tool", [ToolResult("a", [Opaque(FORMAT, document)])]),
        extra={FORMAT: {"documents": ["d"], "citation_options": {"mode": "FAST"}, "safety_mode": "STRICT"}},
    )
    assert body["messages"][0] == {"role": "assistant", "content": "x", "citations": [citation]}
    assert body["messages"][1]["content"] == [document]
    assert (body["documents"], body["citation_options"]["mode"], body["safety_mode"]) == (
        ["d"],
        "FAST",
        "STRICT",
    )


def test_every_setting_by_the_vendors_name_for_it() -> None:
    body = written(
        max_tokens=5, temperature=0.5, top_p=0.5, top_k=3, seed=1, stop=["a", "b"], presence_penalty=0.1,
        frequency_penalty=0.2, logprobs=True, n=1, user="u",
    )  # fmt: skip
    assert {name: value for name, value in body.items() if name not in ("messages", "model", "stream")} == {
        "max_tokens": 5, "temperature": 0.5, "p": 0.5, "k": 3, "seed": 1, "stop_sequences": ["a", "b"],
        "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": True,
    }  # fmt: skip


@pytest.mark.parametrize(("asked", "sent"), [(1, 0.99), (0.995, 0.99), (0, 0.01), (0.75, 0.75)])
def test_p_stays_within_what_the_vendor_takes(asked: float, sent: float) -> None:
    assert written(top_p=asked)["p"] == sent


@pytest.mark.parametrize(
    ("choice", "names", "word"),
    [
        (None, ["f", "g"], None),
        (ToolChoice("auto"), ["f", "g"], None),
        (ToolChoice("none"), ["f", "g"], "NONE"),
        (ToolChoice("required"), ["f", "g"], "REQUIRED"),
        (ToolChoice("named", "g"), ["g"], "REQUIRED"),
    ],
)
def test_whether_and_which_tool_is_called(
    choice: ToolChoice | None, names: list[str], word: str | None
) -> None:
    body = written(tools=[TOOL, OTHER], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert body.get("tool_choice") == word


def test_tools_are_strict_all_together() -> None:
    strict = Tool("f", parameters={"type": "object"}, strict=True)
    assert written(tools=[strict])["strict_tools"] is True
    assert "strict_tools" not in written(tools=[TOOL])
    with pytest.raises(Unsupported, match="strictness of some tools alone"):
        written(tools=[strict, TOOL])
    assert written(tools=[strict, OTHER], tool_choice=ToolChoice("named", "f"))["strict_tools"] is True


def test_json_of_any_shape_or_of_a_schema() -> None:
    assert written(output=JsonOutput())["response_format"] == {"type": "json_object"}
    schema = {"type": "object"}
    found = written(output=JsonOutput(schema, "n", strict=True))["response_format"]
    assert found == {"type": "json_object", "json_schema": schema}


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning(), None),
        (Reasoning("none"), {"type": "disabled"}),
        (Reasoning(budget_tokens=0), {"type": "disabled"}),
        (Reasoning("low"), {"type": "enabled", "token_budget": 1024}),
        (Reasoning("medium"), {"type": "enabled", "token_budget": 8192}),
        (Reasoning("high"), {"type": "enabled"}),
        (Reasoning("low", budget_tokens=7), {"type": "enabled", "token_budget": 7}),
        (Reasoning(budget_tokens=-1), {"type": "enabled"}),
        (Reasoning(adaptive=True), {"type": "enabled"}),
    ],
)
def test_how_much_to_think(reasoning: Reasoning, thinking: dict[str, Any] | None) -> None:
    assert written(reasoning=reasoning).get("thinking") == thinking


WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 2}, "n above 1"),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
    "parallel": ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls: false"),
    "stops": ({"stop": list("abcdef")}, "more than 5 stop sequences"),
    "effort": ({"reasoning": Reasoning("somewhat")}, "the reasoning effort 'somewhat'"),
    "json and tools": (
        {"output": JsonOutput(), "tools": [TOOL]}, "JSON output together with tools or documents"
    ),
    "json and documents": (
        {"output": JsonOutput(), "extra": {FORMAT: {"documents": ["d"]}}},
        "JSON output together with tools or documents",
    ),
    "no such tool": (
        {"tools": [TOOL], "tool_choice": ToolChoice("named", "z")},
        "a call of 'z', which is none of the tools",
    ),
    "foreign tool": (
        {"tools": [Tool("web_search", extra={"messages": {"type": "w"}})]},
        "a tool of the type w",
    ),
    "foreign field": ({"extra": {"chat_completions": {"verbosity": "low"}}}, "chat_completions.verbosity"),
    "name": ({"messages": [Message("user", "x", name="n")]}, "the name of a message"),
    "bare result": ({"messages": [Message("tool", "x")]}, "a tool message without a tool result"),
    "text as result": ({"messages": [Message("tool", [Text("x")])]}, "Text in a tool message"),
    "image of a tool": (
        {"messages": [Message("tool", [ToolResult("a", [Image(url="u")])])]},
        "an image in a message of the role tool",
    ),
    "foreign part": (
        {"messages": [Message("user", [Opaque("messages", {"type": "x"})])]}, "a part of the format messages"
    ),
    "misplaced call": ({"messages": [Message("user", [ToolCall("a", "f")])]}, "ToolCall"),
}  # fmt: skip


@pytest.mark.parametrize("name", WISHES)
def test_what_cannot_be_said_is_refused_or_named_where_dropping_is_allowed(name: str) -> None:
    fields, what = WISHES[name]
    wish = Request(**{"model": "m", "messages": [Message("user", "x")], **fields})
    with pytest.raises(Unsupported) as caught:
        request.write(wish, "m", stream=False)
    assert caught.value.feature == what
    body, dropped = request.write(wish, "m", stream=False, lenient=True)
    assert dropped == (what,)
    assert json.loads(body)["model"] == "m"


# --- the SDK's own types ------------------------------------------------------------------------


def unknown_fields(value: Any, path: str = "") -> Iterator[str]:
    """Where the SDK's models took in what they have no field for."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from unknown_fields(each, f"{path}[{index}]")
    for name in getattr(value, "model_extra", None) or ():
        yield f"{path}.{name}"
    for name in getattr(type(value), "model_fields", ()):
        yield from unknown_fields(getattr(value, name), f"{path}.{name}")


def test_what_is_sent_has_the_sdks_own_types() -> None:
    # Not one of the test tools: with what it brings along it is 80 MB.
    client = pytest.importorskip("cohere.v2.raw_client").RawV2Client
    parameters = inspect.signature(client.chat, eval_str=True).parameters
    wishes: list[dict[str, Any]] = [
        {
            "tools": [Tool("f", "does", {"type": "object"}, strict=True)],
            "tool_choice": ToolChoice("required"),
        },
        {"output": JsonOutput({"type": "object"}), "reasoning": Reasoning("low"), "stop": ["a"], "top_k": 1},
        {"extra": {FORMAT: {"documents": [{"data": {"a": "b"}}], "citation_options": {"mode": "FAST"}}}},
    ]
    turns = [
        Message("system", "be brief"),
        Message("user", [Text("look"), Image(url="https://e.org/i.png", detail="low")]),
        Message("assistant", [Thinking("hm", format=FORMAT), ToolCall("a", "f", "{}")]),
        Message("tool", [ToolResult("a", [Text("one")])]),
        Message("assistant", [Thinking("so", format=FORMAT), Text("3")]),
    ]
    for wish in wishes:
        body = written(*turns, **wish)
        del body["stream"]
        for name, value in body.items():
            found = TypeAdapter(parameters[name].annotation).validate_python(value)
            assert list(unknown_fields(found, name)) == []
