"""Anthropic's own SDK, unmodified, against the daemon with simulated vendors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from .conftest import Daemon

HELLO: Any = [{"role": "user", "content": "Hello there"}]
TOOLS: Any = [
    {
        "name": "weather",
        "description": "Tells the weather",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    }
]
FORCED: Any = {"type": "tool", "name": "weather"}


def address(daemon: Daemon) -> str:
    return daemon.url.removesuffix("/v1")


@pytest.fixture
def client(daemon: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=address(daemon), api_key="unused", max_retries=0) as client:
        yield client


def test_a_plain_message_has_text_and_usage(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(model="talker", max_tokens=100, messages=HELLO)
    message = raw.parse()
    [block] = message.content
    assert block.type == "text"
    assert block.text
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0
    assert raw.headers["x-dispatch-vendor"] == "sim"
    cost = (message.usage.input_tokens + 2 * message.usage.output_tokens) / 1e6
    assert float(raw.headers["x-dispatch-cost"]) == pytest.approx(cost)
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]


def test_a_streamed_message_accumulates(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="talker", max_tokens=100, messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    [block] = message.content
    assert block.type == "text"
    assert block.text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


def test_a_bound_is_kept_and_said(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="talker", max_tokens=3, messages=HELLO)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_its_result_taken(client: anthropic.Anthropic, streamed: bool) -> None:
    wanted: Any = {
        "model": "talker",
        "max_tokens": 200,
        "messages": HELLO,
        "tools": TOOLS,
        "tool_choice": FORCED,
    }
    if streamed:
        with client.messages.stream(**wanted) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(**wanted)
    assert message.stop_reason == "tool_use"
    [call] = message.content
    assert (call.type, call.name) == ("tool_use", "weather")
    assert isinstance(call.input["city"], str)
    assert isinstance(call.input["days"], int)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny, 21 degrees"}
    turns: Any = [
        *HELLO,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    [block] = client.messages.create(model="talker", max_tokens=100, messages=turns, tools=TOOLS).content
    assert block.type == "text"
    assert "sunny" in block.text


def test_a_system_prompt_and_cache_marks_do_not_keep_a_request_from_other_vendors(
    client: anthropic.Anthropic,
) -> None:
    mark: Any = {"type": "ephemeral"}
    message = client.beta.messages.create(
        model="talker",
        max_tokens=50,
        system=[{"type": "text", "text": "Be brief.", "cache_control": mark}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": mark}]}],
        betas=["context-1m-2025-08-07"],
    )
    assert message.content


def test_tokens_are_estimated(client: anthropic.Anthropic) -> None:
    short = client.messages.count_tokens(model="talker", messages=HELLO).input_tokens
    long = client.messages.count_tokens(
        model="talker", messages=[{"role": "user", "content": "word " * 1000}], tools=TOOLS
    ).input_tokens
    assert 0 < short < 20
    assert 1000 < long < 2500
    with pytest.raises(anthropic.NotFoundError, match="no-such"):
        client.messages.count_tokens(model="no-such", messages=HELLO)


def test_a_mode_and_a_deadline_come_in_headers(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="shared", max_tokens=9, messages=HELLO, extra_headers={"x-dispatch-mode": "fast"}
    )
    assert raw.headers["x-dispatch-vendor"] == "well"
    with pytest.raises(anthropic.APIStatusError, match=r"within 0\.2 s") as caught:
        client.messages.create(
            model="drawler", max_tokens=99, messages=HELLO, extra_headers={"x-dispatch-timeout": "200ms"}
        )
    assert (caught.value.status_code, caught.value.type) == (504, "timeout_error")


@pytest.mark.parametrize(
    ("wish", "error", "kind", "words"),
    [
        ({"model": "no-such"}, anthropic.NotFoundError, "not_found_error", "no-such"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error", "messages"),
        ({"extra_body": {"top_k": "many"}}, anthropic.BadRequestError, "invalid_request_error", "top_k"),
        ({"model": "refuser"}, anthropic.RateLimitError, "rate_limit_error", "limited"),
        ({"model": "crasher"}, anthropic.InternalServerError, "api_error", "sick"),
        ({"model": "unreachable"}, anthropic.InternalServerError, "api_error", "nowhere"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_the_sdks_own(
    client: anthropic.Anthropic,
    wish: dict[str, Any],
    error: type[anthropic.APIStatusError],
    kind: str,
    words: str,
    streamed: bool,
) -> None:
    wanted = {"model": "talker", "max_tokens": 50, "messages": HELLO, "stream": streamed, **wish}
    with pytest.raises(error, match=words) as caught:
        client.messages.create(**wanted)
    assert caught.value.type == kind
    assert caught.value.error_code
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    body: Any = caught.value.body
    assert body["request_id"] == caught.value.request_id


def test_a_body_that_is_too_large_is_the_sdks_own_error(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="65536") as caught:
        client.messages.create(
            model="talker", max_tokens=9, messages=[{"role": "user", "content": "x" * 70_000}]
        )
    assert caught.value.status_code == 413


def test_a_stream_that_breaks_is_an_error_and_not_an_end(client: anthropic.Anthropic) -> None:
    seen = []
    with (
        pytest.raises(anthropic.APIStatusError, match="cutter") as caught,
        client.messages.stream(model="cut", max_tokens=200, messages=HELLO) as stream,
    ):
        seen += [event.type for event in stream]
    assert caught.value.type == "api_error"
    assert "message_stop" not in seen


def test_paths_that_are_not_there_are_refused_in_the_clients_own_envelope(daemon: Daemon) -> None:
    mine = {"anthropic-version": "2023-06-01"}
    answer = httpx.get(f"{daemon.url}/messages/batches", headers=mine)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert "type" not in httpx.get(f"{daemon.url}/messages/batches").json()
    answer = httpx.get(f"{daemon.url}/messages")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["type"] == "error"


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_exchange_with_the_vendor(
    daemon: Daemon, client: anthropic.Anthropic
) -> None:
    def drawler() -> Any:
        return httpx.get(daemon.url + "/stats").json()

    before = drawler()["statistics"]["vendors"].get("slow", {}).get("errors", {}).get("client_gone", 0)
    with client.messages.stream(model="drawler", max_tokens=200, messages=HELLO) as stream:
        next(iter(stream))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        stats = drawler()
        gone = stats["statistics"]["vendors"].get("slow", {}).get("errors", {}).get("client_gone", 0)
        if gone > before:
            break
    assert gone > before
    assert stats["vendors"]["slow"]["deployments"]["slow/drawler"]["in_flight"] == 0


def test_the_asynchronous_client_streams_many_messages_at_once(daemon: Daemon) -> None:
    async def one(client: anthropic.AsyncAnthropic) -> str:
        async with client.messages.stream(model="talker", max_tokens=50, messages=HELLO) as stream:
            return "".join([text async for text in stream.text_stream])

    async def main() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=address(daemon), api_key="unused") as client:
            return await asyncio.gather(*(one(client) for _ in range(20)))

    assert all(asyncio.run(main()))
