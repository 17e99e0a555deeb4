"""Google's own SDK, and vendors of every format that replay what they once said: whatever stands between, the client is told it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from tests.corpus import (
    Expected,
    Recording,
    needs_corpus,
    oracle_chat_completions,
    oracle_generate_content,
    oracle_messages,
    recordings,
)
from tests.fakes.replaying import ReplayingVendor, replaying

from .conftest import Daemon
from .test_both_formats import BAD_CALL, CHAT, MESSAGE, SAID, recording

USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "totalTokenCount": 16}
CALL = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2VhbGVk"}
GEMINI = {
    "candidates": [
        {
            "content": {"parts": [{"text": "hm", "thought": True}, {"text": "Let me see."}, CALL], "role": "model"},
            "finishReason": "STOP",
            "index": 0,
            "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
        }
    ],
    "usageMetadata": USAGE,
    "modelVersion": "gemini-theirs",
    "responseId": "theirs",
}  # fmt: skip


def _chunk(*parts: dict[str, Any], **more: Any) -> bytes:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    chunk = {**GEMINI, "candidates": [candidate]}
    return b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"


STREAM = (
    _chunk({"text": "hm", "thought": True})
    + _chunk({"text": "Let me "})
    + _chunk({"text": "see."})
    + _chunk(CALL, finishReason="STOP")
)
REFUSAL = {
    "error": {
        "code": 429,
        "message": "Quota exceeded",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "150s"}],
    }
}
MADE = {
    "gemini-plain": ("google", recording(GEMINI, stream=False)),
    "gemini-stream": ("google", recording(STREAM, stream=True)),
    "gemini-limited": ("google", recording(REFUSAL, stream=False, status=429)),
    "claude-plain": ("anthropic", recording(MESSAGE, stream=False)),
    "claude-stream": ("anthropic", recording(SAID, stream=True)),
    "gpt-plain": ("openai", recording(CHAT, stream=False)),
    "gpt-bad-call": ("openai", recording(BAD_CALL, stream=False)),
}
ORACLES: dict[str, Any] = {
    "google": oracle_generate_content, "anthropic": oracle_messages, "openai": oracle_chat_completions,
}  # fmt: skip
RECORDED = {
    "google": ("gemini-generate",), "anthropic": ("anthropic-messages",), "openai": ("openai-chat", "groq-chat"),
}  # fmt: skip
OPTIONS = {"google": "options = { max_event_bytes = 8388608 }\n"}


EVERY = {"google": 4, "anthropic": 8, "openai": 8}
"""Of so many recordings one is tried."""


def readable(each: Recording) -> bool:
    """Whether it is an answer that Google's SDK could read: it knows enumerations by their names only."""
    return not each.refused and re.search(rb'"(finishReason|category)":\s*\d', each.body) is None


class House:
    """A daemon, and the vendor behind it. Recording number n is the model `m` of the vendor `v<n>`."""

    def __init__(
        self, daemon: Daemon, vendor: ReplayingVendor, served: Sequence[tuple[str, Recording]]
    ) -> None:
        self.vendor = vendor
        self.served = served
        self.origin = daemon.url.removesuffix("/v1")

    def model(self, made: str) -> str:
        return f"v{list(MADE).index(made)}/m"

    def sent(self) -> Any:
        return json.loads(self.vendor.asked[-1][1])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    found = [
        (dialect, each)
        for dialect, folders in RECORDED.items()
        for each in [each for each in recordings(*folders) if readable(each)][:: EVERY[dialect]]
    ]
    served = [*MADE.values(), *found]
    with replaying([each for _, each in served]) as vendor, tempfile.TemporaryDirectory() as folder:
        text = "[server]\nport = 0\nworkers = 1\n[server.overload]\nloop_lag = '1h'\n[logging]\nformat = 'json'\n[retry]\nattempts = 1\n"
        for number, (dialect, _) in enumerate(served):
            text += (
                f"[[vendors]]\nname = 'v{number}'\ndialect = '{dialect}'\napi_key = 'key'\n"
                f"base_url = 'http://127.0.0.1:{vendor.port}/{number}'\nmodels = [{{ name = 'm' }}]\n"
            ) + OPTIONS.get(dialect, "")
        config = Path(folder, "dispatcher.toml")
        config.write_text(text, encoding="utf-8")
        daemon = Daemon(config)
        try:
            yield House(daemon, vendor, served)
        finally:
            daemon.close()


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[genai.Client]:
    client = genai.Client(api_key="theirs", http_options={"base_url": house.origin})
    yield client
    client.close()


