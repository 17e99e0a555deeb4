"""What a recorded answer of Bedrock's Converse holds, read with nothing but `json` and `struct`: the product's independent
check."""

from __future__ import annotations

import json
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from tests.fakes.eventstream import unframed

from . import Expected, Recording
from .judgements import judged


def expected(recording: Recording) -> Expected:
    """The text, thoughts, tool calls, finish reason and usage of a recording of status 200."""
    if recording.body[:1] == b"{":
        raw = json.loads(recording.body)
        return _expected(raw["output"]["message"]["content"], raw["stopReason"], raw["usage"])
    blocks: dict[int, dict[str, Any]] = {}
    ending: dict[str, Any] = {}
    for headers, payload in unframed(recording.body):
        event = json.loads(payload)
        number = event.get("contentBlockIndex", 0)
        block = blocks.setdefault(number, {})
        if b"contentBlockStart" in headers:
            block.update(event["start"])
            block["toolUse"]["input"] = ""
        elif b"contentBlockDelta" in headers:
            delta = event["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            thought = delta.get("reasoningContent", {}).get("text", "")
            block["thought"] = block.get("thought", "") + thought
            if "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
        else:
            ending.update(event)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        if block.get("thought"):
            block["reasoningContent"] = {"reasoningText": {"text": block["thought"]}}
    content = [block for _, block in sorted(blocks.items())]
    return _expected(content, ending.get("stopReason"), ending.get("usage"))


def _expected(content: list[dict[str, Any]], finish: str | None, usage: dict[str, Any] | None) -> Expected:
    thoughts = [
        block["reasoningContent"].get("reasoningText", {}).get("text", "")
        for block in content
        if "reasoningContent" in block
    ]
    return Expected(
        texts=["".join(_text(block) for block in content)],
        thinking=["".join(thoughts)],
        tool_calls=[
            [
                (block["toolUse"]["name"], block["toolUse"]["input"])
                for block in content
                if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use"
            ]
        ],
        finishes=[finish],
        usage=None
        if usage is None
        else {
            "input_tokens": usage["totalTokens"] - usage["outputTokens"],
            "output_tokens": usage["outputTokens"],
            "cache_read_tokens": usage.get("cacheReadInputTokens", 0),
            "cache_write_tokens": usage.get("cacheWriteInputTokens", 0),
        },
        complete=finish is not None,
    )


def _text(block: dict[str, Any]) -> str:
    cited = block.get("citationsContent", {}).get("content", [])
    return str(block.get("text", "")) + "".join(str(each["text"]) for each in cited)


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
