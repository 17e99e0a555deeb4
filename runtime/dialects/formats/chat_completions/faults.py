"""Errors of the chat-completions format: what a refusal means, and how we say one ourselves."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...hints import retry_after, should_retry
from ...recognise import ErrorText, by_status, read_error, request_id

__all__ = ["classify", "in_stream", "recognise", "write"]

_BY_CODE: Final[dict[str, FaultClass]] = {
    "context_length_exceeded": FaultClass.CONTEXT_LENGTH,
    "string_above_max_length": FaultClass.BAD_REQUEST,
    "insufficient_quota": FaultClass.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": FaultClass.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FaultClass.QUOTA_EXHAUSTED,
    "organization_usage_limit_exceeded": FaultClass.QUOTA_EXHAUSTED,
    "billing_not_active": FaultClass.QUOTA_EXHAUSTED,
    "invalid_api_key": FaultClass.AUTH,
    "account_deactivated": FaultClass.AUTH,
    "model_not_found": FaultClass.NO_MODEL,
    "DeploymentNotFound": FaultClass.NO_MODEL,
    "unsupported_country_region_territory": FaultClass.NO_MODEL,
    "content_filter": FaultClass.REFUSED,
    "content_policy_violation": FaultClass.REFUSED,
    "ResponsibleAIPolicyViolation": FaultClass.REFUSED,
    "slow_down": FaultClass.RAMP_LIMITED,
    "server_is_overloaded": FaultClass.OVERLOADED,
    "rate_limit_exceeded": FaultClass.RATE_LIMITED,
    "engine_overloaded": FaultClass.OVERLOADED,
    "server_error": FaultClass.SERVER_ERROR,
}
"""By the error's `code`, or its `type` where the code says nothing."""

_BY_TYPE: Final[dict[str, FaultClass]] = {
    "insufficient_quota": FaultClass.QUOTA_EXHAUSTED,
    "overloaded_error": FaultClass.OVERLOADED,
    "rate_limit_error": FaultClass.RATE_LIMITED,
    "authentication_error": FaultClass.AUTH,
    "server_error": FaultClass.SERVER_ERROR,
}

_REQUEST_TOO_LARGE = re.compile(r"request too large", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"maximum context length|context window|context_length|too many tokens|prompt is too long", re.IGNORECASE
)
_BAD_KEY = re.compile(r"(incorrect|invalid).{0,20}api.?key", re.IGNORECASE)
_PER_DAY = re.compile(r"per day|\((RPD|TPD)\)", re.IGNORECASE)


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    error = read_error(answer.body)
    return Fault(
        kind=classify(answer.status, error),
        message=error.message or f"status {answer.status} without an explanation",
        status=answer.status,
        code=error.code,
        type=error.type,
        param=error.param,
        retry_after=retry_after(answer),
        should_retry=should_retry(answer),
        request_id=request_id(answer),
    )


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    error = read_error(msgspec.json.encode({"error": raw}))
    status = raw.get("status_code") or raw.get("code") if isinstance(raw, dict) else None
    known = isinstance(status, int) and 400 <= status < 600
    kind = classify(status, error) if known and isinstance(status, int) else _named(error)
    return Fault(
        kind=kind or FaultClass.IN_STREAM_ERROR,
        message=error.message or "the vendor reported an error within the stream",
        code=error.code,
        type=error.type,
        param=error.param,
    )


def classify(status: int, error: ErrorText) -> FaultClass:
    """By status, then by code and type, and by the message where these are not enough."""
    named = _named(error)
    if status == 429:
        if named is FaultClass.QUOTA_EXHAUSTED or named is FaultClass.RAMP_LIMITED:
            return named
        if _REQUEST_TOO_LARGE.search(error.message):
            # The same code as a rate limit, but no waiting cures it.
            return FaultClass.TOO_LARGE
        return FaultClass.DAILY_LIMIT if _PER_DAY.search(error.message) else FaultClass.RATE_LIMITED
    if status >= 500:
        return named if named in (FaultClass.RAMP_LIMITED, FaultClass.OVERLOADED) else by_status(status)
    if named is not None and named is not FaultClass.SERVER_ERROR:
        return named
    if status in (400, 422):
        if _TOO_LONG.search(error.message):
            return FaultClass.CONTEXT_LENGTH
        return FaultClass.AUTH if _BAD_KEY.search(error.message) else FaultClass.BAD_REQUEST
    return by_status(status)


def _named(error: ErrorText) -> FaultClass | None:
    found = _BY_CODE.get(error.code or "") or _BY_TYPE.get(error.type or "")
    if found is None and error.code is not None and error.code.endswith("_spend_limit_exceeded"):
        return FaultClass.QUOTA_EXHAUSTED
    return found


def write(message: str, *, type: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The error envelope that clients of the format expect."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}
