"""Gemini's generateContent, from the vendor's side."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs

import msgspec

from ..limits import State
from ..script import ErrorKind, RetryStyle
from .base import Answer, Asked, Error, Format, Unreadable, characters, data

__all__ = ["Gemini"]

_PATH: Final = re.compile(r".*/((?:models|tunedModels)/[^/:]+):(generateContent|streamGenerateContent)")
_FINISHES: Final = {"stop": "STOP", "length": "MAX_TOKENS"}
_EXHAUSTED: Final = "You exceeded your current quota, please check your plan and billing details."

_ERRORS: Final[dict[ErrorKind, Error]] = {
    "auth": Error(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", "API_KEY_INVALID"),
    "bad_gateway": Error(502, "Bad gateway.", "INTERNAL"),
    "bad_request": Error(400, "Invalid value at 'contents'.", "INVALID_ARGUMENT"),
    "concurrency_limited": Error(429, _EXHAUSTED, "RESOURCE_EXHAUSTED"),
    "context_length": Error(
        400, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        "INVALID_ARGUMENT",
    ),
    "gateway_timeout": Error(504, "The request timed out. Please try again.", "DEADLINE_EXCEEDED"),
    "gemini_per_day": Error(
        429, _EXHAUSTED, "RESOURCE_EXHAUSTED", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    ),
    "insufficient_quota": Error(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"),
    "invalid_parameter": Error(400, "Unknown name \"temperatur\": Cannot find field.", "INVALID_ARGUMENT"),
    "no_model": Error(404, "models/unknown is not found for API version v1beta.", "NOT_FOUND"),
    "overloaded": Error(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
    "permission": Error(403, "Permission denied.", "PERMISSION_DENIED"),
    "rate_limited": Error(
        429, _EXHAUSTED, "RESOURCE_EXHAUSTED", "GenerateRequestsPerMinutePerProjectPerModel"
    ),
    "refused": Error(400, "The request was blocked.", "INVALID_ARGUMENT"),
    "request_too_large": Error(
        429, _EXHAUSTED, "RESOURCE_EXHAUSTED", "GenerateContentInputTokensPerModelPerMinute"
    ),
    "server_error": Error(500, "An internal error has occurred.", "INTERNAL"),
    "slow_down": Error(429, "Resource exhausted, please try again later.", "RESOURCE_EXHAUSTED"),
    "timeout": Error(408, "The request timed out.", "DEADLINE_EXCEEDED"),
    "too_large": Error(413, "Request payload size exceeds the limit.", "INVALID_ARGUMENT"),
    "unavailable": Error(503, "The service is currently unavailable.", "UNAVAILABLE"),
}  # fmt: skip


class Gemini(Format):
    """`POST .../models/NAME:generateContent`. Events end with CR LF, usage is in each of them, and there is no terminal
    event but the one with the finish reason: that is what `omit = ["terminal"]` leaves out. A stream must be asked
    for with `alt=sse`; the JSON array that Gemini sends without it is not played."""

    name: ClassVar[str] = "gemini"
    base_path: ClassVar[str] = "/v1beta"
    errors: ClassVar[Mapping[ErrorKind, Error]] = _ERRORS
    line_end: ClassVar[bytes] = b"\r\n"
    retry_style: ClassVar[RetryStyle] = "body"

    def serves(self, path: str) -> bool:
        """See `Format`."""
        return _PATH.fullmatch(path) is not None

    def read(self, path: str, query: str, body: dict[str, Any]) -> Asked:
        """See `Format`."""
        found = _PATH.fullmatch(path)
        contents = body.get("contents")
        if found is None or not isinstance(contents, list):
            raise Unreadable("contents is not specified")
        stream = found[2] == "streamGenerateContent"
        if stream and parse_qs(query).get("alt") != ["sse"]:
            raise Unreadable("only alt=sse is spoken for streams here")
        config = body.get("generationConfig")
        most = config.get("maxOutputTokens") if isinstance(config, dict) else None
        system = body.get("systemInstruction") or body.get("system_instruction")
        return Asked(
            model=found[1].removeprefix("models/"),
            stream=stream,
            characters=characters([contents, system]),
            most_tokens=most if isinstance(most, int) else None,
        )

    def key(self, headers: Mapping[str, str], query: str) -> str:
        """See `Format`."""
        return headers.get("x-goog-api-key", "") or parse_qs(query).get("key", [""])[0]

    def whole(self, answer: Answer, text: str, tokens: int, finish: str) -> bytes:
        """See `Format`."""
        return msgspec.json.encode(_body(answer, text, tokens, _FINISHES[finish]))

    def opening(self, answer: Answer) -> list[bytes]:
        """See `Format`: there is none."""
        return []

    def token(self, answer: Answer, text: str, so_far: int) -> bytes:
        """See `Format`."""
        return data(_body(answer, text, so_far), self.line_end)

    def empty(self, answer: Answer) -> bytes:
        """See `Format`."""
        return data(_body(answer, "", 0), self.line_end)

    def ping(self) -> bytes:
        """See `Format`: a comment."""
        return b": keep-alive\r\n\r\n"

    def closing(self, answer: Answer, tokens: int, finish: str) -> list[bytes]:
        """See `Format`."""
        if "terminal" in answer.omit:
            return []
        reason = None if "finish" in answer.omit else _FINISHES[finish]
        return [data(_body(answer, "", tokens, reason), self.line_end)]

    def error_body(
        self, error: Error, message: str, retry_after: float | None, number: int
    ) -> dict[str, Any]:
        """See `Format`."""
        details: list[dict[str, Any]] = []
        if error.status == 429 and error.code is not None:
            violation = {
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                "quotaId": error.code,
                "quotaValue": "60",
            }
            details.append(
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
            )
        elif error.code is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code})
        if retry_after is not None:
            delay = f"{math.ceil(retry_after * 1000) / 1000:g}s"
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
        said = {"code": error.status, "message": message, "status": error.type}
        return {"error": said | ({"details": details} if details else {})}

    def error_events(self, body: dict[str, Any]) -> list[bytes]:
        """See `Format`."""
        return [data(body, self.line_end)]

    def limit_headers(self, states: Sequence[State], wall_now: float) -> dict[str, str]:
        """See `Format`: Gemini sends none."""
        return {}


def _body(answer: Answer, text: str, tokens: int, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": answer.model,
        "responseId": answer.id,
    }
    if "usage" not in answer.omit:
        body["usageMetadata"] = {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": tokens,
            "totalTokenCount": answer.input_tokens + tokens,
        }
    return body
