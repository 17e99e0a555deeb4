"""The expected price of this very request, from its own sizes; unknown prices come last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View

__all__ = ["cheapest", "expected_dollars"]

TYPICAL_OUTPUT = 300
"""Tokens that an answer has when nothing says how long it may be: a guess, the same for all candidates."""


def expected_dollars(candidate: Candidate, view: View) -> float:
    """What the request would cost there, in dollars; infinity where the price is unknown."""
    if candidate.input_price is None or candidate.output_price is None:
        return math.inf
    route = view.route
    output = min(route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    return (route.input_tokens * candidate.input_price + output * candidate.output_price) / 1e6


def cheapest(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By expected price, the lowest first."""
    return sorted(candidates, key=lambda candidate: expected_dollars(candidate, view))
