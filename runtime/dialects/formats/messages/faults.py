"""Errors of the messages format: what a refusal means, and how we say one ourselves."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import Fault
from ...base import Answer
from ...error_text import ErrorText, read_error, read_object
from ...recognise import fault_of
from ...recognise import in_stream as fault_in_stream
from ...spellings.anthropic import ANTHROPIC
from ...untrusted import Unreadable, read_json

__all__ = ["TYPES", "in_stream", "recognise", "write"]


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    fault = fault_of(answer, ANTHROPIC, _coded(read_error(answer.body)))
    if fault.request_id is None:
        return msgspec.structs.replace(fault, request_id=_request_id(answer.body))
    return fault


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    return fault_in_stream(raw, ANTHROPIC, _coded(read_object(raw)))


def _coded(error: ErrorText) -> ErrorText:
    """The error with the code that newer interfaces put into its `details`."""
    details = (error.body or {}).get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    if not isinstance(code, str):
        return error
    return msgspec.structs.replace(error, code=code, words=(code, *error.words))


def _request_id(body: bytes) -> str | None:
    """Proxies on the way lose the header; the body names the request too."""
    try:
        raw = read_json(body)
    except Unreadable:
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
