"""What a recorded answer with embeddings holds, in every vendor's format, read with nothing but `json` and `struct`."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Dispatcher, Embed, Embeddings

from . import Recording
from .judgements import judged


class Expected(msgspec.Struct, frozen=True):
    """The vectors, in their inputs' order, and the tokens of input that were reported."""

    vectors: list[list[float]]
    tokens: int | None
    complete: bool = True


def model(recording: Recording) -> dict[str, Any]:
    """The model's table in the configuration. At Vertex AI the address says how embeddings are asked for."""
    table: dict[str, Any] = {"operations": ["embeddings"]}
    if recording.url.endswith(":embedContent"):
        table["options"] = {"embeddings": {"way": "single"}}
    elif recording.vendor == "openai":
        # What goes without saying of its own address only.
        table["options"] = {"embeddings": {"tokens": True}}
    return table


def is_spoken(recording: Recording) -> bool:
    """Whether such an answer is ever asked for: no other numbers than floats are, and no vectors of pictures alone."""
    body = recording.request_body
    return "images" not in body and body.get("embedding_types", ["float"]) == ["float"]


async def ask(dispatcher: Dispatcher, name: str, recording: Recording) -> Embeddings:
    """What the recorded client asked for, asked of the dispatcher."""
    body = recording.request_body
    dimensions = next((each for each in _dimensions(body) if each > 0), None)
    wanted = Embed(model=name, inputs=list(_inputs(body)), dimensions=dimensions, timeout=30)
    return (await dispatcher.embed(wanted)).embeddings


def expected(recording: Recording) -> Expected:
    """The vectors and the usage of a recording of status 200."""
    answer = json.loads(recording.body)
    usage = answer.get("usage") or answer.get("usageMetadata") or answer.get("meta", {}).get("billed_units")
    usage = usage or {}
    counts = [usage[each] for each in ("prompt_tokens", "promptTokenCount", "input_tokens") if each in usage]
    return Expected(list(_vectors(answer)), counts[0] if counts else None)


def found_in(embeddings: Embeddings, _want: Expected) -> Expected:
    """What the product made of it."""
    usage = embeddings.usage
    return Expected(embeddings.floats(), None if usage is None else usage.input_tokens)


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]


def _vectors(answer: dict[str, Any]) -> Iterator[list[float]]:
    if "data" in answer:
        for item in sorted(answer["data"], key=lambda item: item["index"]):
            yield _numbers(item["embedding"])
    elif "embedding" in answer:
        yield answer["embedding"]["values"]
    elif isinstance(answer["embeddings"], dict):
        yield from answer["embeddings"]["float"]
    else:
        for each in answer["embeddings"]:
            yield each["values"]


def _numbers(raw: str | list[float]) -> list[float]:
    if isinstance(raw, list):
        return raw
    data = base64.b64decode(raw)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _inputs(body: dict[str, Any]) -> Iterator[Any]:
    if "requests" in body:
        for each in body["requests"]:
            yield _text(each["content"])
    elif "content" in body:
        yield _text(body["content"])
    else:
        given = body.get("texts") or body["input"]
        yield from [given] if isinstance(given, str) or isinstance(given[0], int) else given


def _text(content: dict[str, Any]) -> str:
    return " ".join(part["text"] for part in content["parts"] if "text" in part)


def _dimensions(body: dict[str, Any]) -> Iterator[int]:
    for table in (body, *body.get("requests", [])):
        for name in ("dimensions", "output_dimension", "outputDimensionality", "output_dimensionality"):
            if table.get(name) is not None:
                yield table[name]
