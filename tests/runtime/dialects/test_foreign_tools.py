"""A tool that one format keeps whole is no function in another: it is refused by its type, or left out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from llm_dispatcher.runtime.canon import Message, Request, Tool, ToolChoice
from llm_dispatcher.runtime.dialects import Dialect, Target, Unsupported, dialect_class

from tests.runtime.dialects.test_messages_reading import read as read_messages

FUNCTION = Tool("look_up", "Looks something up", {"type": "object", "properties": {}})
HOMES = ("chat_completions", "messages", "responses", "generate_content", "cohere_chat")
NAMES = ("openai", "anthropic", "openai-responses", "google", "cohere")


def dialect(name: str, *, lenient: bool = False) -> Dialect:
    target = Target(vendor="v", base_url="https://v.example/v1", model="m", key="k", lenient=lenient)
    return dialect_class(name)(target)


def sent(name: str, request: Request) -> tuple[Any, tuple[str, ...]]:
    built = dialect(name, lenient=True).build(request, stream=False)
    return json.loads(built.request.read()), built.dropped


@pytest.mark.parametrize(
    ("name", "home"),
    [(name, home) for name in NAMES for home in HOMES if dialect(name).format != home],
)
def test_a_tool_of_one_format_is_no_function_in_another(name: str, home: str) -> None:
    strange = Tool("web_search", extra={home: {"type": "web_search_9", "name": "web_search"}})
    request = Request(
        model="m", messages=[Message("user", "x")], tools=[strange, FUNCTION], tool_choice=ToolChoice("auto")
    )
    with pytest.raises(Unsupported, match="a tool of the type web_search_9"):
        dialect(name).build(request, stream=False)
    body, dropped = sent(name, request)
    assert "a tool of the type web_search_9" in dropped
    assert "look_up" in json.dumps(body["tools"])
    assert "web_search" not in json.dumps(body["tools"])
    alone, _ = sent(name, msgspec.structs.replace(request, tools=[strange]))
    assert "tools" not in alone


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_an_anthropic_client_calls_custom_is_a_function_everywhere(name: str) -> None:
    """Its type kept it from all vendors but Anthropic's."""
    tool = {"type": "custom", "name": "look_up", "input_schema": {"type": "object", "properties": {}}}
    body, dropped = sent(name, read_messages(tools=[tool]))
    assert dropped == ()
    assert "look_up" in json.dumps(body["tools"])
