"""What belongs to other operations than chat: embeddings and text completions, asked for by clients and answered by vendors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
from llm_dispatcher.runtime.canon import Event, Failed
from llm_dispatcher.runtime.dialects import (
    Dialect,
    Unsupported,
    VendorFault,
    dialect_class,
)
from llm_dispatcher.runtime.dialects import (
    Target as Place,
)
from llm_dispatcher.runtime.dialects.base import InvalidBody
from llm_dispatcher.runtime.dialects.formats.completions import reply as texts
from llm_dispatcher.runtime.dialects.formats.completions import request as text_requests
from llm_dispatcher.runtime.dialects.formats.completions.stream import Writer
from llm_dispatcher.runtime.dialects.formats.embeddings import reply as vectors
from llm_dispatcher.runtime.dialects.formats.embeddings import request as vector_requests
from llm_dispatcher.runtime.operations import operation_of
from llm_dispatcher.runtime.operations.base import Work
from llm_dispatcher.runtime.vectors import Embed, Embeddings, flaw_in, length_of

from tests.corpus import ROOT, folder

from .target import Target
from .targets_wire import same_for_every_cut

__all__ = ["targets"]

_MOST_RECORDED: Final = 3
_LONGEST: Final = 40_000

_EMBEDDERS: Final = {"openai": "*-embeddings", "google": "gemini-embeddings", "cohere": "cohere-embeddings"}
_VECTORS: Final[dict[str, list[Any]]] = {
    "openai": [
        {"data": [{"index": 1, "embedding": [0.5, 1]}, {"index": 0, "embedding": "AACAPwAAAEA="}], "model": "m",
         "usage": {"prompt_tokens": 2, "total_tokens": 2}},
        {"error": {"message": "no", "code": 429}},
    ],
    "google": [
        {"embeddings": [{"values": [0.5, 1]}, {"values": [1, 2]}], "usageMetadata": {"promptTokenCount": 3}},
        {"embedding": {"values": [1]}},
        {"predictions": [{"embeddings": {"values": [1, 2], "statistics": {"token_count": 3.0}}}]},
        {"error": {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED"}},
    ],
    "cohere": [{"embeddings": {"float": [[1, 2], [3, 4]]}, "meta": {"billed_units": {"input_tokens": 3}}}],
}  # fmt: skip
_VECTOR_CLIENTS: Final[list[Any]] = [
    {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 4, "user": "u", "x": [1]},
    {"model": "m", "input": "a", "input_type": "search_query", "mode": "fast"},
    {"model": "m", "input": [[1, 2], [3]]},
    {"model": "m", "input": [1, 2]},
]
_TEXT_CLIENTS: Final[list[Any]] = [
    {"model": "m", "prompt": "a", "suffix": "b", "max_tokens": 5, "n": 2, "best_of": 3, "logprobs": 1, "echo": True,
     "stop": ["x"], "stream": True, "stream_options": {"include_usage": True}, "logit_bias": {"1": 2}, "seed": 1},
    {"model": "m", "prompt": ["a", "b"], "temperature": 0.5, "top_p": 1, "top_k": 3, "stop": "x", "user": "u"},
    {"model": "m", "prompt": [[1, 2], [3]]},
    {"model": "m", "prompt": [1, 2]},
]  # fmt: skip
_CHOICE: Final = {"text": "a", "index": 0, "finish_reason": "stop", "logprobs": {"tokens": ["a"]}}
_TEXT_ANSWERS: Final[list[Any]] = [
    {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [_CHOICE, {**_CHOICE, "index": 1}],
     "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}},
    {"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]},
    {"error": {"message": "no"}},
]  # fmt: skip
_TEXT_STREAM: Final = b"".join(
    b"data: " + json.dumps(chunk).encode() + b"\n\n"
    for chunk in ({"choices": [{**_CHOICE, "finish_reason": None}]}, {"choices": [{**_CHOICE, "text": ""}]})
)


def targets() -> Iterator[Target]:
    """An answer and a client's request of either operation, and a streamed text."""
    for name, recorded in _EMBEDDERS.items():
        seeds = partial(_seeds, _VECTORS[name], recorded)
        yield Target(
            f"{name}-embeddings", "json", seeds, partial(check_vectors, _dialect(name)), home=_VECTOR_HOME
        )
    completing = _dialect("openai")
    yield Target(
        "openai-texts",
        "json",
        partial(_seeds, _TEXT_ANSWERS, "*-completions"),
        partial(check_text, completing),
        home=_TEXT_HOME,
    )
    yield Target(
        "openai-texts-decoder",
        "sse",
        lambda: [_TEXT_STREAM + b"data: [DONE]\n\n"],
        partial(check_text_stream, completing),
        home=_TEXT_HOME,
    )
    asked = [_dialect(name) for name in _EMBEDDERS]
    for spoken, clients, read, home in (
        ("embeddings", _VECTOR_CLIENTS, _read_vectors, _VECTOR_HOME),
        ("completions", _TEXT_CLIENTS, _read_texts, _TEXT_HOME),
    ):
        yield Target(
            f"{spoken}-client",
            "json",
            partial(_seeds, clients),
            partial(check_client, read, asked),
            home=home,
        )


