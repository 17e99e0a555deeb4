"""Usage in the messages format, to the canonical sums and back.

Anthropic's `input_tokens` leaves out what was read from or written to the cache; the canonical sum includes it.
In a stream the counts begin in `message_start` and go on, cumulative, in each `message_delta`, where older models
repeat the output alone.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import Usage
from ...untrusted import token_count

__all__ = ["beside_counts", "merge", "read_usage", "write_usage"]

_COUNTS: Final = frozenset(
    {
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "input_tokens",
        "output_tokens",
        "output_tokens_details",
    }
)


def merge(before: dict[str, Any], later: Any) -> dict[str, Any]:
    """What is known after a later report: its fields replace those before it."""
    if not isinstance(later, dict):
        return before
    return {**before, **{name: later[name] for name in _COUNTS if later.get(name) is not None}}


def read_usage(raw: dict[str, Any]) -> Usage:
    """The canonical usage of an Anthropic usage object."""
    reading, writing = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    details, created = raw.get("output_tokens_details"), raw.get("cache_creation")
    output = _count(raw, "output_tokens")
    return Usage(
        input_tokens=_count(raw, "input_tokens") + reading + writing,
        output_tokens=output,
        cache_read_tokens=reading,
        cache_write_tokens=writing,
        cache_write_1h_tokens=min(_count(created, "ephemeral_1h_input_tokens"), writing),
        reasoning_tokens=min(_count(details, "thinking_tokens"), output),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The counts of a usage object for a client. What no vendor told is 0."""
    reading, writing = usage.cache_read_tokens, usage.cache_write_tokens
    counts: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - reading - writing),
        "cache_creation_input_tokens": writing,
        "cache_read_input_tokens": reading,
        "output_tokens": usage.output_tokens,
    }
    if writing:
        hour = usage.cache_write_1h_tokens
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": writing - hour,
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def beside_counts(raw: Any) -> dict[str, Any]:
    """What a usage object says besides tokens: the service tier, how often the vendor's own tools ran."""
    if not isinstance(raw, dict):
        return {}
    return {name: value for name, value in raw.items() if name not in _COUNTS and value is not None}


def _count(raw: Any, name: str) -> int:
    return token_count(raw.get(name)) if isinstance(raw, dict) else 0
