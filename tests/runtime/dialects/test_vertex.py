"""Vertex AI's doors: where models of two makers are, and who is told to ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_dispatcher.runtime import Dispatcher
from llm_dispatcher.runtime.canon import Message, Request
from llm_dispatcher.runtime.config import ConfigError
from llm_dispatcher.runtime.dialects import Target, dialect_class
from llm_dispatcher.runtime.dialects.vertex import BASE_URL, Vertex
from llm_dispatcher.runtime.dialects.vertex_anthropic import VertexAnthropic

from tests.corpus import Recording, needs_corpus, recordings

ASK = Request(model="m", messages=[Message("user", "x")])
ANSWER = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}


def target(**more: Any) -> Target:
    return Target(
        **{"vendor": "v", "base_url": BASE_URL, "model": "gemini-3.8-flash", "key": "ya29.x", **more}
    )


def sent(request: httpx.Request) -> Any:
    return json.loads(request.read())


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("publishers/meta/models/llama-4", "publishers/meta/models/llama-4"),
        ("endpoints/123", "endpoints/123"),
    ],
)
def test_a_model_is_found_by_its_name_or_its_path(model: str, path: str) -> None:
    dialect = Vertex(target(model=model))
    assert str(dialect.build(ASK, stream=False).request.url) == f"{BASE_URL}/{path}:generateContent"
    assert (
        str(dialect.build(ASK, stream=True).request.url) == f"{BASE_URL}/{path}:streamGenerateContent?alt=sse"
    )


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("ya29.x", ("authorization", "Bearer ya29.x")),
        ("AIza1", ("x-goog-api-key", "AIza1")),
    ],
)
def test_a_token_and_an_api_key_are_sent_as_what_they_are(key: str, header: tuple[str, str]) -> None:
    dialect = Vertex(target(key=key))
    name, value = header
    assert dialect.build(ASK, stream=False).request.headers[name] == value
    assert dialect.credentials() is None


def test_who_is_named_as_a_file_or_as_the_machine_is_put_on_at_the_way_out() -> None:
    for kind in (Vertex, VertexAnthropic):
        dialect = kind(target(key="metadata"))
        headers = dialect.build(ASK, stream=False).request.headers
        assert "authorization" not in headers
        assert "x-goog-api-key" not in headers
        assert dialect.credentials() is not None


def test_anthropics_models_are_named_in_the_address_and_their_version_in_the_body() -> None:
    dialect = VertexAnthropic(target(model="claude-haiku-4-5@20251001", options={"betas": ["b-1"]}))
    plain, stream = (dialect.build(ASK, stream=streamed).request for streamed in (False, True))
    base = f"{BASE_URL}/publishers/anthropic/models/claude-haiku-4-5@20251001"
    assert (str(plain.url), str(stream.url)) == (f"{base}:rawPredict", f"{base}:streamRawPredict")
    assert (plain.headers["authorization"], plain.headers["anthropic-beta"]) == ("Bearer ya29.x", "b-1")
    assert "anthropic-version" not in plain.headers
    assert sent(plain) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "x"}],
    }
    assert sent(stream)["stream"] is True


@needs_corpus
@pytest.mark.parametrize(
    "recording", tuple(recordings("vertex-messages")), ids=lambda recording: recording.name
)
def test_recorded_requests_for_anthropics_models_began_alike(recording: Recording) -> None:
    model = recording.url.partition("/models/")[2].partition(":")[0]
    built = VertexAnthropic(target(model=model)).build(ASK, stream=recording.stream).request
    assert (
        built.url.path.partition("/publishers/")[2]
        == recording.url.partition("?")[0].partition("/publishers/")[2]
    )
    assert sent(built)["anthropic_version"] == recording.request_body["anthropic_version"]
    assert "model" not in recording.request_body


@pytest.mark.parametrize("name", ["vertex", "vertex-anthropic"])
def test_a_target_that_cannot_be_used_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ValueError, match="is no address; use 'https://us-"):
        dialect_class(name)(target(base_url="vertex"))


# --- in the house -------------------------------------------------------------------------------


def configuration(key: str) -> dict[str, Any]:
    models = [{"name": "one", "id": "gemini-3.8-flash"}, {"name": "two", "id": "gemini-4-argon"}]
    vendor = {"name": "v", "dialect": "vertex", "base_url": BASE_URL, "api_key": key, "models": models}
    return {"vendors": [vendor], "retry": {"attempts": 1}}


async def test_one_token_serves_all_models_of_an_account(tmp_path: Path) -> None:
    file = tmp_path / "adc.json"
    file.write_text(
        json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"})
    )
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "oauth2.googleapis.com":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        return httpx.Response(200, json=ANSWER)

    config = configuration(str(file))
    async with Dispatcher.open(config, transports={"v": httpx.MockTransport(respond)}) as dispatcher:
        for name in ("one", "two", "one"):
            reply = await dispatcher.send(Request(model=name, messages=[Message("user", "x")]))
            assert reply.completion.choices[0].text == "hi"
    assert [request.url.host for request in seen].count("oauth2.googleapis.com") == 1
    assert [request.headers["authorization"] for request in seen[1:]] == ["Bearer t"] * 3


def test_a_file_that_is_not_there_is_a_flaw_of_the_configuration(tmp_path: Path) -> None:
    async def main() -> None:
        async with Dispatcher.open(configuration(str(tmp_path / "absent.json"))):
            pass

    import trio

    with pytest.raises(ConfigError, match="No such file"):
        trio.run(main)
