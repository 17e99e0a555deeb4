"""What a refusal of Google's means, and how we say one ourselves.

The rules are in `spellings.google`. Here is what is Google's own about reading them: an error may name its HTTP status
and leave the status word out, and the longest of several hints counts, since `RetryInfo` is cut to whole seconds.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...error_text import ErrorText, read_error, read_object
from ...hints import in_words, retry_after
from ...recognise import fault_of, in_stream
from ...spellings.google import GOOGLE

__all__ = ["embedded_fault", "malformed", "read_fault", "stream_fault", "write"]

_WORDS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's own mapping of HTTP codes (google.rpc.Code), for errors that carry no status word."""


def embedded_fault(error: object) -> Fault:
    """An error object that came in an answer of status 200."""
    text = _named(read_object(error), None)
    return in_stream(error, GOOGLE, text)


stream_fault = embedded_fault


def malformed(body: bytes, why: str) -> Fault:
    """An answer that cannot be read; the message quotes how it begins."""
    start = body[:100].decode("utf-8", "replace")
    return Fault(kind=FaultClass.MALFORMED, message=f"{why}: {start!r}")


def read_fault(answer: Answer) -> Fault:
    """An answer of a status other than 200. Never raises: a body that is not Google's is judged by its status."""
    text = _named(read_error(answer.body), answer.status)
    fault = fault_of(answer, GOOGLE, text)
    hints = [hint for hint in (retry_after(answer), in_words(text.message, text.body)) if hint is not None]
    return msgspec.structs.replace(fault, retry_after=max(hints, default=None))


def _named(text: ErrorText, status: int | None) -> ErrorText:
    """With the reason as its code and the status word as its type, which is found by the status if it is missing."""
    body = text.body or {}
    word = body.get("status")
    if not isinstance(word, str) or not word:
        word = _WORDS.get(text.status or status or 0)
    details = body.get("details")
    reasons = (
        [each.get("reason") for each in details if isinstance(each, dict)]
        if isinstance(details, list)
        else []
    )
    reason = next((each for each in reasons if isinstance(each, str)), None)
    words = (*text.words, word) if word else text.words
    return msgspec.structs.replace(
        text, message=text.message or word or "", code=reason or word, type=word, words=words
    )


# --- out ----------------------------------------------------------------------------------------

_TYPE: Final = "type.googleapis.com/google.rpc."
_DOMAIN: Final = "llm-dispatcher"
_TOLD: Final = {**_WORDS, 408: "DEADLINE_EXCEEDED", 502: "UNAVAILABLE", 529: "UNAVAILABLE"}


def write(
    message: str,
    *,
    status: int,
    word: str | None = None,
    code: str,
    param: str | None = None,
    retry_after: float | None = None,
) -> dict[str, Any]:
    """The error envelope that clients of the format expect; the status `word` by the HTTP status where none is given.

    The code stands as the reason of an `ErrorInfo`, the field that was wrong in a `BadRequest`, and the seconds until a
    new try makes sense in a `RetryInfo`, which is where Google's clients look for them.
    """
    general = "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL"
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPE}ErrorInfo", "reason": code.upper(), "domain": _DOMAIN}
    ]
    if param is not None:
        violation = {"field": param, "description": message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{max(0.0, retry_after):.9g}s"})
    return {
        "error": {
            "code": status,
            "message": message,
            "status": word or _TOLD.get(status, general),
            "details": details,
        }
    }
