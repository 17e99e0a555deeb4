"""What the recordings of Google's format hold, read with nothing but `json` and a split.

Written apart from the product, and simpler: it never sees a stream in pieces.
"""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged

FOLDERS = ("gemini-generate", "vertex-generate")

WORDS = {1: "STOP", 2: "MAX_TOKENS"}
"""The finish reasons that occur as numbers."""


def pieces(recording: Recording) -> list[dict[str, Any]]:
    """The JSON objects of an answer, in whichever of the three shapes it came."""
    text = recording.body.decode().strip()
    if text.startswith("["):
        return list(json.loads(text))
    if text.startswith("{"):
        return [json.loads(text)]
    blocks = re.split(r"(?:\r\n|\n|\r){2,}", text)
    return [json.loads(block[len("data:") :]) for block in blocks if block.startswith("data:")]


def expected(recording: Recording) -> Expected:
    """The answer of a recording of status 200."""
    texts: dict[int, str] = {}
    thinking: dict[int, str] = {}
    calls: dict[int, list[tuple[str, Any]]] = {}
    finishes: dict[int, str | None] = {}
    usage: dict[str, int] | None = None
    for piece in pieces(recording):
        for position, candidate in enumerate(piece.get("candidates", [])):
            index = candidate.get("index", position)
            for store, empty in ((texts, ""), (thinking, "")):
                store.setdefault(index, empty)
            calls.setdefault(index, [])
            for part in candidate.get("content", {}).get("parts", []):
                if "functionCall" in part:
                    calls[index].append((part["functionCall"]["name"], part["functionCall"].get("args", {})))
                elif part.get("thought"):
                    thinking[index] += part.get("text", "")
                else:
                    texts[index] += part.get("text", "")
            word = candidate.get("finishReason")
            finishes[index] = WORDS[word] if isinstance(word, int) else word or finishes.get(index)
        if "blockReason" in piece.get("promptFeedback", {}) and "candidates" not in piece:
            texts[0], thinking[0], calls[0] = "", "", []
            finishes[0] = piece["promptFeedback"]["blockReason"]
        usage = _usage(piece.get("usageMetadata", {})) or usage
    order = sorted(texts)
    return Expected(
        texts=[texts[index] for index in order],
        thinking=[thinking[index] for index in order],
        tool_calls=[calls[index] for index in order],
        finishes=[finishes[index] for index in order],
        usage=usage,
        complete=all(finishes.values()),
    )


def _usage(raw: dict[str, Any]) -> dict[str, int] | None:
    if not any(name.endswith("TokenCount") for name in raw):
        return None
    found = {
        "input_tokens": raw.get("promptTokenCount", 0) + raw.get("toolUsePromptTokenCount", 0),
        "output_tokens": raw.get("candidatesTokenCount", 0) + raw.get("thoughtsTokenCount", 0),
        "cache_read_tokens": raw.get("cachedContentTokenCount", 0),
        "reasoning_tokens": raw.get("thoughtsTokenCount", 0),
    }
    for direction, field in (("input", "promptTokensDetails"), ("output", "candidatesTokensDetails")):
        heard = [item["tokenCount"] for item in raw.get(field, []) if item["modality"] == "AUDIO"]
        found[f"audio_{direction}_tokens"] = sum(heard)
    return found


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
