"""What a client of the responses format makes of a stream, and in which order it may expect its events.

Written with nothing but `json`, after OpenAI's description of its streams: independent of the product.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["accumulated", "events_in", "final", "plain", "unsealed"]


def events_in(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream; that each is called what its data says, and that they are numbered, is checked."""
    found: list[dict[str, Any]] = []
    for chunk in re.split(r"\n\n", stream.decode("utf-8")):
        lines = dict(line.split(": ", 1) for line in chunk.split("\n") if line and not line.startswith(":"))
        if lines:
            event: dict[str, Any] = json.loads(lines["data"])
            assert lines["event"] == event["type"]
            assert event["sequence_number"] == len(found)
            found.append(event)
    return found


def final(stream: bytes) -> dict[str, Any]:
    """The answer as the last event of a vendor's stream repeats it."""
    payloads = re.findall(r"^data: ?(\{.*?)\r?$", stream.decode("utf-8"), flags=re.MULTILINE)
    response: dict[str, Any] = json.loads(payloads[-1])["response"]
    return response


def accumulated(stream: bytes) -> dict[str, Any]:
    """The response that a whole stream ends with. Fails where the order of the events is not the format's, or where
    the pieces do not add up to what is repeated."""
    created, in_progress, *events, last = events_in(stream)
    assert (created["type"], in_progress["type"]) == ("response.created", "response.in_progress")
    assert created["response"] == in_progress["response"]
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    response: dict[str, Any] = last["response"]
    assert last["type"] == f"response.{response['status']}"
    assert response["id"] == created["response"]["id"]
    client = _Client()
    for event in events:
        client.take(event)
    assert client.items == response["output"]
    assert all(client.done)
    return response


class _Client:
    """Puts items together from events."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.done: list[bool] = []
        self.open_parts: set[tuple[int, str, int]] = set()

    def take(self, event: dict[str, Any]) -> None:
        kind, index = event["type"].removeprefix("response."), event["output_index"]
        if kind == "output_item.added":
            assert index == len(self.items)
            self.items.append(event["item"])
            self.done.append(False)
            return
        assert not self.done[index]
        item = self.items[index]
        if kind == "output_item.done":
            self._end(index, event["item"])
            return
        assert event["item_id"] == item["id"]
        if kind.startswith("function_call_arguments"):
            self._arguments(kind, item, event)
        else:
            self._part(kind, index, item, event)

    def _end(self, index: int, whole: dict[str, Any]) -> None:
        assert not [place for place in self.open_parts if place[0] == index]
        told, self.items[index] = self.items[index], whole
        self.done[index] = True
        unsaid = {"status", "encrypted_content", "format"}
        if whole.get("arguments") == "{}" and not told["arguments"]:
            told["arguments"] = "{}"
        assert {name: value for name, value in told.items() if name not in unsaid} == {
            name: value for name, value in whole.items() if name not in unsaid
        }

    @staticmethod
    def _arguments(kind: str, item: dict[str, Any], event: dict[str, Any]) -> None:
        if kind.endswith("delta"):
            item["arguments"] += event["delta"]
        else:
            assert event["arguments"] == (item["arguments"] or "{}")

    def _part(self, kind: str, index: int, item: dict[str, Any], event: dict[str, Any]) -> None:
        where, number = (
            ("summary", event["summary_index"])
            if "summary_index" in event
            else ("content", event["content_index"])
        )
        parts, place = item.setdefault(where, []), (index, where, number)
        if kind in ("content_part.added", "reasoning_summary_part.added"):
            assert number == len(parts)
            parts.append(event["part"])
            self.open_parts.add(place)
            return
        assert place in self.open_parts
        part = parts[number]
        if kind in ("content_part.done", "reasoning_summary_part.done"):
            told = {name: value for name, value in part.items() if name != "logprobs"}
            assert told == {name: value for name, value in event["part"].items() if name != "logprobs"}
            parts[number] = event["part"]
            self.open_parts.remove(place)
        elif kind == "output_text.annotation.added":
            assert event["annotation_index"] == len(part["annotations"])
            part["annotations"].append(event["annotation"])
        else:
            words = "refusal" if kind.startswith("refusal") else "text"
            if kind.endswith(".delta"):
                part[words] += event["delta"]
            else:
                assert event[words] == part[words]


_ASKED = frozenset(
    {
        "background", "completed_at", "created_at", "frequency_penalty", "instructions", "max_output_tokens",
        "max_tool_calls", "metadata", "output_text", "parallel_tool_calls", "presence_penalty", "previous_response_id",
        "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
        "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
    }
)  # fmt: skip


def plain(response: dict[str, Any]) -> dict[str, Any]:
    """An answer without what repeats the request, what says nothing, and the ids and states of items."""
    found = _without_nothing({name: value for name, value in response.items() if name not in _ASKED})
    found["output"] = [item for each in response["output"] if (item := _plain_item(each)) is not None]
    if "usage" in found:
        counts = {
            name: {kind: count for kind, count in value.items() if count}
            if isinstance(value, dict)
            else value
            for name, value in found["usage"].items()
        }
        found["usage"] = {name: value for name, value in counts.items() if value}
    if found["status"] == "complete":
        found["status"] = "completed"
    return found


def unsealed(response: dict[str, Any]) -> dict[str, Any]:
    """A plain answer without its seals: vendors put new ones when they repeat it."""
    output = [{**item, "encrypted_content": "encrypted_content" in item} for item in response["output"]]
    return {**response, "output": output}


def _plain_item(item: dict[str, Any]) -> dict[str, Any] | None:
    if item["type"] not in ("message", "reasoning", "function_call"):
        return item
    found = _without_nothing({name: value for name, value in item.items() if name not in ("id", "status")})
    for name in ("content", "summary"):
        if name in found:
            parts = [_without_nothing(part) for part in found[name]]
            found[name] = [part for part in parts if part.get("text") != "" and len(part) > 1]
    if item["type"] == "function_call":
        return found
    said = [found.get(name) for name in ("content", "summary", "encrypted_content")]
    return found if any(said) else None


def _without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
