"""Usage in the responses format, to the canonical sums and back. Its sums mean what the canonical ones do."""

from __future__ import annotations

from typing import Any, Final

from ....canon import Usage

__all__ = ["beside_counts", "read_usage", "write_usage"]

_COUNTS: Final = frozenset(
    {"input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", "total_tokens"}
)


def read_usage(raw: Any) -> Usage | None:
    """The canonical usage, or None where there is none in `raw`."""
    if not isinstance(raw, dict):
        return None
    inputs, outputs = raw.get("input_tokens_details"), raw.get("output_tokens_details")
    return Usage(
        input_tokens=_count(raw, "input_tokens"),
        output_tokens=_count(raw, "output_tokens"),
        cache_read_tokens=_count(inputs, "cached_tokens"),
        cache_write_tokens=_count(inputs, "cache_write_tokens"),
        reasoning_tokens=_count(outputs, "reasoning_tokens"),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The format's `usage` object."""
    inputs = {"cached_tokens": usage.cache_read_tokens}
    if usage.cache_write_tokens:
        inputs["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": inputs,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def beside_counts(raw: Any) -> dict[str, Any]:
    """What a usage object says besides tokens: what it cost, how many sources were used."""
    if not isinstance(raw, dict):
        return {}
    return {name: value for name, value in raw.items() if name not in _COUNTS and value}


def _count(raw: Any, name: str) -> int:
    value = raw.get(name) if isinstance(raw, dict) else None
    return int(value) if isinstance(value, int | float) and value > 0 else 0