THOUGHTS = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))


def told(
    client: genai.Client, model: str, *, stream: bool, **more: Any
) -> list[types.GenerateContentResponse]:
    """The chunks of an answer; one if it is not streamed."""
    wanted: dict[str, Any] = {"model": model, "contents": "Hello there", **more}
    if stream:
        return [*client.models.generate_content_stream(**wanted)]
    return [client.models.generate_content(**wanted)]


def parts_of(chunks: Sequence[types.GenerateContentResponse], index: int = 0) -> list[types.Part]:
    return [
        part
        for chunk in chunks
        for candidate in chunk.candidates or ()
        if (candidate.index or 0) == index and candidate.content is not None
        for part in candidate.content.parts or ()
    ]


def summary(
    chunks: Sequence[types.GenerateContentResponse], index: int = 0
) -> tuple[str, str, list[tuple[str, Any]]]:
    """Text, thoughts and calls of one candidate."""
    parts = parts_of(chunks, index)
    return (
        "".join(part.text or "" for part in parts if not part.thought),
        "".join(part.text or "" for part in parts if part.thought),
        [
            (part.function_call.name or "", part.function_call.args or {})
            for part in parts
            if part.function_call
        ],
    )


def finish(chunks: Sequence[types.GenerateContentResponse]) -> str:
    [reason] = [
        each.finish_reason for chunk in chunks for each in chunk.candidates or () if each.finish_reason
    ]
    return str(reason.value)


# --- one format on both sides -------------------------------------------------------------------


@pytest.mark.parametrize("made", ["gemini-plain", "gemini-stream"])
def test_seals_go_to_the_client_and_back_to_the_vendor(house: House, client: genai.Client, made: str) -> None:
    chunks = told(client, house.model(made), stream=made.endswith("stream"), config=THOUGHTS)
    assert summary(chunks) == ("Let me see.", "hm", [("weather", {"city": "Oslo"})])
    assert {(chunk.model_version, chunk.response_id) for chunk in chunks} == {("gemini-theirs", "theirs")}
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count) == (9, 4, 3)
    head, _ = house.vendor.asked[-1]
    assert "x-goog-api-key: key" in head.lower()
    assert "theirs" not in head
    [call] = [part for part in parts_of(chunks) if part.function_call]
    result = types.Part.from_function_response(name="weather", response={"result": "sunny"})
    turns = [
        types.Content(role="user", parts=[types.Part(text="Hello there")]),
        types.Content(role="model", parts=[call]),
        types.Content(role="user", parts=[result]),
    ]
    told(client, house.model("gemini-plain"), stream=False, contents=turns)
    contents = house.sent()["contents"]
    assert contents[1]["parts"] == [CALL]
    assert contents[2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}
    ]


def test_what_only_google_can_do_is_asked_of_google(house: House, client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        tools=[types.Tool(google_search=types.GoogleSearch()), types.Tool(code_execution=types.ToolCodeExecution())],
        safety_settings=[
            types.SafetySetting(
                category=types.HarmCategory.HARM_CATEGORY_HARASSMENT, threshold=types.HarmBlockThreshold.BLOCK_NONE
            )
        ],
        cached_content="cachedContents/1",
    )  # fmt: skip
    told(client, house.model("gemini-plain"), stream=False, config=config)
    sent = house.sent()
    assert sent["tools"] == [{"googleSearch": {}}, {"codeExecution": {}}]
    assert sent["safetySettings"][0]["threshold"] == "BLOCK_NONE"
    assert sent["cachedContent"] == "cachedContents/1"
    with pytest.raises(errors.ClientError, match="cachedContent"):
        told(client, house.model("claude-plain"), stream=False, config=config)


