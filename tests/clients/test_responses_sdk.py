"""OpenAI's own SDK, unmodified, asking the daemon for responses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from .conftest import Daemon

TOOLS: Any = [
    {
        "type": "function",
        "name": "weather",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    }
]


@pytest.fixture
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=daemon.url, api_key="unused", max_retries=0) as client:
        yield client


def test_a_plain_response_has_text_usage_and_what_was_asked_for(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="talker", input="Hello there", instructions="Be brief.", metadata={"team": "a"}, temperature=0.5
    )
    reply = raw.parse()
    assert reply.output_text
    assert (reply.status, reply.error, reply.model) == ("completed", None, "talker")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    assert (reply.instructions, reply.metadata, reply.temperature) == ("Be brief.", {"team": "a"}, 0.5)
    assert reply.to_dict()["store"] is False
    assert raw.headers["x-dispatch-deployment"] == "sim/talker"
    assert float(raw.headers["x-dispatch-cost"]) > 0
    assert abs(reply.created_at - time.time()) < 60


def test_a_streamed_response_has_the_whole_sequence_and_adds_up(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="talker", input="Hello there", stream=True))
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == text != ""
    assert last.response.usage is not None


def test_the_stream_helper_finds_the_same_as_its_events(client: openai.OpenAI) -> None:
    with client.responses.stream(model="talker", input="Hello there") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text != ""


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_output_is_taken(client: openai.OpenAI, stream: bool) -> None:
    question: Any = [{"role": "user", "content": "Hello there"}]
    wanted: Any = {
        "model": "talker",
        "input": question,
        "tools": TOOLS,
        "tool_choice": {"type": "function", "name": "weather"},
    }
    if stream:
        with client.responses.stream(**wanted) as events:
            for _ in events:
                pass
            reply: Any = events.get_final_response()
    else:
        reply = client.responses.create(**wanted)
    [call] = [item for item in reply.output if item.type == "function_call"]
    assert call.name == "weather"
    arguments = json.loads(call.arguments)
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21 degrees"}
    turns: Any = [*question, *reply.output, output]
    assert "sunny" in client.responses.create(model="talker", input=turns, tools=TOOLS).output_text


class City(BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


def test_an_answer_in_a_json_schema_is_parsed(client: openai.OpenAI) -> None:
    reply = client.responses.parse(model="talker", input="Hello there", text_format=City)
    assert isinstance(reply.output_parsed, City)
    with client.responses.stream(model="talker", input="Hello there", text_format=City) as stream:
        assert isinstance(stream.get_final_response().output_parsed, City)


def test_an_answer_that_its_bound_cuts_off_is_incomplete(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="talker", input="Hello there", max_output_tokens=3)
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"
    last = list(
        client.responses.create(model="talker", input="Hello there", max_output_tokens=3, stream=True)
    )[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "incomplete"


def test_the_asynchronous_client_streams_many_responses_at_once(daemon: Daemon) -> None:
    async def one(client: openai.AsyncOpenAI) -> str:
        text = ""
        async for event in await client.responses.create(model="talker", input="Hello", stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
        return text

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=daemon.url, api_key="unused") as client:
            plain = await client.responses.create(model="talker", input="Hello")
            return [plain.output_text, *await asyncio.gather(*(one(client) for _ in range(20)))]

    assert all(asyncio.run(main()))


def test_a_failed_vendor_is_replaced_without_the_client_noticing(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="shared", input="Hello")
    assert raw.headers["x-dispatch-vendor"] == "well"


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"model": "no-such"}, openai.NotFoundError, "no-such"),
        ({"input": []}, openai.BadRequestError, "input"),
        ({"temperature": "warm"}, openai.BadRequestError, "temperature"),
        (
            {"previous_response_id": "resp_1"},
            openai.BadRequestError,
            "send the whole conversation as `input`",
        ),
        ({"background": True}, openai.BadRequestError, "stream"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, "responses.tools"),
        ({"model": "refuser"}, openai.RateLimitError, "limited"),
        ({"model": "crasher"}, openai.InternalServerError, "sick"),
        ({"model": "unreachable"}, openai.InternalServerError, "nowhere"),
        ({"input": "x" * 70_000}, openai.APIStatusError, "65536"),
    ],
)
def test_errors_are_the_sdks_own(
    client: openai.OpenAI, wish: dict[str, Any], error: type[openai.APIStatusError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        client.responses.create(**{"model": "talker", "input": "Hello", **wish})
    assert caught.value.code
    assert caught.value.response.headers["x-request-id"]


def test_an_answer_cannot_be_had_by_its_id_and_the_error_says_what_to_do(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="talker", input="Hello", store=True)
    for ask in (
        client.responses.retrieve,
        client.responses.delete,
        client.responses.cancel,
        client.responses.input_items.list,
    ):
        with pytest.raises(openai.NotFoundError, match="send the whole conversation as `input`") as caught:
            ask(reply.id)
        assert caught.value.code == "not_found"


def test_a_stream_that_breaks_is_an_error_and_never_completed(daemon: Daemon, client: openai.OpenAI) -> None:
    told: list[Any] = []
    with pytest.raises(openai.APIError, match="cutter"):
        told.extend(client.responses.create(model="cut", input="Hello", stream=True))
    kinds = [event.type for event in told]
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds
    body = {"model": "cut", "input": "Hello", "stream": True}
    pieces: list[str] = []
    with (
        httpx.stream("POST", f"{daemon.url}/responses", json=body, timeout=10) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        pieces.extend(answer.iter_text())
    chunks = "".join(pieces).strip().split("\n\n")[-2:]
    error, failed = [json.loads(each.split("data: ")[1]) for each in chunks]
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert error["message"] == error["error"]["message"] == failed["response"]["error"]["message"]
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["output"][0]["status"] == "incomplete"


def test_a_client_that_leaves_ends_its_request(daemon: Daemon, client: openai.OpenAI) -> None:
    stream = client.responses.create(model="drawler", input="Hello", stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        standing = httpx.get(f"{daemon.url}/stats", timeout=5).json()["vendors"]
        if not any(each["in_flight"] for each in standing["slow"]["deployments"].values()):
            return
        time.sleep(0.05)
    raise AssertionError("the vendor is still being asked")


def test_the_deadline_header_is_kept(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match=r"within 0\.2 s"):
        client.responses.create(model="drawler", input="Hello", extra_headers={"x-dispatch-timeout": "200ms"})
