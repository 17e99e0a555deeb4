"""Errors of the messages format: what a refusal means, and how we say one ourselves.

An error has a `type`; where one type means several things, the code in its `details` tells them apart, which newer
interfaces send, and else its message, which is all that the older ones give.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...hints import retry_after, should_retry
from ...recognise import ErrorText, by_status, read_error, request_id

__all__ = ["TYPES", "in_stream", "recognise", "write"]

_BY_TYPE: Final[dict[str, FaultClass]] = {
    "invalid_request_error": FaultClass.BAD_REQUEST,
    "authentication_error": FaultClass.AUTH,
    "permission_error": FaultClass.AUTH,
    "billing_error": FaultClass.QUOTA_EXHAUSTED,
    "not_found_error": FaultClass.NO_MODEL,
    "request_too_large": FaultClass.TOO_LARGE,
    "rate_limit_error": FaultClass.RATE_LIMITED,
    "overloaded_error": FaultClass.OVERLOADED,
}
"""`api_error` and `timeout_error` say no more than their status does."""

_BY_CODE: Final[dict[str, FaultClass]] = {
    "ramp_limit_exceeded": FaultClass.RAMP_LIMITED,
    "contract_spend_limit_reached": FaultClass.QUOTA_EXHAUSTED,
    "enforced_spend_limit_reached": FaultClass.QUOTA_EXHAUSTED,
    "linked_organization_spend_limit_reached": FaultClass.QUOTA_EXHAUSTED,
    "linked_organization_billing_unavailable": FaultClass.QUOTA_EXHAUSTED,
    "user_profile_not_billable": FaultClass.BAD_REQUEST,
    "user_profile_billing_not_authorized": FaultClass.BAD_REQUEST,
    "organization_on_hold": FaultClass.AUTH,
    "cmek_key_disabled": FaultClass.AUTH,
    "cmek_key_network_blocked": FaultClass.AUTH,
    "file_expired": FaultClass.BAD_REQUEST,
    "thread_not_found": FaultClass.BAD_REQUEST,
    "compaction_unavailable": FaultClass.OVERLOADED,
}
"""`error.details.error_code`, as the types of Anthropic's SDK list it, where it means another class than the type.
A user profile is named by the request, so what is wrong with it is not the account's fault."""


def _words(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_BY_MESSAGE: Final[tuple[tuple[FaultClass, re.Pattern[str], FaultClass], ...]] = (
    (
        FaultClass.BAD_REQUEST,
        _words(r"prompt is too long|exceeds? (the )?(model'?s? )?context (limit|window|length)"),
        FaultClass.CONTEXT_LENGTH,
    ),
    (
        FaultClass.BAD_REQUEST,
        _words(r"credit balance is too low|reached your (specified )?(workspace )?API usage limits"),
        FaultClass.QUOTA_EXHAUSTED,
    ),
    (FaultClass.BAD_REQUEST, _words(r"blocked by (the )?content filtering policy"), FaultClass.REFUSED),
    (FaultClass.BAD_REQUEST, _words(r"organization has been (disabled|put on hold)"), FaultClass.AUTH),
    (
        FaultClass.RATE_LIMITED,
        _words(r"acceleration limit|(usage )?increase rate|ramp limit"),
        FaultClass.RAMP_LIMITED,
    ),
    (FaultClass.AUTH, _words(r"\bmodel\b"), FaultClass.NO_MODEL),
    (
        FaultClass.NO_MODEL,
        _words(r"^(?!model\b).*\b(file|container|skill|thread|profile|document)s?\b"),
        FaultClass.BAD_REQUEST,
    ),
)
"""Class by type, words of the message, and the class that they make of it. A key may be barred from one model, and
what is not found may be a file that the request names."""


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    error = read_error(answer.body)
    code = _code(error)
    return Fault(
        kind=_kind(answer.status, error, code),
        message=error.message or f"status {answer.status} without an explanation",
        status=answer.status,
        code=code,
        type=error.type,
        param=error.param,
        retry_after=retry_after(answer),
        should_retry=should_retry(answer),
        request_id=request_id(answer) or _request_id(answer.body),
    )


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    error = read_error(msgspec.json.encode({"error": raw}))
    code = _code(error)
    return Fault(
        kind=_named(error, code) or FaultClass.IN_STREAM_ERROR,
        message=error.message or "the vendor reported an error",
        code=code,
        type=error.type,
    )


def _kind(status: int, error: ErrorText, code: str | None) -> FaultClass:
    """A failing server stays one, whatever it says; a refusal is what it says, and else what its status says."""
    named = _named(error, code)
    if status >= 500:
        return FaultClass.OVERLOADED if named is FaultClass.OVERLOADED else by_status(status)
    return by_status(status) if named is None else named


def _named(error: ErrorText, code: str | None) -> FaultClass | None:
    found = _BY_CODE.get(code or "")
    if found is not None:
        return found
    kind = _BY_TYPE.get(error.type or "")
    for before, words, after in _BY_MESSAGE:
        if kind is before and words.search(error.message):
            return after
    return kind


def _code(error: ErrorText) -> str | None:
    details = (error.body or {}).get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return code if isinstance(code, str) else error.code


def _request_id(body: bytes) -> str | None:
    """Proxies on the way lose the header; the body names the request too."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = raw.get("request_id") if isinstance(raw, dict) else None
    return found if isinstance(found, str) else None


# --- out ----------------------------------------------------------------------------------------

TYPES: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Status -> the type of error that clients of the format expect with it; see `write` for others."""


def write(
    message: str, *, status: int, type: str | None = None, code: str | None = None, request_id: str | None
) -> dict[str, Any]:
    """The error envelope that clients of the format expect; `type` by the status where none is given.

    The code stands where newer interfaces of Anthropic's put it.
    """
    general = "invalid_request_error" if 400 <= status < 500 else "api_error"
    error: dict[str, Any] = {"type": type or TYPES.get(status, general), "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": request_id}
