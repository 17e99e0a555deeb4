"""Clients of either interface, vendors of either format: the vendors' own SDKs against the daemon, and vendors that replay.

Whatever stands between them, a client is told what the vendor said.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.corpus import (
    Expected,
    Recording,
    needs_corpus,
    oracle_chat_completions,
    oracle_messages,
    recordings,
)
from tests.corpus.message_stream import plain
from tests.fakes.replaying import ReplayingVendor, replaying

from .conftest import Daemon

HELLO: Any = [{"role": "user", "content": "Hello there"}]


def recording(body: Any, *, stream: bool, status: int = 200) -> Recording:
    """An exchange that nobody recorded."""
    kind = "text/event-stream" if stream and status == 200 else "application/json"
    return Recording(
        name="made", vendor="made", operation="made", stream=stream, method="POST", url="", request_headers={},
        request_body={}, status=status, headers={"content-type": kind}, chunks=[],
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )  # fmt: skip


def sse(*events: dict[str, Any], named: bool) -> bytes:
    return b"".join(
        (b"event: " + event["type"].encode() + b"\n" if named else b"") + b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    )  # fmt: skip


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "sealed"}
MESSAGE = {
    "id": "msg_theirs",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        THOUGHT,
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 5},
}
SAID = sse(
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {**THOUGHT, "thinking": "", "signature": ""},
    },
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sealed"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Let me "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "see."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"city": "Oslo"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}},
    {"type": "message_stop"},
    named=True,
)
BROKEN = SAID[: SAID.index(b"event: content_block_stop")] + sse(
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, named=True
)
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CHAT = {
    "id": "chatcmpl-theirs",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [CALL],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 15, "completion_tokens": 20, "total_tokens": 35},
}
BAD_CALL = {"choices": [{"index": 0, "message": {"tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{oops"}}]}, "finish_reason": "tool_calls"}]}  # fmt: skip

MADE = {
    "claude-plain": ("anthropic", recording(MESSAGE, stream=False)),
    "claude-stream": ("anthropic", recording(SAID, stream=True)),
    "claude-broken": ("anthropic", recording(BROKEN, stream=True)),
    "claude-refusing": (
        "anthropic",
        recording(
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"},
            },
            stream=False,
            status=400,
        ),
    ),
    "gpt-plain": ("openai", recording(CHAT, stream=False)),
    "gpt-bad-call": ("openai", recording(BAD_CALL, stream=False)),
}
RECORDED = {"anthropic": ["anthropic-messages", "vertex-messages"], "openai": ["openai-chat"]}


def complete(each: Recording) -> bool:
    """Whether it is an answer, whole, with one choice."""
    if each.refused:
        return False
    want = ORACLES[DIALECT_OF[each.vendor]].expected(each)
    return want.complete and len(want.texts) == 1


DIALECT_OF = {"anthropic": "anthropic", "vertex": "anthropic", "openai": "openai"}
ORACLES: dict[str, Any] = {"anthropic": oracle_messages, "openai": oracle_chat_completions}


class House:
    """A daemon, and the vendor behind it. Recording number n is the model `m` of the vendor `v<n>`."""

    def __init__(self, daemon: Daemon, vendor: ReplayingVendor, served: list[tuple[str, Recording]]) -> None:
        self.daemon = daemon
        self.vendor = vendor
        self.served = served
        self.origin = daemon.url.removesuffix("/v1")

    def model(self, made: str) -> str:
        return f"v{list(MADE).index(made)}/m"

    def recorded(self, dialect: str) -> Iterator[tuple[int, Recording]]:
        for number, (spoken, each) in enumerate(self.served):
            if spoken == dialect and each.name != "made":
                yield number, each


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    found = [
        (dialect, each)
        for dialect, folders in RECORDED.items()
        for each in recordings(*folders)
        if complete(each)
    ]
    served = [*MADE.values(), *found]
    with replaying([each for _, each in served]) as vendor, tempfile.TemporaryDirectory() as folder:
        text = "[server]\nport = 0\nworkers = 1\n[server.overload]\nloop_lag = '1h'\n[logging]\nformat = 'json'\n[retry]\nattempts = 1\n"
        for number, (dialect, _) in enumerate(served):
            text += (
                f"[[vendors]]\nname = 'v{number}'\ndialect = '{dialect}'\napi_key = 'key'\n"
                f"base_url = 'http://127.0.0.1:{vendor.port}/{number}'\nmodels = [{{ name = 'm' }}]\n"
            )
        config = Path(folder, "dispatcher.toml")
        config.write_text(text, encoding="utf-8")
        daemon = Daemon(config)
        try:
            yield House(daemon, vendor, served)
        finally:
            daemon.close()


@pytest.fixture
def claude(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.origin, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def gpt(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.daemon.url, api_key="unused", max_retries=0) as client:
        yield client


def message(client: anthropic.Anthropic, model: str, *, stream: bool, **more: Any) -> Any:
    wanted: Any = {"model": model, "max_tokens": 50, "messages": HELLO, **more}
    if not stream:
        return client.messages.create(**wanted)
    with client.messages.stream(**wanted) as events:
        return events.get_final_message()


# --- one format on both sides -------------------------------------------------------------------


@pytest.mark.parametrize("made", ["claude-plain", "claude-stream"])
def test_thoughts_go_to_the_client_and_back_to_the_vendor_under_their_seal(
    house: House, claude: anthropic.Anthropic, made: str
) -> None:
    first = message(
        claude, house.model(made), stream=made.endswith("stream"), extra_headers={"anthropic-beta": "a-1,b-2"}
    )
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert (first.content[0].thinking, first.content[0].signature) == ("hm", "sealed")
    assert (first.id, first.model, first.stop_reason) == ("msg_theirs", "claude", "tool_use")
    assert (first.usage.input_tokens, first.usage.cache_read_input_tokens, first.usage.output_tokens) == (
        10,
        5,
        20,
    )
    head, _ = house.vendor.asked[-1]
    assert "anthropic-beta: a-1,b-2" in head.lower()
    assert "x-api-key: key" in head.lower()
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    message(claude, house.model("claude-plain"), stream=False, messages=turns)
    sent = json.loads(house.vendor.asked[-1][1])["messages"]
    assert sent[1]["content"] == MESSAGE["content"]
    assert sent[2]["content"] == [result]


@needs_corpus
@pytest.mark.slow
def test_the_sdk_finds_through_the_daemon_what_it_finds_at_the_vendor(
    house: House, claude: anthropic.Anthropic
) -> None:
    tried = 0
    for number, each in list(house.recorded("anthropic"))[::4]:
        address = f"http://127.0.0.1:{house.vendor.port}/{number}"
        with anthropic.Anthropic(base_url=address, api_key="unused", max_retries=0) as direct:
            want = message(direct, "m", stream=each.stream).to_dict(warnings=False)
        found = message(claude, f"v{number}/m", stream=each.stream).to_dict(warnings=False)
        assert plain(found) == plain(want), each.name
        tried += 1
    assert tried > 25


def test_an_error_in_the_vendors_stream_is_the_clients_own(house: House, claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as caught:
        message(claude, house.model("claude-broken"), stream=True)
    assert caught.value.type == "overloaded_error"


# --- one format on either side ------------------------------------------------------------------


def test_an_openai_vendor_answers_a_client_of_anthropics(house: House, claude: anthropic.Anthropic) -> None:
    found = message(claude, house.model("gpt-plain"), stream=False, extra_headers={"anthropic-beta": "a-1"})
    thought, call = found.content
    assert (thought.type, thought.thinking, thought.signature) == ("thinking", "hm", "")
    assert (call.type, call.id, call.name, call.input) == ("tool_use", "call_1", "weather", {"city": "Oslo"})
    assert (found.stop_reason, found.model) == ("tool_use", "gpt")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (15, 20)
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": found.content},
        {"role": "user", "content": [result, {"type": "text", "text": "and now?"}]},
    ]
    message(claude, house.model("gpt-plain"), stream=False, system="Be brief.", messages=turns)
    sent = json.loads(house.vendor.asked[-1][1])["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "tool", "user"]
    assert sent[2]["tool_calls"][0]["id"] == sent[3]["tool_call_id"] == "call_1"


def test_a_call_that_anthropics_format_cannot_say_is_an_error(
    house: House, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(anthropic.InternalServerError, match="arguments of 'f'"):
        message(claude, house.model("gpt-bad-call"), stream=False)


@pytest.mark.parametrize("made", ["claude-plain", "claude-stream"])
def test_an_anthropic_vendor_answers_a_client_of_openais(house: House, gpt: openai.OpenAI, made: str) -> None:
    text, thought, arguments, finish = chatted(gpt, house.model(made), stream=made.endswith("stream"))
    assert (text, thought, finish) == ("Let me see.", "hm", "tool_calls")
    assert arguments == [("weather", {"city": "Oslo"})]


def test_an_anthropic_vendors_refusal_is_the_openai_clients_own_error(
    house: House, gpt: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="prompt is too long"):
        chatted(gpt, house.model("claude-refusing"), stream=False)


def chatted(
    client: openai.OpenAI, model: str, *, stream: bool
) -> tuple[str, str, list[tuple[str, Any]], str | None]:
    """Text, thinking, calls and finish of a chat."""
    if not stream:
        choice = client.chat.completions.create(model=model, messages=HELLO).choices[0]
        said: Any = choice.message
        calls = [(each.function.name, each.function.arguments) for each in said.tool_calls or ()]
        thought = getattr(said, "reasoning_content", None) or ""
        return (
            said.content or "",
            thought,
            [(name, json.loads(given)) for name, given in calls],
            choice.finish_reason,
        )
    text = thought = ""
    pieces: dict[int, list[str]] = {}
    finish = None
    for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True):
        delta: Any = chunk.choices[0].delta
        text += delta.content or ""
        thought += getattr(delta, "reasoning_content", None) or ""
        for call in delta.tool_calls or ():
            pieces.setdefault(call.index, [call.function.name or ""]).append(call.function.arguments or "")
        finish = chunk.choices[0].finish_reason or finish
    return (
        text,
        thought,
        [(name, json.loads("".join(rest) or "{}")) for name, *rest in pieces.values()],
        finish,
    )


@needs_corpus
@pytest.mark.slow
def test_every_recorded_openai_answer_is_told_to_a_client_of_anthropics(
    house: House, claude: anthropic.Anthropic
) -> None:
    tried = 0
    for number, each in house.recorded("openai"):
        want: Expected = oracle_chat_completions.expected(each)
        found = message(claude, f"v{number}/m", stream=each.stream)
        text = "".join(block.text for block in found.content if block.type == "text")
        if found.stop_reason == "refusal":
            assert b'"refusal"' in each.body
            assert (bool(text), want.texts[0]) == (True, ""), each.name
        else:
            assert text == want.texts[0], each.name
        calls = [(block.name, block.input) for block in found.content if block.type == "tool_use"]
        if found.stop_reason == "max_tokens":
            # The SDK makes what it can of arguments that were cut off.
            assert [name for name, _ in calls] == [name for name, _ in want.tool_calls[0]], each.name
        else:
            assert calls == want.tool_calls[0], each.name
        if want.usage is not None:
            usage = found.usage
            told = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
            assert (told, usage.output_tokens) == (want.usage["input_tokens"], want.usage["output_tokens"]), (
                each.name
            )
        tried += 1
    assert tried > 50


@needs_corpus
@pytest.mark.slow
def test_every_recorded_anthropic_answer_is_told_to_a_client_of_openais(
    house: House, gpt: openai.OpenAI
) -> None:
    tried = 0
    for number, each in house.recorded("anthropic"):
        want: Expected = oracle_messages.expected(each)
        text, thought, calls, _ = chatted(gpt, f"v{number}/m", stream=each.stream)
        assert (text, thought, calls) == (want.texts[0], want.thinking[0], want.tool_calls[0]), each.name
        tried += 1
    assert tried > 100
