"""The expected price of this very request, from its own sizes; unknown prices come last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View, sorted_by

__all__ = ["cheapest", "expected_dollars"]

TYPICAL_OUTPUT = 300
"""Tokens that an answer has when nothing says how long it may be: a guess, the same for all candidates."""


def expected_dollars(
    candidates: Sequence[Candidate], view: View, input_tokens: int | None = None
) -> list[float]:
    """What the request would cost with each, in dollars; infinity where the price is unknown. `input_tokens`: if not
    those of the route."""
    route = view.route
    tokens = route.input_tokens if input_tokens is None else input_tokens
    output = min(route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    prices = view.memo.get("prices", candidates, lambda: _prices(candidates))
    if prices is not None:
        return [(tokens * price + output * output_price) / 1e6 for price, output_price in prices]
    return [_expected(candidate, tokens, output) for candidate in candidates]


def _expected(candidate: Candidate, tokens: int, output: int) -> float:
    price, output_price = candidate.input_price, candidate.output_price
    for above, long_price, long_output_price in candidate.long_prices:
        if tokens > above:
            price, output_price = long_price, long_output_price
    if price is None or output_price is None:
        return math.inf
    return (tokens * price + output * output_price) / 1e6


def _prices(candidates: Sequence[Candidate]) -> list[tuple[float, float]] | None:
    """Input and output of each; None if one is not known, or depends on the request's length."""
    known = [
        (each.input_price, each.output_price)
        for each in candidates
        if each.input_price is not None and each.output_price is not None and not each.long_prices
    ]
    return known if len(known) == len(candidates) else None


def cheapest(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By expected price, the lowest first."""
    return sorted_by(expected_dollars(candidates, view), candidates)
