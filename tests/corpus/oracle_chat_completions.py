"""What a recorded chat-completions answer holds, read with nothing but `json`: the product's independent check."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged

_WITHOUT_DONE = ("cerebras", "perplexity")
"""Vendors whose recorded streams also end without `[DONE]`, after the reason why the answer did."""


def expected(recording: Recording) -> Expected:
    """The texts, tool calls, finishes and usage of a recording of status 200."""
    text = recording.body.decode("utf-8")
    if text.lstrip().startswith("{"):
        answer = json.loads(text)
        failed = any(holder.get("error") for holder in (answer, *answer.get("choices", [])))
        return _collect([answer], "message", complete=not failed)
    payloads = re.findall(r"^data: ?(.*?)\r?$", text, flags=re.MULTILINE)
    chunks = [json.loads(payload) for payload in payloads if payload and payload != "[DONE]"]
    return _collect(chunks, "delta", complete=_is_complete(recording.vendor, payloads, chunks))


def _is_complete(vendor: str, payloads: list[str], chunks: list[dict[str, Any]]) -> bool:
    """Whether the vendor ended the stream. An error within it is not an end, whatever follows it."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices") or []]
    if not choices or any(holder.get("error") for holder in (*chunks, *choices)):
        return False
    if vendor in _WITHOUT_DONE:
        return "[DONE]" in payloads or any(choice.get("finish_reason") for choice in choices)
    return "[DONE]" in payloads


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
            said, thought = _content(message.get("content"))
            texts[index] = texts.get(index, "") + said
            thought += message.get("reasoning_content") or message.get("reasoning") or ""
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


def _content(content: Any) -> tuple[str, str]:
    """Text and thoughts of a content, which Mistral's reasoning models send as a list of pieces."""
    if not isinstance(content, list):
        return content or "", ""
    texts = [piece["text"] for piece in content if piece["type"] == "text"]
    thoughts = [
        each["text"] for piece in content if piece["type"] == "thinking" for each in piece["thinking"]
    ]
    return "".join(texts), "".join(thoughts)


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text


def _usage(raw: dict[str, Any]) -> dict[str, int]:
    """What was put in and what came out, of which some vendors name a part in their sum alone."""
    total, put_in, came_out = raw.get("total_tokens"), raw["prompt_tokens"], raw["completion_tokens"]
    if total and "prompt_audio_seconds" in raw:
        put_in = total - came_out  # Mistral counts what it heard in seconds.
    elif total:
        came_out = total - put_in
    found = {"input_tokens": put_in, "output_tokens": came_out}
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
