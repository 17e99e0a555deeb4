"""Errors of the messages format: by the error's type, and by its message where one type means several things."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...hints import retry_after, should_retry
from ...recognise import ErrorText, by_status, read_error, request_id

__all__ = ["in_stream", "recognise"]

_BY_TYPE: Final[dict[str, FaultClass]] = {
    "invalid_request_error": FaultClass.BAD_REQUEST,
    "authentication_error": FaultClass.AUTH,
    "permission_error": FaultClass.AUTH,
    "billing_error": FaultClass.QUOTA_EXHAUSTED,
    "not_found_error": FaultClass.NO_MODEL,
    "request_too_large": FaultClass.TOO_LARGE,
    "rate_limit_error": FaultClass.RATE_LIMITED,
    "timeout_error": FaultClass.SERVER_ERROR,
    "api_error": FaultClass.SERVER_ERROR,
    "overloaded_error": FaultClass.OVERLOADED,
}
_BY_MESSAGE: Final[tuple[tuple[FaultClass, re.Pattern[str], FaultClass], ...]] = (
    (
        FaultClass.BAD_REQUEST,
        re.compile(r"prompt is too long|exceed.{0,20}context (limit|window)", re.IGNORECASE),
        FaultClass.CONTEXT_LENGTH,
    ),
    (
        FaultClass.BAD_REQUEST,
        re.compile(r"credit balance is too low|usage limits", re.IGNORECASE),
        FaultClass.QUOTA_EXHAUSTED,
    ),
    (FaultClass.RATE_LIMITED, re.compile(r"acceleration limit", re.IGNORECASE), FaultClass.RAMP_LIMITED),
)
"""Class by type, words of the message, and the class that they make of it."""


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    error = read_error(answer.body)
    kind = _named(error) or by_status(answer.status)
    if answer.status >= 500 and kind is FaultClass.BAD_REQUEST:
        kind = by_status(answer.status)
    return Fault(
        kind=kind,
        message=error.message or f"status {answer.status} without an explanation",
        status=answer.status,
        code=error.code,
        type=error.type,
        retry_after=retry_after(answer),
        should_retry=should_retry(answer),
        request_id=request_id(answer),
    )


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    error = read_error(msgspec.json.encode({"error": raw}))
    kind = _named(error)
    if kind is None or kind is FaultClass.SERVER_ERROR:
        kind = FaultClass.IN_STREAM_ERROR
    return Fault(kind=kind, message=error.message or "the vendor reported an error", type=error.type)


def _named(error: ErrorText) -> FaultClass | None:
    kind = _BY_TYPE.get(error.type or "")
    for before, words, after in _BY_MESSAGE:
        if kind is before and words.search(error.message):
            return after
    return kind
