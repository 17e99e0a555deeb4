"""What a refusal of Google's means.

The status word decides first (`INVALID_ARGUMENT`, `RESOURCE_EXHAUSTED`, ...), then the reasons and quota
violations in `details`, and only where neither tells the cases apart the message: a wrong key, a location
that is not served, a prompt that is too long and a wrong file all come as 400 or 403 with the same word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...hints import duration, retry_after, should_retry
from ...recognise import by_status, read_error, request_id, short

__all__ = ["embedded_fault", "malformed", "read_fault", "stream_fault"]

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

_BAD_KEY: Final = re.compile(
    r"api key (?:not valid|expired|not found|was reported)|pass a valid api key", re.IGNORECASE
)
_TOO_LONG: Final = re.compile(
    r"token count\b.*\bexceeds|token count is \d+ but|maximum number of tokens allowed", re.IGNORECASE
)
_TOO_LARGE: Final = re.compile(r"payload size exceeds", re.IGNORECASE)
_BAD_MODEL: Final = re.compile(r"GenerateContentRequest\.model\b|unexpected model name", re.IGNORECASE)
_NO_MONEY: Final = re.compile(
    r"enable billing|billing (?:account )?.*(?:disabled|not active)|BILLING_DISABLED", re.IGNORECASE
)
_SPENT: Final = re.compile(
    r"credits? (?:are|is|have been) depleted|prepay|spend(?:ing)? (?:cap|limit)", re.IGNORECASE
)
_NO_QUOTA: Final = re.compile(r"\blimit: 0(?![\d.])")
_CALLERS_OWN: Final = re.compile(
    r"cached ?content|\bfiles?\b|\bfileData\b|file ?search ?store", re.IGNORECASE
)
_ABOUT_MODEL: Final = re.compile(r"\b(?:tuned|publisher )?models?\b|models/", re.IGNORECASE)
_RETRY_IN: Final = re.compile(r"retry in ([0-9][0-9a-zµ.]*[a-z])", re.IGNORECASE)


class _Error:
    """The fields of an error object that decide, each of the type it should have."""

    def __init__(self, error: object, status: int | None) -> None:
        fields: dict[str, Any] = error if isinstance(error, dict) else {}
        code = fields.get("code")
        self.code: int | None = code if type(code) is int and 100 <= code <= 999 else status
        message = error if isinstance(error, str) else fields.get("message")
        # Cut before anything is looked for in it: several of the patterns try every place in the text.
        self.message: str = short(message) if isinstance(message, str) else ""
        word = fields.get("status")
        self.word: str = word if isinstance(word, str) else _WORDS.get(self.code or 0, "")
        details = fields.get("details")
        self.details = (
            [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
        )

    @property
    def reason(self) -> str | None:
        """The reason of the error's `ErrorInfo`, such as `API_KEY_INVALID`."""
        found = (detail.get("reason") for detail in self.details)
        return next((reason for reason in found if isinstance(reason, str)), None)

    @property
    def quotas(self) -> list[dict[str, Any]]:
        """The violations of its `QuotaFailure`."""
        lists = [detail.get("violations") for detail in self.details]
        return [
            item for items in lists if isinstance(items, list) for item in items if isinstance(item, dict)
        ]

    @property
    def retry_delay(self) -> float | None:
        """Seconds to wait, from `RetryInfo` or the message; the longer, since `RetryInfo` is cut to whole seconds."""
        texts = [detail.get("retryDelay") for detail in self.details]
        said = _RETRY_IN.search(self.message)
        texts.append(said.group(1) if said else None)
        delays = [duration(text) for text in texts if isinstance(text, str)]
        return max((delay for delay in delays if delay is not None), default=None)


def _invalid_argument(error: _Error) -> FaultClass:
    if error.reason == "API_KEY_INVALID" or _BAD_KEY.search(error.message):
        return FaultClass.AUTH
    if _TOO_LONG.search(error.message):
        return FaultClass.CONTEXT_LENGTH
    if _TOO_LARGE.search(error.message):
        return FaultClass.TOO_LARGE
    if _BAD_MODEL.search(error.message):
        return FaultClass.NO_MODEL
    return FaultClass.BAD_REQUEST


def _failed_precondition(error: _Error) -> FaultClass:
    if _NO_MONEY.search(error.message):
        return FaultClass.QUOTA_EXHAUSTED
    if "location" in error.message.lower():
        return FaultClass.NO_MODEL
    return _invalid_argument(error)


