"""What a recorded chat-completions answer holds, read with nothing but `json`: the product's independent check."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged

_USAGE = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
}


def expected(recording: Recording) -> Expected:
    """The texts, tool calls, finishes and usage of a recording of status 200."""
    text = recording.body.decode("utf-8")
    if text.lstrip().startswith("{"):
        return _collect([json.loads(text)], "message", complete=True)
    payloads = re.findall(r"^data: ?(.*?)\r?$", text, flags=re.MULTILINE)
    chunks = [json.loads(payload) for payload in payloads if payload and payload != "[DONE]"]
    # An error within the stream is not an end, whatever follows it.
    complete = "[DONE]" in payloads and not any(chunk.get("error") for chunk in chunks)
    return _collect(chunks, "delta", complete=complete)


def _collect(chunks: list[dict[str, Any]], where: str, *, complete: bool) -> Expected:
    texts: dict[int, str] = {}
    thinking: dict[int, str] = {}
    finishes: dict[int, str | None] = {}
    calls: dict[int, dict[int, list[str]]] = {}
    usage: dict[str, int] | None = None
    for chunk in chunks:
        if chunk.get("usage"):
            usage = _usage(chunk["usage"])
        for choice in chunk.get("choices") or []:
            index = choice.get("index", 0)
            message = choice.get(where) or {}
            texts[index] = texts.get(index, "") + (message.get("content") or "")
            thought = message.get("reasoning_content") or message.get("reasoning") or ""
            thinking[index] = thinking.get(index, "") + thought
            finishes[index] = choice.get("finish_reason") or finishes.get(index)
            mine = calls.setdefault(index, {})
            for position, call in enumerate(message.get("tool_calls") or []):
                if "function" not in call:
                    continue
                entry = mine.setdefault(call.get("index", position), ["", ""])
                entry[0] += call["function"].get("name") or ""
                entry[1] += call["function"].get("arguments") or ""
            if message.get("function_call"):
                entry = mine.setdefault(0, ["", ""])
                entry[0] += message["function_call"].get("name") or ""
                entry[1] += message["function_call"].get("arguments") or ""
    order = sorted(texts)
    return Expected(
        texts=[texts[index] for index in order],
        thinking=[thinking[index] for index in order],
        tool_calls=[
            [(name, _json(arguments)) for _, (name, arguments) in sorted(calls.get(index, {}).items())]
            for index in order
        ],
        finishes=[finishes[index] for index in order],
        usage=usage,
        complete=complete,
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text


def _usage(raw: dict[str, Any]) -> dict[str, int]:
    found = {ours: raw[theirs] for theirs, ours in _USAGE.items() if theirs in raw}
    cached = (raw.get("prompt_tokens_details") or {}).get("cached_tokens")
    reasoning = (raw.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if cached is not None:
        found["cache_read_tokens"] = cached
    if reasoning is not None:
        found["reasoning_tokens"] = reasoning
    return found


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
