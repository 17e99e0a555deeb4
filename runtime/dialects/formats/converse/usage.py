"""Usage in the Converse format, to the canonical sums: there `inputTokens` are those that no cache was involved in."""

from __future__ import annotations

from typing import Any

from ....canon import Usage
from ...untrusted import token_count

__all__ = ["read_usage"]


def read_usage(raw: Any) -> Usage | None:
    """The canonical usage, or None where there is none in `raw`."""
    if not isinstance(raw, dict):
        return None
    read, written = (
        token_count(raw.get("cacheReadInputTokens")),
        token_count(raw.get("cacheWriteInputTokens")),
    )
    return Usage(
        input_tokens=token_count(raw.get("inputTokens")) + read + written,
        output_tokens=token_count(raw.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(written, _written_for_an_hour(raw.get("cacheDetails"))),
    )


def _written_for_an_hour(details: Any) -> int:
    if not isinstance(details, list):
        return 0
    return sum(
        token_count(each.get("inputTokens"))
        for each in details
        if isinstance(each, dict) and each.get("ttl") == "1h"
    )
