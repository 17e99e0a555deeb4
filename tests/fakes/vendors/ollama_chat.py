"""Ollama's own chat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from .asked import Asked, Malformed, Tool, require
from .face import Face, bearer
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["OllamaChat"]


class _Function(Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any]


class _Call(Struct, forbid_unknown_fields=True):
    function: _Function
    id: str = ""


class _Turn(Struct, forbid_unknown_fields=True):
    role: str
    content: str
    thinking: str = ""
    images: list[str] = []
    tool_calls: list[_Call] = []
    tool_call_id: str = ""
    tool_name: str = ""


class _Declared(Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any]
    description: str = ""


class _Tool(Struct, forbid_unknown_fields=True):
    function: _Declared
    type: str = "function"


class _Body(Struct, forbid_unknown_fields=True):
    """After Ollama's `api/types.go`, `ChatRequest`."""

    model: str
    messages: list[_Turn]
    stream: bool = True
    format: str | dict[str, Any] | None = None
    keep_alive: str | int | None = None
    tools: list[_Tool] = []
    options: dict[str, Any] = {}
    think: bool | str | None = None
    logprobs: bool = False
    top_logprobs: int = 0


class OllamaChat(Face):
    """`POST /api/chat`."""

    stream_type: ClassVar[str] = "application/x-ndjson"

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        require(path == "/api/chat", f"no such path: {path}")
        bearer(headers)
        try:
            read = msgspec.convert(body, _Body)
        except msgspec.ValidationError as error:
            raise Malformed(str(error)) from error
        last = read.messages[-1]
        return Asked(
            stream=read.stream,
            text=last.content if last.role == "user" else "",
            tools=[Tool(each.function.name, each.function.parameters) for each in read.tools],
            result=last.content if last.role == "tool" else None,
            schema=read.format if isinstance(read.format, dict) else None,
            images=len(last.images),
            thinks=bool(read.think),
        )

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.thought is not None:
            message["thinking"] = said.thought
        if said.call is not None:
            message["tool_calls"] = [_call(said)]
        return _line(message, done=True)

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        if said.thought is None:
            return []
        return [_line({"role": "assistant", "content": "", "thinking": said.thought})]

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return _line({"role": "assistant", "content": text})

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls = [] if said.call is None else [_line({**message, "tool_calls": [_call(said)]})]
        return [*calls, _line(message, done=True)]

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        return {}, json.dumps({"error": message}).encode()


def _line(message: dict[str, Any], *, done: bool = False) -> bytes:
    line = {"model": "qwen3-vl", "created_at": "2026-10-11T12:13:14.5Z", "message": message, "done": done}
    if done:
        line |= {"done_reason": "stop", "prompt_eval_count": INPUT_TOKENS, "eval_count": OUTPUT_TOKENS}
        line |= {"total_duration": 5_000_000, "load_duration": 1_000_000}
    return json.dumps(line).encode() + b"\n"


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    return {
        "id": said.call.id,
        "function": {"index": 0, "name": said.call.name, "arguments": said.call.arguments},
    }
