"""Cohere's chat."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from .asked import Asked, Tool, require
from .checked import as_typed
from .face import Face, bearer, sse
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["CohereChat"]

_FIELDS = frozenset(
    {
        "model", "messages", "stream", "tools", "strict_tools", "tool_choice", "response_format", "max_tokens",
        "temperature", "seed", "stop_sequences", "p", "k", "presence_penalty", "frequency_penalty", "logprobs",
        "thinking", "safety_mode", "documents", "citation_options", "priority",
    }
)  # fmt: skip
_USAGE = {
    "billed_units": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    "tokens": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
}


class CohereChat(Face):
    """`POST /v2/chat`."""

    _place = 0
    """Of the block of content that is being told."""

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        require(path == "/v2/chat", f"no such path: {path}")
        bearer(headers)
        require(not body.keys() - _FIELDS, f"unknown fields: {sorted(body.keys() - _FIELDS)}")
        types = _types()
        for name, value in body.items():
            if name in types:
                as_typed(value, types[name])
        last = body["messages"][-1]
        pieces = _pieces(last["content"])
        text = " ".join(piece["text"] for piece in pieces if piece["type"] == "text")
        return Asked(
            stream=body["stream"],
            text=text if last["role"] == "user" else "",
            tools=[
                Tool(each["function"]["name"], each["function"]["parameters"])
                for each in body.get("tools") or ()
            ],
            result=text if last["role"] == "tool" else None,
            schema=(body.get("response_format") or {}).get("json_schema"),
            images=sum(piece["type"] == "image_url" for piece in pieces),
            thinks=(body.get("thinking") or {}).get("type") == "enabled",
        )

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        message: dict[str, Any] = {"role": "assistant"}
        thoughts = [] if said.thought is None else [{"type": "thinking", "thinking": said.thought}]
        if said.call is None:
            message["content"] = [*thoughts, {"type": "text", "text": said.text}]
        else:
            message["tool_plan"] = said.thought or "I will call it."
            message["tool_calls"] = [_call(said, said.call.written)]
        answer = {"id": "theirs", "finish_reason": _finish(said), "message": message, "usage": _USAGE}
        return json.dumps(answer).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        events = [
            sse({"type": "message-start", "id": "theirs", "delta": {"message": message}}, "message-start")
        ]
        if said.thought is not None and said.call is None:
            start = {"type": "thinking", "thinking": ""}
            events += [
                self._event("content-start", {"content": start}),
                self._event("content-delta", {"content": {"thinking": said.thought}}),
                self._event("content-end"),
            ]
            self._place = 1
        if said.call is None:
            events.append(self._event("content-start", {"content": {"type": "text", "text": ""}}))
        return events

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return self._event("content-delta", {"content": {"text": text}})

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        if said.call is None:
            events = [self._event("content-end")]
        else:
            written = said.call.written
            plan = sse(
                {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "I will call it."}}},
                "tool-plan-delta",
            )
            events = [plan, self._event("tool-call-start", {"tool_calls": _call(said, "")})]
            for piece in (written[:5], written[5:]):
                pieces = {"function": {"arguments": piece}}
                events.append(self._event("tool-call-delta", {"tool_calls": pieces}))
            events.append(self._event("tool-call-end"))
        end = {"type": "message-end", "delta": {"finish_reason": _finish(said), "usage": _USAGE}}
        return [*events, sse(end, "message-end"), b"data: [DONE]\n\n"]

    def _event(self, kind: str, message: dict[str, Any] | None = None) -> bytes:
        event: dict[str, Any] = {"type": kind, "index": self._place}
        if message is not None:
            event["delta"] = {"message": message}
        return sse(event, kind)

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        return {}, json.dumps({"id": "theirs", "message": message}).encode()


@cache
def _types() -> Mapping[str, Any]:
    """What the SDK's own method takes; nothing where it is not installed."""
    try:
        from cohere.v2.raw_client import RawV2Client
    except ImportError:
        return {}
    parameters = inspect.signature(RawV2Client.chat, eval_str=True).parameters
    return {name: each.annotation for name, each in parameters.items() if name != "self"}


def _finish(said: Said) -> str:
    return "COMPLETE" if said.call is None else "TOOL_CALL"


def _call(said: Said, arguments: str) -> dict[str, Any]:
    assert said.call is not None
    return {
        "id": said.call.id,
        "type": "function",
        "function": {"name": said.call.name, "arguments": arguments},
    }


def _pieces(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