def _permission_denied(error: _Error) -> FaultClass:
    if error.reason == "BILLING_DISABLED" or _NO_MONEY.search(error.message):
        return FaultClass.QUOTA_EXHAUSTED
    if (error.reason or "").startswith(("API_KEY_", "SERVICE_DISABLED", "CONSUMER_")):
        return FaultClass.AUTH
    if _CALLERS_OWN.search(error.message):
        return FaultClass.BAD_REQUEST
    return FaultClass.NO_MODEL if _ABOUT_MODEL.search(error.message) else FaultClass.AUTH


def _not_found(error: _Error) -> FaultClass:
    about_file = _CALLERS_OWN.search(error.message) and "models/" not in error.message
    return FaultClass.BAD_REQUEST if about_file else FaultClass.NO_MODEL


def _resource_exhausted(error: _Error) -> FaultClass:
    """Money first, then a quota of none at all, then the day before the minute, whatever `RetryInfo` says.

    A quota of 0 says that this key's tier does not include this model; other models are not concerned, so
    it closes the deployment and not the account.
    """
    if _SPENT.search(error.message):
        return FaultClass.QUOTA_EXHAUSTED
    if _NO_QUOTA.search(error.message) or any(quota.get("quotaValue") in ("0", 0) for quota in error.quotas):
        return FaultClass.NO_MODEL
    if any("PerDay" in str(quota.get("quotaId")) for quota in error.quotas):
        return FaultClass.DAILY_LIMIT
    return FaultClass.RATE_LIMITED


_CLASSES: Final[dict[str, FaultClass | Callable[[_Error], FaultClass]]] = {
    "INVALID_ARGUMENT": _invalid_argument,
    "OUT_OF_RANGE": _invalid_argument,
    "FAILED_PRECONDITION": _failed_precondition,
    "PERMISSION_DENIED": _permission_denied,
    "NOT_FOUND": _not_found,
    "RESOURCE_EXHAUSTED": _resource_exhausted,
    "UNAUTHENTICATED": FaultClass.AUTH,
    "UNAVAILABLE": FaultClass.OVERLOADED,
    "INTERNAL": FaultClass.SERVER_ERROR,
    "UNKNOWN": FaultClass.SERVER_ERROR,
    "DATA_LOSS": FaultClass.SERVER_ERROR,
    "DEADLINE_EXCEEDED": FaultClass.SERVER_ERROR,
    "ABORTED": FaultClass.TIMEOUT_409,
    "CANCELLED": FaultClass.TIMEOUT_409,
    "UNIMPLEMENTED": FaultClass.NO_MODEL,
}


def _class(error: _Error) -> FaultClass:
    found = _CLASSES.get(error.word)
    if found is None:
        return by_status(error.code or 500)
    return found if isinstance(found, FaultClass) else found(error)


def _fault(error: _Error, kind: FaultClass) -> Fault:
    return Fault(
        kind=kind,
        message=error.message or error.word or f"status {error.code}",
        status=error.code,
        code=error.reason or error.word or None,
        type=error.word or None,
        retry_after=error.retry_delay,
    )


def embedded_fault(error: object) -> Fault:
    """An error object that came in an answer of status 200."""
    found = _Error(error, None)
    return _fault(found, _class(found))


_INNER: Final = frozenset({FaultClass.SERVER_ERROR, FaultClass.TIMEOUT_409})


def stream_fault(error: object) -> Fault:
    """An error object within a stream: of its own class where that says more than "it broke"."""
    found = _Error(error, None)
    kind = _class(found)
    return _fault(found, FaultClass.IN_STREAM_ERROR if kind in _INNER else kind)


def malformed(body: bytes, why: str) -> Fault:
    """An answer that cannot be read; the message quotes how it begins."""
    start = body[:100].decode("utf-8", "replace")
    return Fault(kind=FaultClass.MALFORMED, message=f"{why}: {start!r}")


def read_fault(answer: Answer) -> Fault:
    """An answer of a status other than 200. Never raises: a body that is not Google's is judged by its status."""
    text = read_error(answer.body)
    error = _Error(text.body, answer.status)
    known = error.word in _CLASSES and bool(error.message or error.details)
    fault = _fault(error, _class(error) if known else by_status(answer.status))
    delays = [delay for delay in (fault.retry_after, retry_after(answer)) if delay is not None]
    return msgspec.structs.replace(
        fault,
        message=text.message or fault.message,
        status=answer.status,
        retry_after=max(delays, default=None),
        should_retry=should_retry(answer),
        request_id=request_id(answer),
    )
