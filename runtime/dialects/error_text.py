"""What a refusal's body says, whatever its shape.

Vendors put their errors in many shapes: an object or a text under `error`, a `detail` text or list, a flat
object, a list around any of these, an `errors` list, HTML pages of a proxy on the way, plain text; and a vendor
that passes requests on puts another vendor's error, as text, inside its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from .untrusted import Unreadable, read_json

__all__ = ["ErrorText", "read_error", "read_object"]

_LONGEST_MESSAGE: Final = 2000
_DEEPEST: Final = 3
"""Errors within errors that are looked into."""
_MOST_WORDS: Final = 32
_LONGEST_WORD: Final = 200
# No tag holds another, so that each of these fails at the next "<": a page of nothing else costs no time.
_TITLE = re.compile(r"<(?:title|h1)[^<>]*>([^<]*)</(?:title|h1)>", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]*>")
_WORDS: Final = ("code", "type", "error_type", "error_code", "reason", "__type", "status")
"""Fields of an error object whose value is a word of the vendor's own."""
_STATUSES: Final = ("status_code", "http_status_code", "raw_status_code", "statusCode", "status", "code")
"""Fields that may hold an HTTP status of the error's own, the clearest first."""


class ErrorText(Struct, frozen=True):
    """What a refusal's body says. Empty strings and None where it says nothing."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    body: dict[str, Any] | None = None
    """The error object itself, for what only one vendor sends."""
    words: tuple[str, ...] = ()
    """Everything in it that is meant for programs: codes, types and reasons, those of errors within it too."""
    status: int | None = None
    """An HTTP status that the body names, which is all there is when the error came within a 200."""
    headers: Mapping[str, str] = {}
    """Headers of another vendor's answer that the body quotes, names in lower case."""


def read_error(body: bytes) -> ErrorText:
    """Message, code, type and parameter of an error's body, whatever its shape. Never raises."""
    return _read(body, 0)


def read_object(raw: object) -> ErrorText:
    """As `read_error`, for an error object (or text) that has been parsed."""
    return _from_object({"error": raw}, 0)


def _read(body: bytes, depth: int) -> ErrorText:
    try:
        parsed = read_json(body)
    except Unreadable:
        return ErrorText(_plain(body))
    while isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, dict):
        return _from_object(parsed, depth)
    return ErrorText(_short(str(parsed)) if parsed is not None else "")


def _from_object(outer: dict[str, Any], depth: int) -> ErrorText:
    error = outer.get("error")
    if isinstance(error, dict):
        return _flat(error, outer, depth)
    errors = outer.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return _flat(errors[0], outer, depth)
    flat = _flat(outer, {}, depth)
    if isinstance(error, str) and error:
        return msgspec.structs.replace(flat, message=_short(error))
    if outer.get("detail") and not flat.message:
        return msgspec.structs.replace(flat, message=_detail(outer["detail"]))
    return flat


def _flat(error: dict[str, Any], outer: dict[str, Any], depth: int) -> ErrorText:
    message = error.get("message", error.get("Message"))
    if not isinstance(message, str):
        message = "" if message is None else msgspec.json.encode(message).decode()
    within = _within(error, depth)
    if within.message:
        message = f"{message}: {within.message}" if message else within.message
    return ErrorText(
        _short(message),
        _text(error.get("code")),
        _text(error.get("type")),
        _text(error.get("param")) or within.param,
        error,
        tuple(dict.fromkeys([*_words(error), *_words(outer), *within.words]))[:_MOST_WORDS],
        next((status for name in _STATUSES if (status := _status(error.get(name))) is not None), None),
        _headers(error),
    )


def _within(error: dict[str, Any], depth: int) -> ErrorText:
    """The error of another vendor that this one passed on (OpenRouter's `metadata.raw`)."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or depth >= _DEEPEST:
        return ErrorText()
    return _read(raw.encode("utf-8", "replace"), depth + 1)


def _words(error: dict[str, Any]) -> Iterator[str]:
    inner = error.get("innererror")
    for found in (error, inner if isinstance(inner, dict) else {}):
        for name in _WORDS:
            value = found.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                yield _word(value)
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            yield from _google(detail)


def _google(detail: dict[str, Any]) -> Iterator[str]:
    """The reason of an `ErrorInfo`; the names of a `QuotaFailure`'s limits, and of a limit that is none at all."""
    if isinstance(detail.get("reason"), str):
        yield _word(detail["reason"])
    violations = detail.get("violations")
    for violation in violations if isinstance(violations, list) else ():
        if not isinstance(violation, dict):
            continue
        if isinstance(violation.get("quotaId"), str):
            yield _word(violation["quotaId"])
        if violation.get("quotaValue") in ("0", 0):
            yield "quotaValue=0"


def _status(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else None


def _headers(error: dict[str, Any]) -> dict[str, str]:
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(headers, dict):
        return {}
    return {name.lower(): str(value) for name, value in headers.items()}


def _detail(detail: Any) -> str:
    if isinstance(detail, list):
        rows = [
            f"{'.'.join(str(step) for step in _steps(row))}: {row.get('msg', '')}"
            for row in detail
            if isinstance(row, dict)
        ]
        return _short("; ".join(rows) or str(detail))
    if isinstance(detail, dict):
        return _short(str(detail.get("message") or detail))
    return _short(str(detail))


def _steps(row: dict[str, Any]) -> list[Any]:
    steps = row.get("loc")
    return steps if isinstance(steps, list) else []


def _plain(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if text[:1] == "<":
        title = _TITLE.search(text)
        text = " ".join(_TAGS.sub(" ", title[1] if title else text).split())
    return _short(text)


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else _word(value)


def _word(value: Any) -> str:
    return str(value)[:_LONGEST_WORD]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."
