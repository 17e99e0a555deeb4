"""The Azure client of OpenAI's SDK, unmodified, against the daemon with simulated vendors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from .conftest import Daemon

HELLO: Any = [{"role": "user", "content": "Hello there"}]


def address(daemon: Daemon) -> str:
    return daemon.url.removesuffix("/v1")


@pytest.fixture
def client(daemon: Daemon) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=address(daemon), api_key="unused", api_version="2024-10-21", max_retries=0
    ) as client:
        yield client


@pytest.mark.parametrize("model", ["talker", "sim/talker"])
def test_a_deployment_is_the_name_of_a_model(client: openai.AzureOpenAI, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    assert raw.headers["x-dispatch-vendor"] == "sim"
    assert raw.parse().choices[0].message.content


def test_a_deployment_may_be_named_once_for_all(daemon: Daemon) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=address(daemon),
        azure_deployment="well/shared",
        api_key="unused",
        api_version="2024-10-21",
    ) as client:
        raw = client.chat.completions.with_raw_response.create(model="whatever", messages=HELLO)
    assert raw.headers["x-dispatch-deployment"] == "well/shared"


def test_a_stream_adds_up(client: openai.AzureOpenAI) -> None:
    stream = client.chat.completions.create(model="talker", messages=HELLO, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_texts_are_embedded_and_gone_on_with(client: openai.AzureOpenAI) -> None:
    assert len(client.embeddings.create(model="embedder", input=["one", "two"]).data) == 2
    assert client.completions.create(model="writer", prompt="Once").choices[0].text


def test_responses_and_models_are_there_too(client: openai.AzureOpenAI) -> None:
    assert client.responses.create(model="talker", input="Hello").output_text
    assert "talker" in {model.id for model in client.models.list()}


def test_the_interface_without_versions_is_there_too(daemon: Daemon) -> None:
    with openai.OpenAI(base_url=f"{address(daemon)}/openai/v1/", api_key="unused") as client:
        assert client.chat.completions.create(model="talker", messages=HELLO).choices[0].message.content
        assert client.responses.create(model="talker", input="Hello").output_text
        assert client.models.retrieve("sim/talker").id == "sim/talker"


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_are_the_sdks_own(client: openai.AzureOpenAI, streamed: bool) -> None:
    with pytest.raises(openai.NotFoundError, match="no-such") as caught:
        client.chat.completions.create(model="no-such", messages=HELLO, stream=streamed)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="audio/speech"):
        client.audio.speech.create(model="talker", input="Hello", voice="alloy")
