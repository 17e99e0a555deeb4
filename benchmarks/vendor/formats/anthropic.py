"""Anthropic's messages, from the vendor's side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from ..limits import State
from ..script import ErrorKind
from .base import Answer, Asked, Error, Format, Unreadable, characters, data, rfc3339

__all__ = ["Anthropic"]

_FINISHES: Final = {"stop": "end_turn", "length": "max_tokens"}

_RATE: Final = "This request would exceed your organization's rate limit."

_ERRORS: Final[dict[ErrorKind, Error]] = {
    "auth": Error(401, "invalid x-api-key", "authentication_error"),
    "bad_gateway": Error(502, "Bad gateway", "api_error"),
    "bad_request": Error(400, "messages: at least one message is required", "invalid_request_error"),
    "concurrency_limited": Error(
        429, "Number of concurrent connections has exceeded your rate limit.", "rate_limit_error"
    ),
    "context_length": Error(
        400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"
    ),
    "gateway_timeout": Error(504, "Request timed out", "timeout_error"),
    "gemini_per_day": Error(429, _RATE, "rate_limit_error"),
    "insufficient_quota": Error(402, "Your credit balance is too low.", "billing_error"),
    "invalid_parameter": Error(422, "temperature: not supported", "invalid_request_error"),
    "no_model": Error(404, "model: not found", "not_found_error"),
    "overloaded": Error(529, "Overloaded", "overloaded_error", headers={"x-should-retry": "true"}),
    "permission": Error(403, "Your key has no permission for this resource.", "permission_error"),
    "rate_limited": Error(429, _RATE, "rate_limit_error"),
    "refused": Error(400, "Output blocked by content filtering policy", "invalid_request_error"),
    "request_too_large": Error(429, _RATE, "rate_limit_error"),
    "server_error": Error(500, "Internal server error", "api_error"),
    "slow_down": Error(429, "Your traffic exceeds the acceleration limit.", "rate_limit_error"),
    "timeout": Error(408, "Request timed out", "timeout_error"),
    "too_large": Error(413, "Request exceeds the maximum size", "request_too_large"),
    "unavailable": Error(503, "Service unavailable", "api_error"),
}


class Anthropic(Format):
    """`POST .../messages`. A stream's usage begins in `message_start` and is cumulative."""

    name: ClassVar[str] = "anthropic"
    base_path: ClassVar[str] = "/v1"
    errors: ClassVar[Mapping[ErrorKind, Error]] = _ERRORS

    def serves(self, path: str) -> bool:
        """See `Format`."""
        return path.endswith("/messages")

    def read(self, path: str, query: str, body: dict[str, Any]) -> Asked:
        """See `Format`."""
        model, messages, most = body.get("model"), body.get("messages"), body.get("max_tokens")
        if not isinstance(model, str) or not isinstance(messages, list):
            raise Unreadable("model, messages: Field required")
        if not isinstance(most, int):
            raise Unreadable("max_tokens: Field required")
        return Asked(
            model=model,
            stream=body.get("stream") is True,
            characters=characters({"system": body.get("system"), "messages": messages}),
            most_tokens=most,
        )

    def key(self, headers: Mapping[str, str], query: str) -> str:
        """See `Format`."""
        return headers.get("x-api-key", "") or headers.get("authorization", "").removeprefix("Bearer ")

    def whole(self, answer: Answer, text: str, tokens: int, finish: str) -> bytes:
        """See `Format`."""
        body = _message(answer) | {
            "content": [{"type": "text", "text": text}],
            "stop_reason": _FINISHES[finish],
        }
        if "usage" not in answer.omit:
            body["usage"] = _usage(answer, tokens)
        return msgspec.json.encode(body)

    def opening(self, answer: Answer) -> list[bytes]:
        """See `Format`."""
        message = _message(answer)
        if "usage" not in answer.omit:
            message["usage"] = _usage(answer, 0)
        block = {"type": "text", "text": ""}
        return [
            _event("message_start", message=message),
            _event("content_block_start", index=0, content_block=block),
        ]

    def token(self, answer: Answer, text: str, so_far: int) -> bytes:
        """See `Format`."""
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def empty(self, answer: Answer) -> bytes:
        """See `Format`."""
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""})

    def ping(self) -> bytes:
        """See `Format`."""
        return _event("ping")

    def closing(self, answer: Answer, tokens: int, finish: str) -> list[bytes]:
        """See `Format`."""
        stop = None if "finish" in answer.omit else _FINISHES[finish]
        last: dict[str, Any] = {"delta": {"stop_reason": stop, "stop_sequence": None}}
        if "usage" not in answer.omit:
            last["usage"] = {"output_tokens": tokens}
        events = [_event("content_block_stop", index=0), _event("message_delta", **last)]
        return events if "terminal" in answer.omit else [*events, _event("message_stop")]

    def error_body(
        self, error: Error, message: str, retry_after: float | None, number: int
    ) -> dict[str, Any]:
        """See `Format`."""
        said = {"type": error.type, "message": message}
        return {"type": "error", "error": said, "request_id": f"req_{number}"}

    def error_events(self, body: dict[str, Any]) -> list[bytes]:
        """See `Format`."""
        return [data(body, event="error")]

    def limit_headers(self, states: Sequence[State], wall_now: float) -> dict[str, str]:
        """See `Format`."""
        headers = {}
        for state in states:
            prefix = f"anthropic-ratelimit-{state.what.replace('_', '-')}"
            headers[f"{prefix}-limit"] = str(state.most)
            headers[f"{prefix}-remaining"] = str(state.remaining)
            headers[f"{prefix}-reset"] = rfc3339(math.ceil(wall_now + state.reset))
        return headers


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(answer: Answer, tokens: int) -> dict[str, int]:
    return {"input_tokens": answer.input_tokens, "output_tokens": tokens}


def _event(type: str, **fields: Any) -> bytes:
    return data({"type": type, **fields}, event=type)
