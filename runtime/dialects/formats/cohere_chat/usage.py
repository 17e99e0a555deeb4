"""Usage in Cohere's format, to the canonical sums.

Cohere counts twice. `billed_units` is what costs money; `tokens` counts what the model saw and wrote besides: the
vendor's own preamble, which makes a thousand tokens of a greeting, and the marks around its answer. What is billed is
what counts here, since budgets and estimates are about what the caller sent. `cached_tokens` are counted among the
latter, preamble first, and nothing is cheaper for them: they are left out.
"""

from __future__ import annotations

from typing import Any

from ....canon import Usage
from ...untrusted import token_count

__all__ = ["read_usage"]


def read_usage(raw: Any) -> Usage | None:
    """The canonical usage, or None where there is none in `raw`."""
    if not isinstance(raw, dict):
        return None
    tokens = _table(raw, "tokens")
    counted = _table(raw, "billed_units") or tokens
    if not counted:
        return None
    inputs, outputs = token_count(counted.get("input_tokens")), token_count(counted.get("output_tokens"))
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        reasoning_tokens=min(outputs, token_count(tokens.get("reasoning_tokens"))),
    )


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    found = raw.get(name)
    return found if isinstance(found, dict) else {}
