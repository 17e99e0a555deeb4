"""Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)

from .asked import Asked, Tool, require
from .checked import as_typed, known
from .face import Face, sse
from .said import INPUT_TOKENS, OUTPUT_TOKENS, Said

__all__ = ["Messages"]

_TYPES = {400: "invalid_request_error", 429: "rate_limit_error"}


class Messages(Face):
    """`POST /v1/messages`."""

    _place = 0
    """Of the block that is being told."""

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """See `Face`."""
        require(path == "/v1/messages", f"no such path: {path}")
        require(headers.get("x-api-key") == "sk-theirs", "no x-api-key")
        require(headers.get("anthropic-version") == "2023-06-01", "no anthropic-version")
        stream = body.get("stream") is True
        typed = MessageCreateParamsStreaming if stream else MessageCreateParamsNonStreaming
        known(body, typed)
        as_typed(body, typed)
        last = body["messages"][-1]
        blocks = _blocks(last["content"])
        results = [_text(each.get("content") or "") for each in blocks if each["type"] == "tool_result"]
        wanted = (body.get("output_config") or {}).get("format") or {}
        return Asked(
            stream=stream,
            text=_text(last["content"]),
            tools=[Tool(each["name"], each["input_schema"]) for each in body.get("tools") or ()],
            result=results[-1] if results else None,
            schema=wanted.get("schema"),
            images=sum(each["type"] == "image" for each in blocks),
            thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        )

    def whole(self, said: Said) -> bytes:
        """See `Face`."""
        blocks: list[dict[str, Any]] = []
        if said.thought is not None:
            blocks.append({"type": "thinking", "thinking": said.thought, "signature": "sealed"})
        if said.call is None:
            blocks.append({"type": "text", "text": said.text, "citations": None})
        else:
            blocks.append({**_call(said), "input": said.call.arguments})
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
        return json.dumps(_message(content=blocks, stop_reason=_finish(said), usage=usage)).encode()

    def opening(self, said: Said) -> list[bytes]:
        """See `Face`."""
        begun = {"input_tokens": INPUT_TOKENS, "output_tokens": 1}
        events = [_event("message_start", message=_message(content=[], stop_reason=None, usage=begun))]
        if said.thought is not None:
            events += [
                self._start({"type": "thinking", "thinking": "", "signature": ""}),
                self._delta({"type": "thinking_delta", "thinking": said.thought}),
                self._delta({"type": "signature_delta", "signature": "sealed"}),
                self._stop(),
            ]
        if said.call is None:
            events += [self._start({"type": "text", "text": ""}), _event("ping")]
        return events

    def token(self, text: str) -> bytes:
        """See `Face`."""
        return self._delta({"type": "text_delta", "text": text})

    def closing(self, said: Said) -> list[bytes]:
        """See `Face`."""
        events = []
        if said.call is not None:
            written = said.call.written
            events.append(self._start({**_call(said), "input": {}}))
            events += [
                self._delta({"type": "input_json_delta", "partial_json": piece})
                for piece in ("", written[:5], written[5:])
            ]
        delta = {"stop_reason": _finish(said), "stop_sequence": None}
        return [
            *events,
            self._stop(),
            _event("message_delta", delta=delta, usage={"output_tokens": OUTPUT_TOKENS}),
            _event("message_stop"),
        ]

    def _start(self, block: dict[str, Any]) -> bytes:
        return _event("content_block_start", index=self._place, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._place, delta=delta)

    def _stop(self) -> bytes:
        place = self._place
        self._place += 1
        return _event("content_block_stop", index=place)

    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """See `Face`."""
        error = {"type": _TYPES.get(status, "api_error"), "message": message}
        body = {"type": "error", "error": error, "request_id": "req_theirs"}
        return {"retry-after": "3600"} if status == 429 else {}, json.dumps(body).encode()


def _event(kind: str, **more: Any) -> bytes:
    return sse({"type": kind, **more}, kind)


def _message(**more: Any) -> dict[str, Any]:
    head = {"id": "msg_theirs", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    return {**head, "stop_sequence": None, **more}


def _finish(said: Said) -> str:
    return "end_turn" if said.call is None else "tool_use"


def _call(said: Said) -> dict[str, Any]:
    assert said.call is not None
    return {"type": "tool_use", "id": said.call.id, "name": said.call.name}


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    return " ".join(block["text"] for block in _blocks(content) if block["type"] == "text")
