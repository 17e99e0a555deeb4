"""How each vendor of the chat-completions format is told how much to think, and what was thought before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llm_dispatcher.runtime.canon import Message, Reasoning, Request, Text, Thinking, ToolCall
from llm_dispatcher.runtime.config.catalogue import catalogue
from llm_dispatcher.runtime.dialects import Target, Unsupported
from llm_dispatcher.runtime.dialects.formats.chat_completions import request
from llm_dispatcher.runtime.dialects.openai import OpenAI


def written(options: dict[str, Any], *messages: Message, **more: Any) -> dict[str, Any]:
    dialect = OpenAI(Target(vendor="v", base_url="https://v.example/v1", model="m", key="k", options=options))
    wish = Request(model="m", messages=[*messages] or [Message("user", "x")], **more)
    built = dialect.build(wish, stream=False)
    assert built.dropped == ()
    body: dict[str, Any] = json.loads(built.request.read())
    del body["model"]
    if not messages:
        del body["messages"]
    return body


@pytest.mark.parametrize(
    ("way", "reasoning", "fields"),
    [
        ("effort", Reasoning("high"), {"reasoning_effort": "high"}),
        ("effort", Reasoning("none"), {"reasoning_effort": "none"}),
        ("object", Reasoning("high"), {"reasoning": {"effort": "high"}}),
        ("object", Reasoning("high", 2000), {"reasoning": {"max_tokens": 2000}}),
        ("object", Reasoning(budget_tokens=0), {"reasoning": {"effort": "none"}}),
        (
            "object",
            Reasoning(adaptive=True, include=False),
            {"reasoning": {"enabled": True, "exclude": True}},
        ),
        ("switch", Reasoning("low"), {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}),
        ("switch", Reasoning("none"), {"thinking": {"type": "disabled"}}),
        ("switch", Reasoning(include=True), {"thinking": {"type": "enabled"}}),
        ("flag", Reasoning("high"), {"enable_thinking": True}),
        ("flag", Reasoning(budget_tokens=500), {"enable_thinking": True, "thinking_budget": 500}),
        ("flag", Reasoning(budget_tokens=0), {"enable_thinking": False}),
        ("template", Reasoning("medium"), {"chat_template_kwargs": {"enable_thinking": True}}),
        ("template", Reasoning("none"), {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_each_vendor_is_told_in_its_own_words(way: str, reasoning: Reasoning, fields: dict[str, Any]) -> None:
    assert written({"reasoning": way}, reasoning=reasoning) == fields


@pytest.mark.parametrize("way", ["effort", "object", "switch", "flag", "template"])
def test_who_wishes_for_nothing_sends_nothing(way: str) -> None:
    assert written({"reasoning": way}, reasoning=Reasoning()) == {}


@pytest.mark.parametrize("way", ["effort", "switch", "template"])
def test_a_budget_that_cannot_be_said_is_refused(way: str) -> None:
    with pytest.raises(Unsupported, match="reasoning budget"):
        written({"reasoning": way}, reasoning=Reasoning(budget_tokens=5000))


def test_what_a_client_wrote_in_the_vendors_own_words_goes_before() -> None:
    own = {"chat_completions": {"thinking": {"type": "disabled"}}}
    body = written({"reasoning": "switch"}, reasoning=Reasoning(include=True), extra=own)
    assert body == {"thinking": {"type": "disabled"}}


# --- what was thought before --------------------------------------------------------------------

THOUGHT = Message("assistant", [Thinking("hm"), ToolCall("a", "f"), Thinking("m")])
SEALED = Message("assistant", [Thinking("theirs", "seal", format="messages"), Text("x")])


def from_client(**fields: str) -> Message:
    """A turn as a client of the format sends it back."""
    raw = {"role": "assistant", "content": "x", **fields}
    body = json.dumps({"model": "m", "messages": [raw]}).encode()
    return request.read(body).request.messages[0]


@pytest.mark.parametrize(
    ("way", "message", "fields"),
    [
        ("reasoning_content", THOUGHT, {"reasoning_content": "hmm"}),
        ("reasoning", THOUGHT, {"reasoning": "hmm"}),
        ("drop", THOUGHT, {}),
        ("as_sent", THOUGHT, {}),
        ("reasoning_content", SEALED, {}),
        ("reasoning_content", from_client(reasoning="hm"), {"reasoning_content": "hm"}),
        ("reasoning", from_client(reasoning_content="hm"), {"reasoning": "hm"}),
        ("drop", from_client(reasoning_content="hm", reasoning="hm"), {}),
        ("as_sent", from_client(reasoning_content="hm"), {"reasoning_content": "hm"}),
        ("reasoning", Message("assistant", "x"), {}),
    ],
)
def test_thoughts_go_back_under_the_vendors_name_for_them(
    way: str, message: Message, fields: dict[str, str]
) -> None:
    (turn,) = written({"thoughts": way}, message)["messages"]
    assert {name: turn[name] for name in ("reasoning_content", "reasoning") if name in turn} == fields


# --- several answers ----------------------------------------------------------------------------


def test_several_answers_are_refused_where_one_is_all_there_is() -> None:
    assert written({"choices": False}, n=1) == {"n": 1}
    assert written({}, n=2) == {"n": 2}
    with pytest.raises(Unsupported, match="n above 1"):
        written({"choices": False}, n=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deepseek", {"reasoning": "switch", "thoughts": "reasoning_content", "choices": False}),
        ("openrouter", {"reasoning": "object", "thoughts": "reasoning"}),
        ("mistral", {"thoughts": "drop"}),
    ],
)
def test_the_catalogue_says_so(name: str, options: dict[str, Any]) -> None:
    assert options.items() <= catalogue()[name].options.items()
