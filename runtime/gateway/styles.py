"""How an interface looks beyond its answers: the envelope of its errors, the headers that name a request.

A `Failure` is what went wrong in no interface's words. Which style a path has is said in `app`; a path that
is not there is answered in the style of the client that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from ...actors.faults import FaultClass
from ..dialects.formats.chat_completions import faults as openai_errors
from ..dialects.formats.generate_content import faults as google_errors
from ..dialects.formats.messages import faults as anthropic_errors

__all__ = ["ANTHROPIC", "GOOGLE", "OPENAI", "Failure", "Style", "style_of_client"]


class Failure(Struct, frozen=True, kw_only=True):
    """An error to be told. `type` is OpenAI's word; `record`, where there is one, stands as `x_dispatch` in the error."""

    status: int
    message: str
    code: str
    type: str = "invalid_request_error"
    param: str | None = None
    kind: FaultClass | None = None
    retry_after: float | None = None
    """Seconds until a new try makes sense."""
    record: dict[str, Any] | None = None


class Style(Struct, frozen=True):
    """One interface. `envelope` makes the body of an error of a failure and the request's id."""

    name: str
    envelope: Callable[[Failure, str], dict[str, Any]]
    id_headers: tuple[bytes, ...]
    """The headers in which an answer names its request."""


def _openai(failure: Failure, _request_id: str) -> dict[str, Any]:
    body = openai_errors.write(failure.message, type=failure.type, code=failure.code, param=failure.param)
    return _recorded(body, failure)


def _anthropic(failure: Failure, request_id: str) -> dict[str, Any]:
    # That our credit is spent is no passing overload, and the caller's bill is in order.
    spent = failure.kind is FaultClass.QUOTA_EXHAUSTED
    body = anthropic_errors.write(
        failure.message,
        status=failure.status,
        type="api_error" if spent else None,
        code=failure.code,
        request_id=request_id,
    )
    return _recorded(body, failure)


def _google(failure: Failure, _request_id: str) -> dict[str, Any]:
    spent = failure.kind is FaultClass.QUOTA_EXHAUSTED
    body = google_errors.write(
        failure.message,
        status=failure.status,
        word="INTERNAL" if spent else None,
        code=failure.code,
        param=failure.param,
        retry_after=failure.retry_after,
    )
    return _recorded(body, failure)


def _recorded(body: dict[str, Any], failure: Failure) -> dict[str, Any]:
    if failure.record is not None:
        body["error"]["x_dispatch"] = failure.record
    return body


OPENAI: Final = Style("openai", _openai, (b"x-request-id",))
ANTHROPIC: Final = Style("anthropic", _anthropic, (b"x-request-id", b"request-id"))
GOOGLE: Final = Style("google", _google, (b"x-request-id",))


def style_of_client(headers: Mapping[bytes, bytes]) -> Style:
    """The style of the interface that a client speaks, by the headers that it sends."""
    if b"anthropic-version" in headers:
        return ANTHROPIC
    return GOOGLE if b"x-goog-api-key" in headers or b"x-goog-api-client" in headers else OPENAI
