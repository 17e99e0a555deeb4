"""What a client of the messages format makes of a stream, and in which order it may expect its events.

Written with nothing but `json`, after Anthropic's description of its streams: independent of the product.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["accumulated", "events_in", "plain"]


def events_in(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream; that each is called what its data says is checked."""
    found = []
    for chunk in re.split(r"\r?\n\r?\n", stream.decode("utf-8")):
        lines = dict(
            line.split(": ", 1) for line in re.split(r"\r?\n", chunk) if line and not line.startswith(":")
        )
        if lines:
            event: dict[str, Any] = json.loads(lines["data"])
            assert lines["event"] == event["type"]
            found.append(event)
    return found


def accumulated(stream: bytes) -> dict[str, Any]:
    """The message that a whole stream adds up to. Fails where the order of the events is not the format's."""
    first, *events = [event for event in events_in(stream) if event["type"] != "ping"]
    assert first["type"] == "message_start"
    message: dict[str, Any] = first["message"]
    assert message["content"] == []
    blocks: list[dict[str, Any]] = message["content"]
    inputs: dict[int, str] = {}
    is_open: set[int] = set()
    assert events.pop()["type"] == "message_stop"
    last = events.pop()
    assert last["type"] == "message_delta"
    for event in events:
        index = event["index"]
        if event["type"] == "content_block_start":
            assert index == len(blocks)
            blocks.append(event["content_block"])
            is_open.add(index)
        elif event["type"] == "content_block_stop":
            is_open.remove(index)
            if inputs.get(index):
                blocks[index]["input"] = json.loads(inputs[index])
        else:
            assert event["type"] == "content_block_delta"
            assert index in is_open
            _add(event["delta"], blocks[index], index, inputs)
    assert not is_open
    usage = {**message["usage"], **last["usage"]}
    others = {name: value for name, value in last.items() if name not in ("type", "delta", "usage")}
    return {**message, **last["delta"], **others, "usage": usage}


def _add(delta: dict[str, Any], block: dict[str, Any], index: int, inputs: dict[int, str]) -> None:
    match delta:
        case {"type": "text_delta", "text": text}:
            block["text"] += text
        case {"type": "thinking_delta", "thinking": text}:
            block["thinking"] += text
        case {"type": "signature_delta", "signature": seal}:
            block["signature"] = seal
        case {"type": "citations_delta", "citation": citation}:
            block["citations"] = [*(block.get("citations") or ()), citation]
        case {"type": "input_json_delta", "partial_json": piece}:
            inputs[index] = inputs.get(index, "") + piece
        case _:
            raise AssertionError(f"an unknown delta: {delta}")


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "server_tool_use",
    "iterations",
)


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what says nothing: nulls, zeros, empty texts, that the model itself called a tool."""
    fields = {name: value for name, value in message.items() if value not in (None, [], {}, False)}
    fields["content"] = [
        {
            name: value
            for name, value in block.items()
            if value not in (None, [], False) and (name, value) != ("caller", {"type": "direct"})
        }
        for block in message["content"]
        if block.get("text") != ""
    ]
    usage = message["usage"]
    counts = {name: usage[name] for name in _COUNTS if usage.get(name)}
    fields["usage"] = {
        name: value for name, value in counts.items() if not isinstance(value, dict) or any(value.values())
    }
    return fields
