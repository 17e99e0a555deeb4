"""OpenAI's chat completions, and Azure's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from .asked import Asked, Tool, require
from .checked import as_typed, known
from .face import Face, bearer, sse
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["Azure", "ChatCompletions"]

_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


class ChatCompletions(Face):
    """`POST /v1/chat/completions`."""

    _usage_wanted = False

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        self._check_door(path, headers, body)
        stream = body.get("stream") is True
        typed = CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming
        known(body, typed)
        as_typed(body, typed)
        self._usage_wanted = bool((body.get("stream_options") or {}).get("include_usage"))
        last = body["messages"][-1]
        wanted = (body.get("response_format") or {}).get("json_schema")
        content = last["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = " ".join(part["text"] for part in parts if part["type"] == "text")
        return Asked(
            stream=stream,
            text=text if last["role"] == "user" else "",
            tools=[_tool(each) for each in body.get("tools") or ()],
            result=text if last["role"] == "tool" else None,
            schema=None if wanted is None else wanted["schema"],
            images=sum(part["type"] == "image_url" for part in parts),
        )

    def _check_door(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> None:
        require(path == "/v1/chat/completions", f"no such path: {path}")
        bearer(headers)

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
        if said.call is not None:
            message["tool_calls"] = [_call(said)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
        return json.dumps({**_head("chat.completion"), "choices": [choice], "usage": _USAGE}).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        return [self._chunk({"role": "assistant", "content": None if said.call else "", "refusal": None})]

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return self._chunk({"content": text})

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        events = []
        if said.call is not None:
            opened = {**_call(said), "index": 0, "function": {"name": said.call.name, "arguments": ""}}
            events.append(self._chunk({"tool_calls": [opened]}))
            written = said.call.written
            events += [
                self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
                for piece in (written[:5], written[5:])
            ]
        events.append(self._chunk({}, _finish(said)))
        if self._usage_wanted:
            events.append(sse({**_head("chat.completion.chunk"), "choices": [], "usage": _USAGE}))
        return [*events, b"data: [DONE]\n\n"]

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._usage_wanted else {}
        return sse({**_head("chat.completion.chunk"), "choices": [choice], **usage})

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        limited = status == 429
        error = {
            "message": message,
            "type": "requests" if limited else "invalid_request_error",
            "param": None if limited else "messages",
            "code": "rate_limit_exceeded" if limited else "invalid_value",
        }
        return {"retry-after": "3600"} if limited else {}, json.dumps({"error": error}).encode()


class Azure(ChatCompletions):
    """`POST /openai/deployments/{deployment}/chat/completions?api-version=...`."""

    def _check_door(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> None:
        wanted = "/openai/deployments/gpt-4.1-mini/chat/completions?api-version=2024-10-21"
        require(path == wanted, f"no such path: {path}")
        require(headers.get("api-key") == "sk-theirs", "no api-key")
        body.setdefault("model", "gpt-4.1-mini")


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-theirs", "object": kind, "created": 1_790_000_000, "model": "gpt-4.1-mini"}


def _finish(said: Said) -> str:
    return "stop" if said.call is None else "tool_calls"


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    function = {"name": said.call.name, "arguments": said.call.written}
    return {"id": said.call.id, "type": "function", "function": function}


def _tool(raw: dict[str, Any]) -> Tool:
    return Tool(raw["function"]["name"], raw["function"].get("parameters") or {})
