"""OpenAI's own SDK, unmodified, against the daemon."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from .conftest import Daemon

HELLO: Any = [{"role": "user", "content": "Hello there"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


@pytest.fixture
def client(daemon: Daemon) -> openai.OpenAI:
    return openai.OpenAI(base_url=daemon.url, api_key="unused", max_retries=0)


def test_a_plain_chat_has_text_and_usage(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="talker", messages=HELLO)
    reply = raw.parse()
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert raw.headers["x-dispatch-vendor"] == "sim"
    assert raw.headers["x-dispatch-deployment"] == "sim/talker"
    assert raw.headers["x-dispatch-attempts"] == "1"
    cost = (reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens) / 1e6
    assert float(raw.headers["x-dispatch-cost"]) == pytest.approx(cost)
    assert raw.headers["x-request-id"]


def test_a_streamed_chat_adds_up_and_shows_usage_only_if_asked(client: openai.OpenAI) -> None:
    for asked in (True, False):
        options: Any = {"stream_options": {"include_usage": True}} if asked else {}
        chunks = list(client.chat.completions.create(model="talker", messages=HELLO, stream=True, **options))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        finishes = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        assert finishes[-1] == "stop"
        assert finishes.count("stop") == 1
        assert [chunk.usage is not None for chunk in chunks if not chunk.choices] == ([True] if asked else [])


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_is_taken(client: openai.OpenAI, stream: bool) -> None:
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    if stream:
        with client.chat.completions.stream(
            model="talker", messages=HELLO, tools=TOOLS, tool_choice=choice
        ) as events:
            for _ in events:
                pass
            message: Any = events.get_final_completion().choices[0].message
    else:
        message = (
            client.chat.completions.create(model="talker", messages=HELLO, tools=TOOLS, tool_choice=choice)
            .choices[0]
            .message
        )
    [call] = message.tool_calls
    assert call.function.name == "weather"
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": "weather", "arguments": call.function.arguments},
        }
    ]
    turns: Any = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"},
    ]
    reply = client.chat.completions.create(model="talker", messages=turns, tools=TOOLS)
    assert "sunny" in (reply.choices[0].message.content or "")


class City(BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


def test_an_answer_in_a_json_schema_is_parsed(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model="talker", messages=HELLO, response_format=City)
    assert isinstance(reply.choices[0].message.parsed, City)


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"talker", "sim/talker", "auto", "fast", "sophisticated", "cost_saving"} <= names


def test_the_asynchronous_client_streams_many_chats_at_once(daemon: Daemon) -> None:
    async def one(client: openai.AsyncOpenAI) -> str:
        text = ""
        async for chunk in await client.chat.completions.create(model="talker", messages=HELLO, stream=True):
            text += chunk.choices[0].delta.content or ""
        return text

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=daemon.url, api_key="unused") as client:
            plain = await client.chat.completions.create(model="talker", messages=HELLO)
            return [
                plain.choices[0].message.content or "",
                *await asyncio.gather(*(one(client) for _ in range(20))),
            ]

    assert all(asyncio.run(main()))


def test_a_failed_vendor_is_replaced_without_the_client_noticing(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="shared", messages=HELLO)
    assert raw.headers["x-dispatch-vendor"] == "well"


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"model": "no-such"}, openai.NotFoundError, "no-such"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"temperature": "warm"}, openai.BadRequestError, "temperature"),
        ({"model": "refuser"}, openai.RateLimitError, "limited"),
        ({"model": "crasher"}, openai.InternalServerError, "sick"),
        ({"model": "unreachable"}, openai.InternalServerError, "nowhere"),
        ({"messages": [{"role": "user", "content": "x" * 70_000}]}, openai.APIStatusError, "65536"),
    ],
)
def test_errors_are_the_sdks_own(
    client: openai.OpenAI, wish: dict[str, Any], error: type[openai.APIStatusError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        client.chat.completions.create(**{"model": "talker", "messages": HELLO, **wish})
    assert caught.value.code
    assert caught.value.response.headers["x-request-id"]


def test_a_stream_that_breaks_is_an_error_and_not_an_end(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="cutter"):
        list(client.chat.completions.create(model="cut", messages=HELLO, stream=True))


def test_the_deadline_header_is_kept(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match=r"within 0\.2 s"):
        client.chat.completions.create(
            model="drawler", messages=HELLO, extra_headers={"x-dispatch-timeout": "200ms"}
        )
