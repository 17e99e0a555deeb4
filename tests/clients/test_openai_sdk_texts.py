"""OpenAI's own SDK, unmodified, against the daemon: embeddings, and text completions."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import openai
import pytest

from .conftest import Daemon

TEXTS = [f"note {number} about {'rivers' if number % 2 else 'bridges'}" for number in range(7)]


@pytest.fixture
def client(daemon: Daemon) -> openai.OpenAI:
    return openai.OpenAI(base_url=daemon.url, api_key="unused", max_retries=0)


def test_the_sdks_default_and_plain_numbers_are_the_same_vectors(client: openai.OpenAI) -> None:
    # Without a word about it the SDK asks for base64, and unpacks it.
    packed = client.embeddings.create(model="embedder", input=TEXTS)
    plain = client.embeddings.create(model="embedder", input=TEXTS, encoding_format="float")
    assert [each.index for each in packed.data] == list(range(7))
    for one, other in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == 256
        assert one.embedding == pytest.approx(other.embedding, abs=1e-7)
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 0


def test_base64_that_is_asked_for_is_that_of_32_bit_floats(client: openai.OpenAI) -> None:
    reply = client.embeddings.create(
        model="embedder", input="a note", encoding_format="base64", dimensions=16
    )
    data: Any = reply.data[0].embedding
    assert len(struct.unpack("<16f", base64.b64decode(data))) == 16


def test_who_made_the_vectors_and_what_they_cost_stands_in_the_headers(client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="embedder", input=TEXTS)
    reply = raw.parse()
    assert raw.headers["x-dispatch-deployment"] == "vectors/embedder"
    assert raw.headers["x-dispatch-attempts"] == "3"
    assert float(raw.headers["x-dispatch-cost"]) == pytest.approx(reply.usage.prompt_tokens / 1e6)


def test_tokens_are_embedded_as_they_are(client: openai.OpenAI) -> None:
    reply = client.embeddings.create(model="embedder", input=[[1, 2, 3], [4]])
    assert len(reply.data) == 2
    assert reply.usage.prompt_tokens == 4


def test_the_asynchronous_client_embeds_too(daemon: Daemon) -> None:
    async def main() -> list[int]:
        async with openai.AsyncOpenAI(base_url=daemon.url, api_key="unused") as client:
            asked = [client.embeddings.create(model="embedder", input=TEXTS[:count]) for count in (1, 4, 7)]
            return [len(reply.data) for reply in await asyncio.gather(*asked)]

    assert asyncio.run(main()) == [1, 4, 7]


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"model": "talker"}, openai.BadRequestError, "does not do embeddings; these do: bulk, embedder"),
        ({"model": "no-such"}, openai.NotFoundError, "no-such"),
        ({"input": []}, openai.BadRequestError, "input"),
        ({"input": ["a", ""]}, openai.BadRequestError, "input"),
        ({"input": ["a", 1]}, openai.BadRequestError, "input"),
        ({"dimensions": 0}, openai.BadRequestError, "dimensions"),
        ({"encoding_format": "hex"}, openai.BadRequestError, "encoding_format"),
        ({"extra_body": {"input_type": "poetry"}}, openai.BadRequestError, "input_type"),
        ({"extra_body": {"input_type": "query"}}, openai.BadRequestError, "input_type is not supported"),
    ],
)
def test_what_cannot_be_embedded_is_refused_with_the_sdks_own_errors(
    client: openai.OpenAI, wish: dict[str, Any], error: type[openai.APIStatusError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        client.embeddings.create(**{"model": "embedder", "input": "a note", **wish})
    assert caught.value.code


def test_a_model_is_told_by_its_name_with_what_it_does(client: openai.OpenAI) -> None:
    told = {name: client.models.retrieve(name).model_dump() for name in ("embedder", "sim/talker", "auto")}
    assert [each["operations"] for each in told.values()] == [
        ["embeddings"],
        ["chat"],
        ["chat", "completions"],
    ]
    assert told["embedder"]["vendors"] == ["vectors"]
    with pytest.raises(openai.NotFoundError, match="no-such"):
        client.models.retrieve("no-such")


# --- text completions ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["talker", "writer"])
def test_a_text_is_gone_on_with(client: openai.OpenAI, model: str) -> None:
    reply = client.completions.create(model=model, prompt="Once upon a time", max_tokens=5)
    assert reply.object == "text_completion"
    assert reply.choices[0].text
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5


@pytest.mark.parametrize("model", ["talker", "writer"])
def test_a_streamed_text_adds_up_and_ends(client: openai.OpenAI, model: str) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.completions.create(
            model=model, prompt="Once", max_tokens=5, stream=True, stream_options=options
        )
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


def test_several_prompts_have_their_answers_one_after_another(client: openai.OpenAI) -> None:
    raw = client.completions.with_raw_response.create(
        model="talker", prompt=["first question", "second question"], n=2, max_tokens=40
    )
    reply = raw.parse()
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert raw.headers["x-dispatch-attempts"] == "2"


def test_what_a_chat_cannot_say_is_refused_unless_a_model_completes_texts(client: openai.OpenAI) -> None:
    wishes: list[dict[str, Any]] = [{"suffix": "The end."}, {"echo": True}, {"logprobs": 1}, {"best_of": 3}]
    for wish in wishes:
        with pytest.raises(openai.BadRequestError, match=next(iter(wish))):
            client.completions.create(model="talker", prompt="Once", **wish)
        assert client.completions.create(model="writer", prompt="Once", max_tokens=2, **wish).choices
    with pytest.raises(openai.BadRequestError, match="tokens"):
        client.completions.create(model="talker", prompt=[1, 2, 3])


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"model": "embedder"}, openai.BadRequestError, "does not do text completion"),
        ({"model": "crasher"}, openai.InternalServerError, "sick"),
        ({"prompt": []}, openai.BadRequestError, "prompt"),
        ({"prompt": ["a", "b"], "stream": True}, openai.BadRequestError, "one prompt at a time"),
        ({"prompt": ["a"] * 100, "n": 2}, openai.BadRequestError, "at most 128"),
    ],
)
def test_errors_of_text_completions_are_the_sdks_own(
    client: openai.OpenAI, wish: dict[str, Any], error: type[openai.APIStatusError], words: str
) -> None:
    with pytest.raises(error, match=words):
        client.completions.create(**{"model": "talker", "prompt": "Once", **wish})


def test_a_large_answer_arrives_whole(client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(
        model="bulk",
        input=[f"note {number}" for number in range(60)],
        dimensions=4000,
        encoding_format="float",
    )
    assert raw.headers.get("transfer-encoding") == "chunked"
    assert [len(each.embedding) for each in raw.parse().data] == [4000] * 60


def test_azures_client_finds_both_at_its_deployments(daemon: Daemon) -> None:
    client = openai.AzureOpenAI(
        azure_endpoint=daemon.url.removesuffix("/v1"),
        api_version="2024-10-21",
        api_key="unused",
        max_retries=0,
    )
    assert len(client.embeddings.create(model="embedder", input="a note").data[0].embedding) == 256
    assert client.completions.create(model="writer", prompt="Once", max_tokens=2).choices[0].text
