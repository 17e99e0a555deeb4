"""How each vendor is asked for embeddings, and what its answers become."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.config import load_mapping
from llm_dispatcher.runtime.config.catalogue import catalogue
from llm_dispatcher.runtime.dialects import (
    BatchLimits,
    Dialect,
    Target,
    Unsupported,
    VendorFault,
    dialect_class,
)
from llm_dispatcher.runtime.dialects.base import EmbeddingsHalf, InvalidBody
from llm_dispatcher.runtime.dialects.formats.embeddings.reply import write
from llm_dispatcher.runtime.dialects.formats.embeddings.request import read
from llm_dispatcher.runtime.plan import plan_deployments
from llm_dispatcher.runtime.vectors import Embed, Embeddings, Vector

VERTEX = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"


def half(
    name: str = "openai", url: str = "https://v.example/v1", model: str = "m", **more: Any
) -> EmbeddingsHalf:
    found = dialect(name, url, model, **more).embedder
    assert found is not None
    return found


def dialect(name: str, url: str, model: str, **more: Any) -> Dialect:
    more.setdefault("operations", frozenset({"embeddings"}))
    return dialect_class(name)(Target(vendor="v", base_url=url, model=model, key="k", **more))


def asked(of: EmbeddingsHalf, wanted: Embed | None = None, **fields: Any) -> tuple[str, dict[str, Any]]:
    """The address and the body of a request."""
    built = of.build(wanted or Embed(**{"model": "x", "inputs": ["one", "two"], **fields}))
    body: dict[str, Any] = json.loads(built.request.read())
    return str(built.request.url), body


# --- out ----------------------------------------------------------------------------------------


def test_openai_itself_is_asked_for_base64_and_any_other_server_for_nothing_in_particular() -> None:
    own = half(url="https://api.openai.com/v1")
    assert asked(own, dimensions=5, user="u") == (
        "https://api.openai.com/v1/embeddings",
        {"model": "m", "input": ["one", "two"], "encoding_format": "base64", "dimensions": 5, "user": "u"},
    )
    assert asked(half()) == ("https://v.example/v1/embeddings", {"model": "m", "input": ["one", "two"]})


@pytest.mark.parametrize(
    ("version", "address"),
    [
        ("2024-10-21", "https://a.example/openai/deployments/my%20ada/embeddings?api-version=2024-10-21"),
        ("v1", "https://a.example/openai/v1/embeddings"),
    ],
)
def test_azure_is_asked_at_its_deployments_address(version: str, address: str) -> None:
    azure = half("azure", "https://a.example", "my ada", options={"api_version": version})
    assert asked(azure)[0] == address
    assert azure.most == BatchLimits(2048, 300_000)


@pytest.mark.parametrize(
    ("url", "model", "method", "limits", "body"),
    [
        (
            GEMINI,
            "gemini-embedding-001",
            "models/gemini-embedding-001:batchEmbedContents",
            BatchLimits(100),
            {
                "requests": [
                    {
                        "model": "models/gemini-embedding-001",
                        "content": {"parts": [{"text": text}]},
                        "taskType": "RETRIEVAL_QUERY",
                        "outputDimensionality": 8,
                    }
                    for text in ("one", "two")
                ]
            },
        ),
        (
            VERTEX,
            "text-embedding-005",
            "models/text-embedding-005:predict",
            BatchLimits(250, 20_000),
            {
                "instances": [
                    {"content": "one", "task_type": "RETRIEVAL_QUERY"},
                    {"content": "two", "task_type": "RETRIEVAL_QUERY"},
                ],
                "parameters": {"outputDimensionality": 8},
            },
        ),
        (
            VERTEX,
            "gemini-embedding-2",
            "models/gemini-embedding-2:embedContent",
            BatchLimits(1),
            {
                "content": {"parts": [{"text": "one"}]},
                "taskType": "RETRIEVAL_QUERY",
                "outputDimensionality": 8,
            },
        ),
    ],
)
def test_google_is_asked_in_the_way_that_the_address_and_the_model_take(
    url: str, model: str, method: str, limits: BatchLimits, body: dict[str, Any]
) -> None:
    google = half("google", url, model)
    inputs = ["one", "two"][: limits.inputs]
    assert asked(google, inputs=inputs, task="query", dimensions=8) == (f"{url}/{method}", body)
    assert google.most == limits


def test_a_text_is_a_document_to_cohere_unless_somebody_says_otherwise() -> None:
    url, body = asked(half("cohere", "https://c.example/v2"), dimensions=256)
    assert (url, body["input_type"], body["embedding_types"], body["output_dimension"]) == (
        "https://c.example/v2/embed", "search_document", ["float"], 256,
    )  # fmt: skip
    assert asked(half("cohere"), task="query")[1]["input_type"] == "search_query"
    usual = half("cohere", options={"embeddings": {"task": "clustering"}})
    assert asked(usual)[1]["input_type"] == "clustering"
    assert half("cohere").most == BatchLimits(96)


@pytest.mark.parametrize("name", ["openai", "google", "cohere"])
def test_an_input_of_tokens_is_refused_where_only_text_is_taken_even_by_the_lenient(name: str) -> None:
    with pytest.raises(Unsupported, match="an input of tokens"):
        half(name, lenient=True).build(Embed(model="x", inputs=[[1, 2]]))


@pytest.mark.parametrize(
    ("name", "fields", "feature"),
    [
        ("openai", {"task": "query"}, "input_type"),
        ("cohere", {"task": "code_query"}, "input_type code_query"),
        ("cohere", {"extra": {"embeddings": {"x": 1}}}, "embeddings.x"),
        ("google", {"extra": {"cohere_embed": {"truncate": "END"}}}, "cohere_embed.truncate"),
        ("openai", {"extra": {"embed_content": {"title": "t"}}}, "embed_content.title"),
    ],
)
def test_what_a_vendor_cannot_say_is_refused_or_named(
    name: str, fields: dict[str, Any], feature: str
) -> None:
    wanted = Embed(**{"model": "x", "inputs": ["one"], **fields})
    with pytest.raises(Unsupported, match=feature):
        half(name).build(wanted)
    assert half(name, lenient=True).build(wanted).dropped == (feature,)


def test_fields_of_a_vendors_own_are_passed_on_to_it() -> None:
    assert asked(half("cohere"), extra={"cohere_embed": {"truncate": "END"}})[1]["truncate"] == "END"
    assert asked(half(), extra={"embeddings": {"priority": 1}})[1]["priority"] == 1
    google = asked(half("google"), extra={"embed_content": {"title": "t"}})[1]
    assert [each["title"] for each in google["requests"]] == ["t", "t"]


def planned(name: str, **more: Any) -> EmbeddingsHalf:
    """As configured by a row of the catalogue."""
    vendor = {"name": name, "api_key": "k", "models": [{"name": "m", "operations": ["embeddings"], **more}]}
    (each,) = plan_deployments(load_mapping({"vendors": [vendor]}).vendors)
    found = dialect_class(each.vendor.dialect)(each.target()).embedder
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("openai", BatchLimits(2048, 300_000)),
        ("mistral", BatchLimits(512, 16_384)),
        ("gemini-openai", BatchLimits(100)),
        ("google", BatchLimits(100)),
        ("cohere", BatchLimits(96)),
        ("alibaba", BatchLimits(10)),
        ("ollama", BatchLimits(256)),
    ],
)
def test_the_catalogue_knows_how_much_a_vendor_takes_in_one_call(name: str, limits: BatchLimits) -> None:
    assert name in catalogue()
    assert planned(name).most == limits


def test_mistral_and_nvidia_have_words_of_their_own() -> None:
    mistral = planned("mistral", options={"embeddings": {"most_inputs": 7}})
    assert mistral.most == BatchLimits(7, 16_384)
    assert asked(mistral, dimensions=64)[1]["output_dimension"] == 64
    assert asked(planned("nvidia"))[1]["input_type"] == "passage"
    assert asked(planned("nvidia"), task="query")[1]["input_type"] == "query"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("openai", {"embeddings": {"no_such": 1}}, "no_such.*known are most_inputs"),
        ("openai", {"embeddings": 5}, "is a table"),
        ("openai", {"embeddings": {"most_inputs": 0}}, "at least 1"),
        ("google", {"embeddings": {"way": "none"}}, "embeddings"),
        ("google", {"embeddings": {"way": "single", "most_inputs": 5}}, "most_inputs"),
        ("cohere", {"embeddings": {"most_inputs": 0}}, "most_inputs"),
    ],
)
def test_a_wrong_option_is_named_with_those_that_there_are(
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        half(name, options=options)


def test_a_dialect_without_embeddings_says_so_when_it_is_configured() -> None:
    with pytest.raises(ValueError, match="'anthropic' has no embeddings"):
        dialect("anthropic", "https://a.example", "m")
    assert dialect("openai", "https://v.example", "m", operations=frozenset({"chat"})).embedder is None


# --- in -----------------------------------------------------------------------------------------

PACKED = b"\x00\x00\x80?\x00\x00\x00@"
ONE_TWO = b64encode(PACKED).decode()


@pytest.mark.parametrize(
    ("name", "answer", "vectors", "tokens"),
    [
        (
            "openai",
            {"data": [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": ONE_TWO}], "usage": {"prompt_tokens": 5}},
            [PACKED, [3.0, 4.0]],
            5,
        ),
        ("openai", {"data": [{"embedding": [1]}, {"embedding": [2]}], "usage": None}, [[1.0], [2.0]], None),
        ("openai", {"data": [{"embedding": [1]}], "usage": {"total_tokens": 7}}, [[1.0]], 7),
        ("google", {"embeddings": [{"values": [1]}, {}], "usageMetadata": {"promptTokenCount": 4}}, [[1.0], []], 4),
        ("google", {"embedding": {"values": [1, 2]}}, [[1.0, 2.0]], None),
        (
            "google",
            {"predictions": [{"embeddings": {"values": [n], "statistics": {"token_count": n}}} for n in (1, 2)]},
            [[1.0], [2.0]],
            3,
        ),
        ("google", {"predictions": [{"embeddings": {"values": [1]}}]}, [[1.0]], None),
        ("cohere", {"embeddings": {"float": [[1]]}, "meta": {"billed_units": {"input_tokens": 9}}}, [[1.0]], 9),
        ("cohere", {"embeddings": {"float": [[1]]}}, [[1.0]], None),
    ],
)  # fmt: skip
def test_an_answer_becomes_vectors_in_their_inputs_order(
    name: str, answer: dict[str, Any], vectors: list[Vector], tokens: int | None
) -> None:
    found = half(name).embeddings(json.dumps(answer).encode(), Embed(model="x", inputs=["one"]))
    assert found.vectors == vectors
    assert found.usage == (None if tokens is None else Usage(input_tokens=tokens))


@pytest.mark.parametrize("name", ["openai", "google", "cohere"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"data": 1, "embeddings": 2}', b"\xff"])
def test_what_is_no_answer_is_malformed(name: str, body: bytes) -> None:
    with pytest.raises(VendorFault) as failed:
        half(name).embeddings(body, Embed(model="x", inputs=["one"]))
    assert failed.value.fault.kind is FaultClass.MALFORMED


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("openai", {"error": {"message": "slow down", "code": 429}, "data": "none"}),
        ("openai", {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}),
        ("google", {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}),
    ],
)
def test_an_error_within_an_answer_of_status_200_is_recognised(name: str, error: dict[str, Any]) -> None:
    with pytest.raises(VendorFault) as failed:
        half(name).embeddings(json.dumps(error).encode(), Embed(model="x", inputs=["one"]))
    assert failed.value.fault.kind is FaultClass.RATE_LIMITED


# --- from clients -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "inputs"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_a_client_says_its_input_in_any_of_four_ways(given: Any, inputs: Any) -> None:
    assert read(json.dumps({"model": "m", "input": given}).encode()).request.inputs == inputs


@pytest.mark.parametrize(
    "given", ["", [], [""], ["a", ""], [[]], ["a", 1], [1, "a"], [[1], "a"], [-1], {"a": 1}, None]
)
def test_any_other_input_is_refused_by_its_name(given: Any) -> None:
    with pytest.raises(InvalidBody) as refused:
        read(json.dumps({"model": "m", "input": given}).encode())
    assert refused.value.param == "input"


def test_a_clients_other_fields_are_read_or_kept() -> None:
    body = {
        "model": "m",
        "input": "a",
        "input_type": "search_query",
        "user": "u",
        "mode": "fast",
        "dimensions": 3,
        "x": 1,
    }
    wanted = read(json.dumps(body | {"encoding_format": "base64", "y": None}).encode())
    assert wanted.encoding == "base64"
    assert wanted.request == Embed(
        model="m", inputs=["a"], task="query", user="u", mode="fast", dimensions=3, extra={"embeddings": {"x": 1}}
    )  # fmt: skip
    assert read(json.dumps(body).encode(), "of-the-path").request.model == "of-the-path"


# --- to clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 500])
def test_however_many_pieces_an_answer_is_written_in_it_is_the_same(count: int) -> None:
    vectors: list[Vector] = [[float(n), *[0.5] * 600] for n in range(count)]
    pieces = list(write(Embeddings(vectors=vectors, usage=Usage(7)), model="m", encoding="float"))
    assert (len(pieces) > 1) == (count == 500)
    told = json.loads(b"".join(pieces))
    assert told["data"] == [
        {"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)
    ]
    assert (told["object"], told["model"]) == ("list", "m")
    assert told["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
