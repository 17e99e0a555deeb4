"""OpenAI's chat completions and embeddings, from the vendor's side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from ....runtime.simulated.body import Rejected
from ....runtime.simulated.vectors import EmbeddingsBody, embeddings
from ..limits import State
from ..script import ErrorKind
from .base import Answer, Asked, Error, Format, Unreadable, characters, data

__all__ = ["OpenAI"]

_ERRORS: Final[dict[ErrorKind, Error]] = {
    "auth": Error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "bad_gateway": Error(502, "Bad gateway.", "server_error"),
    "bad_request": Error(400, "Invalid value for 'messages'.", "invalid_request_error", "invalid_value"),
    "concurrency_limited": Error(429, "Too many requests are open at once.", "rate_limit_error", "1302"),
    "context_length": Error(
        400,
        "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "gateway_timeout": Error(504, "The gateway timed out.", "server_error"),
    "gemini_per_day": Error(
        429, "Rate limit reached on requests per day (RPD).", "requests", "rate_limit_exceeded"
    ),
    "insufficient_quota": Error(
        429,
        "You exceeded your current quota, please check your plan.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "invalid_parameter": Error(422, "Unprocessable parameter.", "invalid_request_error", "unsupported_value"),
    "no_model": Error(404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "overloaded": Error(503, "The server is overloaded.", "server_error", "server_is_overloaded"),
    "permission": Error(403, "You are not allowed to use this model.", "invalid_request_error"),
    "rate_limited": Error(429, "Rate limit reached.", "requests", "rate_limit_exceeded"),
    "refused": Error(400, "The content was filtered.", "invalid_request_error", "content_filter"),
    "request_too_large": Error(
        429, "Request too large for this model on tokens per min (TPM).", "tokens", "rate_limit_exceeded"
    ),
    "server_error": Error(500, "The server had an error while processing your request.", "server_error"),
    "slow_down": Error(429, "Slow down: your traffic grows too fast.", "requests", "slow_down"),
    "timeout": Error(408, "The request timed out.", "server_error"),
    "too_large": Error(413, "The request is too large.", "invalid_request_error"),
    "unavailable": Error(503, "The service is unavailable.", "server_error"),
}


class OpenAI(Format):
    """`POST .../chat/completions` and `.../embeddings`. Usage comes in a stream only if it was asked for, in an event of its own."""

    name: ClassVar[str] = "openai"
    base_path: ClassVar[str] = "/v1"
    errors: ClassVar[Mapping[ErrorKind, Error]] = _ERRORS

    def serves(self, path: str) -> bool:
        """See `Format`."""
        return path.endswith(("/chat/completions", "/embeddings"))

    def read(self, path: str, query: str, body: dict[str, Any]) -> Asked:
        """See `Format`."""
        if path.endswith("/embeddings"):
            return _read_embeddings(body)
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not isinstance(messages, list):
            raise Unreadable("you must provide a model and messages")
        options = body.get("stream_options")
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        return Asked(
            model=model,
            stream=body.get("stream") is True,
            characters=characters(messages),
            most_tokens=most if isinstance(most, int) else None,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def key(self, headers: Mapping[str, str], query: str) -> str:
        """See `Format`. Azure's header counts as well."""
        return headers.get("authorization", "").removeprefix("Bearer ") or headers.get("api-key", "")

    def whole(self, answer: Answer, text: str, tokens: int, finish: str) -> bytes:
        """See `Format`."""
        if answer.embeddings is not None:
            return _vectors(answer, answer.embeddings)
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        body = _head(answer, "chat.completion") | {"choices": [choice]}
        if "usage" not in answer.omit:
            body["usage"] = _usage(answer, tokens)
        return msgspec.json.encode(body)

    def opening(self, answer: Answer) -> list[bytes]:
        """See `Format`."""
        return [_chunk(answer, {"role": "assistant", "content": ""})]

    def token(self, answer: Answer, text: str, so_far: int) -> bytes:
        """See `Format`."""
        return _chunk(answer, {"content": text})

    def empty(self, answer: Answer) -> bytes:
        """See `Format`."""
        return _chunk(answer, {"role": "assistant", "content": ""})

    def ping(self) -> bytes:
        """See `Format`: a comment, as OpenAI's format has no pings."""
        return b": keep-alive\n\n"

    def closing(self, answer: Answer, tokens: int, finish: str) -> list[bytes]:
        """See `Format`."""
        events = [] if "finish" in answer.omit else [_chunk(answer, {}, finish)]
        if answer.include_usage and "usage" not in answer.omit:
            last = _head(answer, "chat.completion.chunk") | {"choices": [], "usage": _usage(answer, tokens)}
            events.append(data(last))
        return events if "terminal" in answer.omit else [*events, b"data: [DONE]\n\n"]

    def error_body(
        self, error: Error, message: str, retry_after: float | None, number: int
    ) -> dict[str, Any]:
        """See `Format`."""
        return {"error": {"message": message, "type": error.type, "param": None, "code": error.code}}

    def error_events(self, body: dict[str, Any]) -> list[bytes]:
        """See `Format`: OpenAI ends the stream as usual after it."""
        return [data(body), b"data: [DONE]\n\n"]

    def limit_headers(self, states: Sequence[State], wall_now: float) -> dict[str, str]:
        """See `Format`; input and output tokens have no headers of their own there."""
        headers = {}
        for state in states:
            if state.what in ("requests", "tokens"):
                headers[f"x-ratelimit-limit-{state.what}"] = str(state.most)
                headers[f"x-ratelimit-remaining-{state.what}"] = str(state.remaining)
                headers[f"x-ratelimit-reset-{state.what}"] = _duration(state.reset)
        return headers


def _read_embeddings(raw: dict[str, Any]) -> Asked:
    try:
        body = msgspec.convert(raw, EmbeddingsBody)
        size = sum([len(text) if isinstance(text, str) else 4 * len(text) for text in body.inputs])
    except (msgspec.ValidationError, Rejected) as error:
        raise Unreadable(str(error)) from None
    return Asked(model=body.model, stream=False, characters=size, most_tokens=0, embeddings=body)


def _vectors(answer: Answer, body: EmbeddingsBody) -> bytes:
    made, _ = embeddings(body)
    if "usage" in answer.omit:
        del made["usage"]
    else:
        made["usage"] = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
    return msgspec.json.encode(made)


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": answer.created, "model": answer.model}


def _chunk(answer: Answer, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return data(_head(answer, "chat.completion.chunk") | {"choices": [choice]})


def _usage(answer: Answer, tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": tokens,
        "total_tokens": answer.input_tokens + tokens,
    }


def _duration(seconds: float) -> str:
    """As Go writes durations, rounded up to milliseconds: `0s`, `120ms`, `8.64s`, `1m30s`."""
    milliseconds = math.ceil(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    if not minutes and 0 < rest < 1000:
        return f"{rest}ms"
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{text}s" if minutes else f"{text}s"
