"""What dialects share in recognising refusals: the class by status alone, and reading an error's body.

Vendors put their errors in many shapes; `read_error` finds message, code, type and parameter in all that have
been seen: an object or a text under `error`, a `detail` text or list, a flat object, a list around any of
these, HTML pages of a proxy on the way, and plain text.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from ...actors.faults import FaultClass
from .base import Answer
from .untrusted import Unreadable, read_json

__all__ = ["ErrorText", "by_status", "read_error", "request_id", "short"]

_BY_STATUS: Final[dict[int, FaultClass]] = {
    401: FaultClass.AUTH,
    402: FaultClass.QUOTA_EXHAUSTED,
    403: FaultClass.AUTH,
    404: FaultClass.NO_MODEL,
    408: FaultClass.TIMEOUT_409,
    409: FaultClass.TIMEOUT_409,
    413: FaultClass.TOO_LARGE,
    429: FaultClass.RATE_LIMITED,
    503: FaultClass.OVERLOADED,
    529: FaultClass.OVERLOADED,
}
_LONGEST_MESSAGE: Final = 2000
_TITLE = re.compile(r"<(title|h1)\b[^<>]*>", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]*>")
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-ms-request-id")


class ErrorText(Struct, frozen=True):
    """What a refusal's body says. Empty strings and None where it says nothing."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None
    body: dict[str, Any] | None = None
    """The error object itself, for what only one vendor sends."""


def by_status(status: int) -> FaultClass:
    """The class that a status stands for when nothing else is known."""
    found = _BY_STATUS.get(status)
    if found is not None:
        return found
    return FaultClass.BAD_REQUEST if 400 <= status < 500 else FaultClass.SERVER_ERROR


def request_id(answer: Answer) -> str | None:
    """The vendor's name for the request, for its support."""
    return next((answer.headers[name] for name in _REQUEST_IDS if name in answer.headers), None)


def read_error(body: bytes) -> ErrorText:
    """Message, code, type and parameter of an error's body, whatever its shape. Never raises."""
    try:
        parsed = read_json(body)
    except Unreadable:
        return ErrorText(_plain(body))
    while isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, dict):
        return _from_object(parsed)
    return ErrorText(short(str(parsed)) if parsed is not None else "")


def _from_object(outer: dict[str, Any]) -> ErrorText:
    error = outer.get("error")
    if isinstance(error, dict):
        return _flat(error)
    if isinstance(error, str) and error:
        flat = _flat(outer)
        return ErrorText(short(error), flat.code, flat.type, flat.param, outer)
    detail = outer.get("detail")
    if detail:
        return ErrorText(_detail(detail), _text(outer.get("code")), _text(outer.get("type")), None, outer)
    return _flat(outer)


def _flat(error: dict[str, Any]) -> ErrorText:
    message = error.get("message")
    if not isinstance(message, str):
        message = "" if message is None else msgspec.json.encode(message).decode()
    return ErrorText(
        short(message), _text(error.get("code")), _text(error.get("type")), _text(error.get("param")), error
    )


def _detail(detail: Any) -> str:
    if isinstance(detail, list):
        rows = [f"{_place(row.get('loc'))}: {row.get('msg', '')}" for row in detail if isinstance(row, dict)]
        return short("; ".join(rows) or str(detail))
    return short(str(detail))


def _place(steps: Any) -> str:
    return ".".join(str(step) for step in (steps if isinstance(steps, list) else [steps]) if step is not None)


def _plain(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return short(_page(text) if text[:1] == "<" else text)


def _page(text: str) -> str:
    """The title of a page, or all of its text; in one pass, since a page may be made of unfinished tags."""
    title = _TITLE.search(text)
    end = text.lower().find(f"</{title[1].lower()}", title.end()) if title else -1
    return " ".join(_TAGS.sub(" ", text[title.end() : end] if title and end >= 0 else text).split())


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else short(str(value))


def short(text: str) -> str:
    """The text as it is shown to people and searched by patterns: cut where it goes on for too long."""
    return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + " ..."