_VECTOR_HOME: Final = "tests/runtime/dialects/test_embeddings.py"
_TEXT_HOME: Final = "tests/runtime/dialects/test_completions.py"


def _dialect(name: str) -> Dialect:
    kind = dialect_class(name)
    place = Place(
        vendor="v",
        base_url="https://v.example/v1",
        model="m",
        key="k",
        lenient=True,
        operations=kind.operations,
    )
    return kind(place)


def _seeds(written: list[Any], recorded: str = "") -> list[bytes]:
    found = [json.dumps(each).encode() for each in written]
    for path in sorted(ROOT.glob(recorded)) if recorded else ():
        small = [each.body for each in folder(path.name) if len(each.body) < _LONGEST and not each.refused]
        found += sorted(small, key=len)[:_MOST_RECORDED]
    return found


def _read_vectors(case: bytes) -> list[Work]:
    return [vector_requests.read(case).request]


def _read_texts(case: bytes) -> list[Work]:
    return [*text_requests.read(case).requests]


def check_vectors(dialect: Dialect, case: bytes) -> None:
    """Sound vectors, which can be written to a client, or a `VendorFault`."""
    half = dialect.embedder
    assert half is not None
    try:
        found = half.embeddings(case, Embed(model="m", inputs=["a", "b"]))
    except VendorFault as refusal:
        assert refusal.fault.message
        return
    msgspec.convert(msgspec.to_builtins(found), Embeddings)
    assert all(length_of(vector) >= 0 for vector in found.vectors)
    assert found.usage is None or 0 <= found.usage.input_tokens <= 10**15
    if flaw_in(found.vectors, Embed(model="m", inputs=["a"] * len(found.vectors))) is None:
        json.loads(b"".join(vectors.write(found, model="m", encoding="float")))
        json.loads(b"".join(vectors.write(found, model="m", encoding="base64")))


def check_text(dialect: Dialect, case: bytes) -> None:
    """A completion that can be written to a client, or a `VendorFault`."""
    assert dialect.texts is not None
    try:
        found = dialect.texts.completion(case)
    except VendorFault as refusal:
        assert refusal.fault.message
        return
    json.loads(msgspec.json.encode(texts.write([found], n=1, id="i", model="m", created=1)))


def check_text_stream(dialect: Dialect, case: bytes) -> None:
    """The same events in every cut, each of which can be written to a client."""
    half = dialect.texts
    assert half is not None

    def run(pieces: list[bytes]) -> str:
        decoder = half.decoder()
        events: list[Event] = [event for piece in pieces for event in decoder.feed(piece)]
        events += decoder.close()
        assert not any(isinstance(event, Failed) for event in events[:-1]), "something follows a Failed"
        writer = Writer(id="i", model="m", created=1, include_usage=True)
        for told in b"".join([*map(writer.write, events), writer.close()]).split(b"\n\n")[:-1]:
            data = told.removeprefix(b"data: ")
            assert data == b"[DONE]" or isinstance(json.loads(data), dict)
        return repr(events)

    same_for_every_cut(case, run)


def check_client(read: Callable[[bytes], list[Work]], asked: list[Dialect], case: bytes) -> None:
    """Requests of a sound size that every dialect can write or says it cannot, or a refusal."""
    try:
        requests = read(case)
    except InvalidBody as error:
        assert str(error)
        return
    for request in requests:
        operation = operation_of(request)
        facts = operation.facts(request, 100_000)
        assert 0 <= facts.input_tokens <= 10**12
        assert operation.most(request, 1000).input_tokens >= 0
        for dialect in asked:
            try:
                built = operation.build(dialect, request, stream=False)
            except Unsupported:
                continue
            json.loads(built.request.read())
