"""What a recorded answer in the responses format holds, read with nothing but `json`: the product's independent check.

Of a stream only the pieces count, and for the end its last event: never what that repeats, except for items of which no
piece was told.
"""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged

FOLDERS = tuple(
    f"{vendor}-responses"
    for vendor in ("openai", "azure-openai", "azure-ai", "deepseek", "openrouter", "xai", "llamacpp")
)

_USAGE = {
    "input_tokens": ("input_tokens", None),
    "output_tokens": ("output_tokens", None),
    "cache_read_tokens": ("input_tokens_details", "cached_tokens"),
    "cache_write_tokens": ("input_tokens_details", "cache_write_tokens"),
    "reasoning_tokens": ("output_tokens_details", "reasoning_tokens"),
}


def expected(recording: Recording) -> Expected:
    """The texts, thoughts, calls, end and usage of a recording of status 200. A refusal is no text."""
    text = recording.body.decode("utf-8")
    if text.lstrip().startswith("{"):
        raw = json.loads(text)
        whole = raw["status"] in ("completed", "complete", "incomplete")
        return _expected(dict(enumerate(raw["output"])), raw, complete=whole)
    pieces: dict[int, dict[str, Any]] = {}
    response: dict[str, Any] = {}
    kinds = []
    for payload in re.findall(r"^data: ?(\{.*?)\r?$", text, flags=re.MULTILINE):
        event = json.loads(payload)
        kind = event["type"]
        kinds.append(kind)
        response = event.get("response") or response
        if kind == "response.output_item.added":
            pieces[event["output_index"]] = {**event["item"], "texts": {}, "thoughts": {}}
        elif kind.endswith(".delta"):
            _add(pieces[event["output_index"]], kind, event)
    items = {index: _item(piece) for index, piece in pieces.items()}
    ended = kinds[-1] in ("response.completed", "response.incomplete") and "error" not in kinds
    return _expected(items, response, complete=ended)


def _add(item: dict[str, Any], kind: str, event: dict[str, Any]) -> None:
    delta = event["delta"]
    if kind == "response.function_call_arguments.delta":
        item["arguments"] += delta
    elif kind == "response.output_text.delta":
        index = event["content_index"]
        item["texts"][index] = item["texts"].get(index, "") + delta
    elif kind.startswith("response.reasoning"):
        key = kind, event.get("summary_index", event.get("content_index"))
        item["thoughts"][key] = item["thoughts"].get(key, "") + delta


def _item(piece: dict[str, Any]) -> dict[str, Any]:
    """An item such as a whole answer would have it."""
    texts = [{"type": "output_text", "text": text} for _, text in sorted(piece.pop("texts").items())]
    thoughts = [{"text": text} for text in piece.pop("thoughts").values()]
    if piece["type"] == "message":
        return {**piece, "content": texts}
    return {**piece, "summary": thoughts, "content": []} if piece["type"] == "reasoning" else piece


def _expected(items: dict[int, dict[str, Any]], raw: dict[str, Any], *, complete: bool) -> Expected:
    order = [item for _, item in sorted(items.items())]
    texts = [
        part["text"]
        for item in order
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    ]
    thoughts = [
        "\n\n".join(part["text"] for part in [*(item.get("summary") or []), *(item.get("content") or [])])
        for item in order
        if item["type"] == "reasoning"
    ]
    calls = [(item["name"], _json(item["arguments"])) for item in order if item["type"] == "function_call"]
    finish = raw.get("status")
    if finish == "incomplete":
        finish = raw["incomplete_details"]["reason"]
    return Expected(
        texts=["".join(texts)],
        thinking=["".join(thoughts)],
        tool_calls=[calls],
        finishes=[finish],
        usage=_usage(raw.get("usage")),
        complete=complete,
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text


def _usage(raw: dict[str, Any] | None) -> dict[str, int] | None:
    if raw is None:
        return None
    found: dict[str, int] = {}
    for ours, (outer, inner) in _USAGE.items():
        value = raw.get(outer)
        if inner is not None:
            value = (value or {}).get(inner)
        if value is not None:
            found[ours] = value
    return found


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
