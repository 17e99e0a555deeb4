"""What a recorded answer of Ollama's own interface holds, read with nothing but `json`: the product's independent check."""

from __future__ import annotations

import json

from llm_dispatcher.actors.faults import FaultClass

from . import Expected, Recording
from .judgements import judged


def expected(recording: Recording) -> Expected:
    """The text, thoughts, tool calls, finish reason and usage of a recording of status 200."""
    objects = [json.loads(line) for line in recording.body.decode().splitlines() if line]
    messages = [each["message"] for each in objects]
    last = objects[-1]
    return Expected(
        texts=["".join(message.get("content") or "" for message in messages)],
        thinking=["".join(message.get("thinking") or "" for message in messages)],
        tool_calls=[
            [
                (call["function"]["name"], call["function"]["arguments"])
                for message in messages
                for call in message.get("tool_calls") or []
            ]
        ],
        finishes=[last.get("done_reason")],
        usage={"input_tokens": last["prompt_eval_count"], "output_tokens": last["eval_count"]},
        complete=last["done"],
    )


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
