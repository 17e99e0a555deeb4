"""Usage in the messages format, to the canonical sums.

Anthropic's `input_tokens` leaves out what was read from or written to the cache; the canonical sum includes it.
In a stream the counts begin in `message_start` and go on, cumulative, in each `message_delta`, where older models
repeat the output alone.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import Usage
from ...untrusted import token_count

__all__ = ["merge", "read_usage"]


_FIELDS: Final = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "output_tokens_details", "cache_creation",
)  # fmt: skip


def merge(before: dict[str, Any], later: Any) -> dict[str, Any]:
    """What is known after a later report: its fields replace those before it."""
    if not isinstance(later, dict):
        return before
    return {**before, **{name: later[name] for name in _FIELDS if later.get(name) is not None}}


def read_usage(raw: dict[str, Any]) -> Usage:
    """The canonical usage of an Anthropic usage object."""
    reading, writing = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    details, created = raw.get("output_tokens_details"), raw.get("cache_creation")
    return Usage(
        input_tokens=_count(raw, "input_tokens") + reading + writing,
        output_tokens=_count(raw, "output_tokens"),
        cache_read_tokens=reading,
        cache_write_tokens=writing,
        cache_write_1h_tokens=_count(created, "ephemeral_1h_input_tokens"),
        reasoning_tokens=_count(details, "thinking_tokens") or _count(details, "reasoning_tokens"),
    )


def _count(raw: Any, name: str) -> int:
    return token_count(raw.get(name)) if isinstance(raw, dict) else 0