def test_a_vendors_patience_is_told_where_googles_clients_look_for_it(
    house: House, client: genai.Client
) -> None:
    with pytest.raises(errors.ClientError, match="Quota exceeded") as caught:
        told(client, house.model("gemini-limited"), stream=False)
    details = {each["@type"].rpartition(".")[2]: each for each in caught.value.details["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "150s"


# --- one format on either side ------------------------------------------------------------------


@pytest.mark.parametrize("made", ["claude-plain", "claude-stream", "gpt-plain"])
def test_a_vendor_of_another_format_answers_a_client_of_googles(
    house: House, client: genai.Client, made: str
) -> None:
    stream = made.endswith("stream")
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2048),
        max_output_tokens=4096,
    )
    chunks = told(client, house.model(made), stream=stream, config=None if made == "gpt-plain" else config)
    text, thoughts, calls = summary(chunks)
    # Of OpenAI's vendor no thoughts were asked for.
    assert (text, thoughts) == (("", "") if made == "gpt-plain" else ("Let me see.", "hm"))
    assert calls == [("weather", {"city": "Oslo"})]
    assert all(part.thought_signature is None for part in parts_of(chunks))
    assert finish(chunks) == "STOP"
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.total_token_count) == (15, 35)
    [call] = [part for part in parts_of(chunks) if part.function_call]
    turns = [
        types.Content(role="user", parts=[types.Part(text="Hello there")]),
        *[each.candidates[0].content for each in chunks if each.candidates and each.candidates[0].content],
        types.Content(
            role="user", parts=[types.Part.from_function_response(name="weather", response={"result": "sunny"})]
        ),
    ]  # fmt: skip
    told(client, house.model("gpt-plain"), stream=False, contents=turns)
    sent = house.sent()["messages"]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "tool"]
    assert call.function_call is not None
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == call.function_call.id


def test_a_call_that_nobody_can_read_is_a_malformed_one(house: House, client: genai.Client) -> None:
    chunks = told(client, house.model("gpt-bad-call"), stream=False)
    assert (summary(chunks), finish(chunks)) == (("", "", []), "MALFORMED_FUNCTION_CALL")


@needs_corpus
@pytest.mark.slow
@pytest.mark.parametrize("dialect", RECORDED)
def test_every_recorded_answer_is_told_to_a_client_of_googles(
    house: House, client: genai.Client, dialect: str
) -> None:
    tried = 0
    for number, (spoken, each) in enumerate(house.served):
        if spoken != dialect or each.name == "made":
            continue
        want: Expected = ORACLES[dialect].expected(each)
        if not want.complete or any(
            type(given) is not dict for calls in want.tool_calls for _, given in calls
        ):
            continue
        chunks = told(
            client, f"v{number}/m", stream=each.stream, config=None if dialect != "google" else THOUGHTS
        )
        for index in range(len(want.texts)):
            text, thoughts, calls = summary(chunks, index)
            refused = '"refusal":"' in each.body.decode().replace(" ", "")
            assert text == want.texts[index] or refused, each.name
            assert calls == want.tool_calls[index], each.name
            assert thoughts == (want.thinking[index] if dialect == "google" else ""), each.name
        usage = chunks[-1].usage_metadata
        if want.usage is not None and usage is not None:
            came = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            assert (usage.prompt_token_count, came) == (
                want.usage["input_tokens"],
                want.usage["output_tokens"],
            ), each.name
        tried += 1
    assert tried > 8


@needs_corpus
@pytest.mark.slow
def test_the_sdk_finds_through_the_daemon_what_it_finds_at_the_vendor(
    house: House, client: genai.Client
) -> None:
    tried = 0
    for number, (spoken, each) in list(enumerate(house.served))[::5]:
        if spoken != "google" or each.stream or each.name == "made":
            continue
        url = f"http://127.0.0.1:{house.vendor.port}/{number}"
        direct = genai.Client(api_key="unused", http_options={"base_url": url})
        # The recording is whatever the path says after its number.
        want = told(direct, "m", stream=False)[0]
        found = told(client, f"v{number}/m", stream=False)[0]
        direct.close()
        for one in (want, found):
            # Counts are told in kinds of our own.
            one.sdk_http_response = one.create_time = one.usage_metadata = None
        if want.response_id is None:
            found.response_id = None
        for each_candidate in [*(want.candidates or ()), *(found.candidates or ())]:
            each_candidate.index = each_candidate.index or 0
        assert found == want, each.name
        tried += 1
    assert tried > 1


def test_the_key_in_the_address_is_nobodys(house: House) -> None:
    path = f"{house.origin}/v1beta/models/{house.model('gemini-plain')}:generateContent?key=secret"
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    assert httpx.post(path, json=body).status_code == 200
    assert "secret" not in house.vendor.asked[-1][0]
