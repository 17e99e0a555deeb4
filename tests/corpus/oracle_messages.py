"""What a recorded answer of Anthropic's holds, read with nothing but `json`: the product's independent check."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording


def expected(recording: Recording) -> Expected:
    """The text, thinking, tool calls, stop reason and usage of a recording of status 200."""
    text = recording.body.decode("utf-8")
    if text.lstrip().startswith("{"):
        raw = json.loads(text)
        blocks = [
            (
                block["type"],
                block.get("text") or block.get("thinking") or "",
                block.get("name"),
                block.get("input"),
            )
            for block in raw["content"]
        ]
        return _expected(blocks, raw["stop_reason"], raw["usage"], complete=True)
    stop: str | None = None
    usage: dict[str, Any] = {}
    ended = False
    opened: dict[int, list[Any]] = {}
    for payload in re.findall(r"^data: ?(.*?)\r?$", text, flags=re.MULTILINE):
        event = json.loads(payload)
        kind = event["type"]
        if kind == "message_start":
            usage.update(event["message"].get("usage") or {})
        elif kind == "content_block_start":
            block = event["content_block"]
            opened[event["index"]] = [
                block["type"],
                block.get("text") or block.get("thinking") or "",
                block.get("name"),
                "",
            ]
        elif kind == "content_block_delta":
            delta = event["delta"]
            opened[event["index"]][1] += delta.get("text") or delta.get("thinking") or ""
            opened[event["index"]][3] += delta.get("partial_json") or ""
        elif kind == "message_delta":
            stop = event["delta"].get("stop_reason") or stop
            usage.update({name: value for name, value in event["usage"].items() if value is not None})
        elif kind == "message_stop":
            ended = True
    blocks = [(kind, words, name, json.loads(given or "{}")) for kind, words, name, given in opened.values()]
    return _expected(blocks, stop, usage, complete=ended)


def _expected(blocks: list[Any], stop: str | None, usage: dict[str, Any], *, complete: bool) -> Expected:
    reading = usage.get("cache_read_input_tokens") or 0
    writing = usage.get("cache_creation_input_tokens") or 0
    return Expected(
        texts=["".join(words for kind, words, _, _ in blocks if kind == "text")],
        thinking=["".join(words for kind, words, _, _ in blocks if kind == "thinking")],
        tool_calls=[[(name, given) for kind, _, name, given in blocks if kind == "tool_use"]],
        finishes=[stop],
        usage=None
        if not usage
        else {
            "input_tokens": usage["input_tokens"] + reading + writing,
            "output_tokens": usage["output_tokens"],
            "cache_read_tokens": reading,
            "cache_write_tokens": writing,
        },
        complete=complete,
    )


_BY_STATUS = {
    401: FaultClass.AUTH,
    404: FaultClass.NO_MODEL,
    429: FaultClass.RATE_LIMITED,
    500: FaultClass.SERVER_ERROR,
    529: FaultClass.OVERLOADED,
}


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Of the refusals of status 400, one is for length and the others are plain; of those of
    429, one is for connections at once."""
    if recording.status == 429 and b"concurrent connections" in recording.body:
        return FaultClass.CONCURRENCY_LIMITED
    if recording.status == 400:
        return (
            FaultClass.CONTEXT_LENGTH if b"prompt is too long" in recording.body else FaultClass.BAD_REQUEST
        )
    return _BY_STATUS[recording.status]
