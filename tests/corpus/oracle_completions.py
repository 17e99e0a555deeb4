"""What a recorded text completion holds, read with nothing but `json`."""

from __future__ import annotations

import json
import re
from typing import Any

from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.runtime import Completion, Dispatcher, Message, Prompt, Request

from . import Expected, Recording
from .compare import found_in
from .judgements import judged

__all__ = ["ask", "expected", "expected_fault", "found_in", "model"]


def model(_recording: Recording) -> dict[str, Any]:
    """The model's table in the configuration."""
    return {"operations": ["completions"]}


async def ask(dispatcher: Dispatcher, name: str, recording: Recording) -> Completion:
    """What the recorded client asked for, asked of the dispatcher: the first prompt, if there were several."""
    prompt = recording.request_body["prompt"]
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        prompt = prompt[0]
    tokens = prompt if isinstance(prompt, list) else None
    text = prompt if isinstance(prompt, str) else ""
    request = Request(model=name, messages=[Message("user", text)], prompt=Prompt(tokens=tokens), timeout=30)
    if not recording.stream:
        return (await dispatcher.send(request)).completion
    async with dispatcher.stream(request) as events:
        async for _ in events:
            pass
    if events.reply is None:
        raise RuntimeError("a stream ended without a reply and without an error")
    return events.reply.completion


def expected(recording: Recording) -> Expected:
    """The texts, finishes and usage of a recording of status 200."""
    body = recording.body.decode("utf-8")
    if not recording.stream:
        chunks, complete = [json.loads(body)], True
    else:
        payloads = re.findall(r"^data: ?(.*?)\r?$", body, flags=re.MULTILINE)
        chunks = [json.loads(payload) for payload in payloads if payload not in ("", "[DONE]")]
        complete = "[DONE]" in payloads
    texts: dict[int, str] = {}
    finishes: dict[int, str | None] = {}
    usage: dict[str, int] | None = None
    for chunk in chunks:
        if chunk.get("usage"):
            told = chunk["usage"]
            usage = {"input_tokens": told["prompt_tokens"], "output_tokens": told["completion_tokens"]}
        for choice in chunk["choices"]:
            index = choice["index"]
            texts[index] = texts.get(index, "") + choice["text"]
            finishes[index] = choice["finish_reason"] or finishes.get(index)
    order = sorted(texts)
    return Expected(
        texts=[texts[index] for index in order],
        thinking=["" for _ in order],
        tool_calls=[[] for _ in order],
        finishes=[finishes[index] for index in order],
        usage=usage,
        complete=complete,
    )


def expected_fault(recording: Recording) -> FaultClass:
    """The class of a refused recording. Raises `KeyError` for one that nobody has judged yet."""
    return judged()[recording.name]
