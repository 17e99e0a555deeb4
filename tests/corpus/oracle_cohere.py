"""What a recorded answer of Cohere's v2/chat holds, read with nothing but `json`: the product's independent check."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged


def expected(recording: Recording) -> Expected:
    """The text, thoughts (plans among them), tool calls, finish reason and usage of a recording of status 200."""
    text = recording.body.decode("utf-8")
    if text.lstrip().startswith("{"):
        raw = json.loads(text)
        message = raw["message"]
        said = [(each["type"], each[each["type"]]) for each in message.get("content") or []]
        said.append(("thinking", message.get("tool_plan") or ""))
        calls = [
            (each["function"]["name"], each["function"]["arguments"])
            for each in message.get("tool_calls") or []
        ]
        return _expected(said, calls, raw["finish_reason"], raw["usage"])
    said, opened = [], []
    ending: dict[str, Any] = {}
    for payload in re.findall(r"^data: ?(.*?)\r?$", text, flags=re.MULTILINE):
        if payload == "[DONE]":
            break
        event = json.loads(payload)
        kind, delta = event["type"], event.get("delta") or {}
        message = delta.get("message") or {}
        if kind in ("content-start", "content-delta"):
            said += [
                (name, words) for name, words in message["content"].items() if name in ("text", "thinking")
            ]
        elif kind == "tool-plan-delta":
            said.append(("thinking", message["tool_plan"]))
        elif kind == "tool-call-start":
            opened.append([message["tool_calls"]["function"]["name"], ""])
        elif kind == "message-end":
            ending = delta
        if kind in ("tool-call-start", "tool-call-delta"):
            opened[-1][1] += message["tool_calls"]["function"]["arguments"]
    calls = [(name, arguments) for name, arguments in opened]
    return _expected(said, calls, ending.get("finish_reason"), ending.get("usage") or {})


def _expected(
    said: list[tuple[str, str]], calls: list[tuple[str, str]], finish: str | None, usage: dict[str, Any]
) -> Expected:
    billed = usage.get("billed_units")
    return Expected(
        texts=["".join(words for kind, words in said if kind == "text")],
        thinking=["".join(words for kind, words in said if kind == "thinking")],
        tool_calls=[[(name, json.loads(arguments)) for name, arguments in calls]]
        if finish != "ERROR"
        else [],
        finishes=[finish],
        usage=None
        if not billed
        else {"input_tokens": billed["input_tokens"], "output_tokens": billed["output_tokens"]},
        complete=finish is not None and finish != "ERROR",
    )


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
