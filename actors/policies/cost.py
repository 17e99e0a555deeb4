"""The expected price of this very request, from its own sizes; unknown prices come last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View

__all__ = ["cheapest", "expected_dollars"]

TYPICAL_OUTPUT = 300
"""Tokens that an answer has when nothing says how long it may be: a guess, the same for all candidates."""


def expected_dollars(candidates: Sequence[Candidate], view: View) -> list[float]:
    """What the request would cost with each, in dollars; infinity where the price is unknown."""
    route = view.route
    tokens = route.input_tokens
    output = min(route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    return [_expected(candidate, tokens, output) for candidate in candidates]


def _expected(candidate: Candidate, tokens: int, output: int) -> float:
    price, output_price = candidate.input_price, candidate.output_price
    for above, long_price, long_output_price in candidate.long_prices:
        if tokens > above:
            price, output_price = long_price, long_output_price
    if price is None or output_price is None:
        return math.inf
    return (tokens * price + output * output_price) / 1e6


def cheapest(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By expected price, the lowest first."""
    dollars = expected_dollars(candidates, view)
    return [candidates[index] for index in sorted(range(len(candidates)), key=dollars.__getitem__)]
