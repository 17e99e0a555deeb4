"""What stands around an answer's items: the `response` object that clients are told, whole or on its way.

It repeats what the client asked for. What is asked of nobody is told as such: no answer is stored (`store` is false
whatever was asked), and there is no answer in the background.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from ....canon import FinishReason, Usage
from .usage import write_usage

__all__ = ["Asked", "asked_in", "ending", "envelope", "with_further"]

Asked: TypeAlias = dict[str, Any]
"""What answers to one request repeat of it."""

_REPEATED: Final[Asked] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that an answer repeats, and what they are if nothing was said: null where only the
vendor knows."""

_REASONS: Final[dict[FinishReason, str]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "error": "error",
}
"""Why an answer is incomplete. It is complete for any other reason to end."""

_WHOLE: Final = frozenset({"completed", "complete"})


def asked_in(body: dict[str, Any]) -> Asked:
    """What answers to a request with this body repeat of it."""
    return {
        name: body[name] if body.get(name) is not None else default for name, default in _REPEATED.items()
    }


def ending(
    finish: FinishReason | None, vendor_finish: str | None, *, own: bool
) -> tuple[str, dict[str, str] | None]:
    """Status and `incomplete_details` of an answer that ended so. `own`: in the words of this format."""
    reason = _REASONS.get(finish or "other")
    if reason is None and own and finish == "other" and vendor_finish not in _WHOLE:
        reason = vendor_finish
    return ("completed", None) if reason is None else ("incomplete", {"reason": reason})


def envelope(
    asked: Asked,
    *,
    id: str,
    model: str,
    created: int,
    status: str,
    details: dict[str, str] | None = None,
    output: list[dict[str, Any]] | None = None,
    usage: Usage | None = None,
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A `response` object."""
    return {
        "id": id,
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": error,
        "incomplete_details": details,
        "model": model,
        "output": output or [],
        "previous_response_id": None,
        "store": False,
        "usage": None if usage is None else write_usage(usage),
        **asked,
    }


def with_further(response: dict[str, Any], further: dict[str, Any]) -> dict[str, Any]:
    """A `response` object with what a vendor of this format says besides."""
    if not further:
        return response
    counts = {**(further.get("usage") or {}), **(response["usage"] or {})}
    return {**response, **further, "usage": counts or None}
