"""Clients and vendors of the responses format, with each other and with those of the other formats: the vendors' own SDKs
against the daemon, and vendors that replay.

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
    oracle_responses,
    recordings,
)
from tests.corpus.response_stream import plain, unsealed
from tests.fakes.replaying import ReplayingVendor, replaying

from .conftest import Daemon
from .test_both_formats import CHAT, MESSAGE, SAID, chatted, message, recording, sse

THOUGHT = {"id": "rs_theirs", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "sealed"}  # fmt: skip
TEXT = {"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}
SPOKEN = {"id": "msg_theirs", "type": "message", "role": "assistant", "status": "completed", "content": [TEXT], "phase": "commentary"}  # fmt: skip
CALL = {"id": "fc_theirs", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "resp_theirs",
    "object": "response",
    "created_at": 5,
    "status": "completed",
    "model": "gpt",
    "output": [THOUGHT, SPOKEN, CALL],
    "usage": {
        "input_tokens": 15,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 35,
    },
    "service_tier": "flex",
}
BEGUN = {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}}  # fmt: skip
PIECES: list[dict[str, Any]] = [
    BEGUN,
    {"type": "response.output_item.added", "output_index": 0, "item": {"id": "rs_theirs", "type": "reasoning", "summary": []}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "hm"},
    {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
    {"type": "response.output_item.added", "output_index": 1, "item": {**SPOKEN, "content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Let me "},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "see."},
    {"type": "response.output_item.done", "output_index": 1, "item": SPOKEN},
    {"type": "response.output_item.added", "output_index": 2, "item": {**CALL, "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"city": "Oslo"}'},
    {"type": "response.output_item.done", "output_index": 2, "item": CALL},
]  # fmt: skip
ENDED = {"type": "response.completed", "response": RESPONSE}
FAULT = {"type": "error", "error": {"type": "server_error", "code": "server_error", "message": "It broke."}}
FAILED = {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": FAULT["error"]}}

MADE: dict[str, tuple[str, Recording]] = {
    "responses-plain": ("openai-responses", recording(RESPONSE, stream=False)),
    "responses-stream": ("openai-responses", recording(sse(*PIECES, ENDED, named=True), stream=True)),
    "responses-unnamed": (
        "openai-responses",
        recording(sse(*PIECES, ENDED, named=False) + b"data: [DONE]\n\n", stream=True),
    ),
    "responses-broken": (
        "openai-responses",
        recording(sse(*PIECES[:6], FAULT, FAILED, named=True), stream=True),
    ),
    "responses-refusing": (
        "openai-responses",
        recording(
            {"error": {"code": "context_length_exceeded", "message": "too long"}}, stream=False, status=400
        ),
    ),
    "chat-plain": ("openai", recording(CHAT, stream=False)),
    "claude-plain": ("anthropic", recording(MESSAGE, stream=False)),
    "claude-stream": ("anthropic", recording(SAID, stream=True)),
}
DIALECTS = {"azure-openai": "azure-responses", "azure-ai": "azure-responses"}
OTHERS: dict[str, tuple[str, Any]] = {
    "openai-chat": ("openai", oracle_chat_completions),
    "anthropic-messages": ("anthropic", oracle_messages),
}


def served_here() -> Iterator[tuple[str, Recording]]:
    yield from MADE.values()
    for each in recordings(*oracle_responses.FOLDERS):
        if not each.refused and oracle_responses.expected(each).complete:
            yield DIALECTS.get(each.vendor, "openai-responses"), each
    for name, (dialect, oracle) in OTHERS.items():
        for each in list(recordings(name))[::2]:
            if not each.refused and (want := oracle.expected(each)).complete and len(want.texts) == 1:
                yield dialect, each


class House:
    """A daemon, and the vendor behind it. Recording number n is the model `m` of the vendor `v<n>`."""

    def __init__(self, daemon: Daemon, vendor: ReplayingVendor, served: list[tuple[str, Recording]]) -> None:
        self.daemon = daemon
        self.vendor = vendor
        self.served = served

    def model(self, made: str) -> str:
        return f"v{list(MADE).index(made)}/m"

    def recorded(self, *operations: str) -> Iterator[tuple[int, Recording]]:
        for number, (_, each) in enumerate(self.served):
            if each.operation in operations:
                yield number, each

    def last_sent(self) -> Any:
        return json.loads(self.vendor.asked[-1][1])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    served = list(served_here())
    with replaying([each for _, each in served]) as vendor, tempfile.TemporaryDirectory() as folder:
        text = "[server]\nport = 0\nworkers = 1\n[logging]\nformat = 'json'\n[retry]\nattempts = 1\n"
        for number, (dialect, _) in enumerate(served):
            text += (
                f"[[vendors]]\nname = 'v{number}'\ndialect = '{dialect}'\napi_key = 'key'\n"
                f"base_url = 'http://127.0.0.1:{vendor.port}/{number}'\nmodels = [{{ name = 'm', id = 'gpt-5' }}]\n"
            )
        config = Path(folder, "dispatcher.toml")
        config.write_text(text, encoding="utf-8")
        daemon = Daemon(config)
        try:
            yield House(daemon, vendor, served)
        finally:
            daemon.close()


@pytest.fixture
def gpt(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.daemon.url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(house: House) -> Iterator[anthropic.Anthropic]:
    origin = house.daemon.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=origin, api_key="unused", max_retries=0) as client:
        yield client


def asked(client: openai.OpenAI, model: str, *, stream: bool, **more: Any) -> Any:
    """The response to a request; of a stream the one that it ends with."""
    wanted: Any = {"model": model, "input": "Hello there", **more}
    if not stream:
        return client.responses.create(**wanted)
    events = list(client.responses.create(stream=True, **wanted))
    assert events[-1].type in ("response.completed", "response.incomplete")
    return events[-1].response


# --- one format on both sides -------------------------------------------------------------------


@pytest.mark.parametrize("made", ["responses-plain", "responses-stream", "responses-unnamed"])
def test_thoughts_go_to_the_client_and_back_to_the_vendor_under_their_seal(
    house: House, gpt: openai.OpenAI, made: str
) -> None:
    first = asked(gpt, house.model(made), stream=made != "responses-plain")
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call"]
    thought, spoken, call = first.output
    assert (thought.summary[0].text, thought.encrypted_content) == ("hm", "sealed")
    assert (spoken.content[0].text, spoken.phase) == ("Let me see.", "commentary")
    assert (call.call_id, call.arguments) == ("call_1", '{"city": "Oslo"}')
    assert (first.id, first.model, first.created_at, first.service_tier) == ("resp_theirs", "gpt", 5, "flex")
    assert (first.usage.input_tokens, first.usage.output_tokens) == (15, 20)
    assert first.usage.input_tokens_details.cached_tokens == 5
    sent = house.last_sent()
    assert (sent["store"], sent["include"]) == (False, ["reasoning.encrypted_content"])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    question = {"role": "user", "content": "Hello there"}
    asked(gpt, house.model("responses-plain"), stream=False, input=[question, *first.output, output])
    assert house.last_sent()["input"] == [
        question,
        {"type": "reasoning", "summary": THOUGHT["summary"], "encrypted_content": "sealed"},
        {"role": "assistant", "content": "Let me see.", "phase": "commentary"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        output,
    ]


@needs_corpus
@pytest.mark.slow
def test_the_sdk_finds_through_the_daemon_what_it_finds_at_the_vendor(
    house: House, gpt: openai.OpenAI
) -> None:
    tried = 0
    for number, each in list(house.recorded("responses"))[::4]:
        if "backfills" in each.name:
            # Its items come in the order in which they were done.
            continue
        address = f"http://127.0.0.1:{house.vendor.port}/{number}"
        with openai.OpenAI(base_url=address, api_key="unused", max_retries=0) as direct:
            want = asked(direct, "m", stream=each.stream).to_dict(warnings=False)
        found = asked(gpt, f"v{number}/m", stream=each.stream).to_dict(warnings=False)
        assert unsealed(plain(found)) == unsealed(plain(want)), each.name
        tried += 1
    assert tried > 40


def test_an_error_in_the_vendors_stream_is_the_clients_own(house: House, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match=r"It broke\."):
        asked(gpt, house.model("responses-broken"), stream=True)


def test_a_vendors_refusal_is_the_clients_own_error(house: House, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="too long"):
        asked(gpt, house.model("responses-refusing"), stream=False)


# --- vendors of the format, clients of others ---------------------------------------------------


@pytest.mark.parametrize("made", ["responses-plain", "responses-stream"])
def test_a_vendor_of_responses_answers_a_client_of_chat_completions(
    house: House, gpt: openai.OpenAI, made: str
) -> None:
    text, thought, calls, finish = chatted(gpt, house.model(made), stream=made.endswith("stream"))
    assert (text, thought, finish) == ("Let me see.", "hm", "tool_calls")
    assert calls == [("weather", {"city": "Oslo"})]


@pytest.mark.parametrize("made", ["responses-plain", "responses-stream"])
def test_a_vendor_of_responses_answers_a_client_of_messages(
    house: House, claude: anthropic.Anthropic, made: str
) -> None:
    found = message(claude, house.model(made), stream=made.endswith("stream"))
    thought, text, call = found.content
    assert (thought.thinking, thought.signature, text.text) == ("hm", "", "Let me see.")
    assert (call.id, call.name, call.input) == ("call_1", "weather", {"city": "Oslo"})
    assert (found.stop_reason, found.model) == ("tool_use", "gpt")
    usage = found.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (10, 5, 20)
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}
    turns = [
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": found.content},
        {"role": "user", "content": [result]},
    ]
    message(claude, house.model("responses-plain"), stream=False, system="Be brief.", messages=turns)
    sent = house.last_sent()["input"]
    kinds = [item.get("type") or item["role"] for item in sent]
    assert kinds == ["system", "user", "assistant", "function_call", "function_call_output"]


def test_an_error_in_the_vendors_stream_is_an_error_to_every_client(
    house: House, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.APIError, match=r"It broke\."):
        chatted(gpt, house.model("responses-broken"), stream=True)
    with pytest.raises(anthropic.APIStatusError, match=r"It broke\."):
        message(claude, house.model("responses-broken"), stream=True)


@needs_corpus
@pytest.mark.slow
def test_every_recorded_response_is_told_to_a_client_of_chat_completions(
    house: House, gpt: openai.OpenAI
) -> None:
    tried = 0
    for number, each in house.recorded("responses"):
        want: Expected = oracle_responses.expected(each)
        text, thought, calls, finish = chatted_raw(gpt, f"v{number}/m", stream=each.stream)
        assert (text, thought) == (want.texts[0], want.thinking[0]), each.name
        assert [name for name, _ in calls] == [name for name, _ in want.tool_calls[0]], each.name
        if want.finishes[0] == "max_output_tokens":
            assert finish == "length", each.name
        else:
            assert [json.loads(given) for _, given in calls] == [given for _, given in want.tool_calls[0]], (
                each.name
            )
            assert (finish == "tool_calls") is (b'"function_call"' in each.body or b"custom_tool_call" in each.body), each.name  # fmt: skip
        tried += 1
    assert tried > 180


def chatted_raw(
    client: openai.OpenAI, model: str, *, stream: bool
) -> tuple[str, str, list[tuple[str, str]], str | None]:
    """Text, thinking, calls and finish of a chat; arguments as they came, since they may be cut off."""
    hello: Any = [{"role": "user", "content": "Hello there"}]
    if not stream:
        choice = client.chat.completions.create(model=model, messages=hello).choices[0]
        said: Any = choice.message
        whole = [(call.function.name, call.function.arguments) for call in said.tool_calls or ()]
        return said.content or "", getattr(said, "reasoning_content", None) or "", whole, choice.finish_reason
    text = thought = ""
    calls: dict[int, list[str]] = {}
    finish = None
    for chunk in client.chat.completions.create(model=model, messages=hello, stream=True):
        delta: Any = chunk.choices[0].delta
        text += delta.content or ""
        thought += getattr(delta, "reasoning_content", None) or ""
        for call in delta.tool_calls or ():
            calls.setdefault(call.index, [call.function.name or ""]).append(call.function.arguments or "")
        finish = chunk.choices[0].finish_reason or finish
    return text, thought, [(name, "".join(rest)) for name, *rest in calls.values()], finish


@needs_corpus
@pytest.mark.slow
def test_recorded_responses_are_told_to_a_client_of_messages(
    house: House, claude: anthropic.Anthropic
) -> None:
    tried = 0
    for number, each in list(house.recorded("responses"))[::2]:
        want: Expected = oracle_responses.expected(each)
        found = message(claude, f"v{number}/m", stream=each.stream)
        text = "".join(block.text for block in found.content if block.type == "text")
        if found.stop_reason != "refusal":
            assert text == want.texts[0], each.name
        thoughts = [block.thinking for block in found.content if block.type == "thinking"]
        assert "".join(thoughts) == want.thinking[0], each.name
        calls = [(block.name, block.input) for block in found.content if block.type == "tool_use"]
        if found.stop_reason != "max_tokens":
            assert calls == want.tool_calls[0], each.name
        tried += 1
    assert tried > 90


# --- clients of the format, vendors of others ---------------------------------------------------


def test_a_vendor_of_chat_completions_answers_a_client_of_responses(house: House, gpt: openai.OpenAI) -> None:
    found = asked(gpt, house.model("chat-plain"), stream=False, instructions="Be brief.")
    thought, call = found.output
    assert (thought.type, thought.summary[0].text) == ("reasoning", "hm")
    assert getattr(thought, "encrypted_content", None) is None
    assert (call.call_id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"city": "Oslo"})
    assert (found.status, found.model) == ("completed", "gpt")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (15, 20)
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    turns = [{"role": "user", "content": "Hello there"}, *found.output, output]
    asked(gpt, house.model("chat-plain"), stream=False, instructions="Be brief.", input=turns)
    sent = house.last_sent()["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "tool"]
    assert sent[2]["tool_calls"][0]["id"] == sent[3]["tool_call_id"] == "call_1"


@pytest.mark.parametrize("made", ["claude-plain", "claude-stream"])
def test_an_anthropic_vendors_thoughts_go_to_a_client_of_responses_and_back(
    house: House, gpt: openai.OpenAI, made: str
) -> None:
    found = asked(gpt, house.model(made), stream=made.endswith("stream"))
    thought, spoken, call = found.output
    assert (thought.summary[0].text, spoken.content[0].text) == ("hm", "Let me see.")
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    turns = [{"role": "user", "content": "Hello there"}, *found.output, output]
    asked(gpt, house.model("claude-plain"), stream=False, input=turns)
    sent = house.last_sent()["messages"]
    assert sent[1]["content"] == MESSAGE["content"]
    assert [block["type"] for block in sent[2]["content"]] == ["tool_result"]


@needs_corpus
@pytest.mark.slow
@pytest.mark.parametrize("operation", ["chat", "messages"])
def test_recorded_answers_of_other_formats_are_told_to_a_client_of_responses(
    house: House, gpt: openai.OpenAI, operation: str
) -> None:
    tried = 0
    oracle = oracle_chat_completions if operation == "chat" else oracle_messages
    for number, each in house.recorded(operation):
        want: Expected = oracle.expected(each)
        found = asked(gpt, f"v{number}/m", stream=each.stream)
        content = [part for item in found.output if item.type == "message" for part in item.content]
        assert "".join(part.text for part in content if part.type == "output_text") == want.texts[0], (
            each.name
        )
        thoughts = [
            part.text for item in found.output if item.type == "reasoning" for part in item.summary or ()
        ]
        assert "".join(thoughts) == want.thinking[0], each.name
        calls = [item for item in found.output if item.type == "function_call"]
        assert [call.name for call in calls] == [name for name, _ in want.tool_calls[0]], each.name
        if found.status == "completed":
            assert [json.loads(call.arguments) for call in calls] == [
                given for _, given in want.tool_calls[0]
            ], each.name
        if want.usage is not None:
            assert (found.usage.input_tokens, found.usage.output_tokens) == (
                want.usage["input_tokens"],
                want.usage["output_tokens"],
            ), each.name
        tried += 1
    assert tried > 40
