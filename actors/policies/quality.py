"""The best answer, and the best bargain of quality, time and money."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import UNRANKED, Candidate, View, sorted_by
from .cost import TYPICAL_OUTPUT, expected_dollars
from .latency import expected_seconds

__all__ = ["balanced", "bargains", "best"]

_QUALITY, _TIME, _MONEY, _FAILURES = 2.0, 0.5, 0.5, 2.0
"""How much each counts in `balanced`: 0.1 of quality is worth a factor of 1.5 in time or in money."""

_LEAST = 1e-9
"""Seconds and dollars are not taken for less: nothing has a logarithm."""
_DEMANDING = frozenset({"tools", "vision", "long_context"})


def best(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By quality, the highest first; among equals the more reliable."""

    def ordered() -> list[Candidate]:
        return sorted(
            candidates, key=lambda candidate: (-candidate.quality, view.ranking(candidate).failures)
        )

    return view.memo.get("best", candidates, ordered).copy()


def balanced(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By quality against time and money; requests with tools, images or long contexts weigh quality double.

    Time and money enter as logarithms: being twice as fast is worth the same at any scale, and no unit
    can outweigh the others. What is not known counts as the median of what is.
    """
    key = ("balanced", *_size(view))
    return view.memo.get(
        key, candidates, lambda: sorted_by(bargains(candidates, view), candidates, reverse=True)
    ).copy()


def bargains(candidates: Sequence[Candidate], view: View) -> list[float]:
    """What each is worth, in the logarithms of `balanced`, to a request of about this size."""
    quality, tokens, output = _size(view)
    known = view.rankings
    rankings = [known.get(candidate.deployment, UNRANKED) for candidate in candidates]
    times = _logarithms(expected_seconds(rankings, output))
    money = _logarithms(expected_dollars(candidates, view, tokens))
    return [
        quality * candidate.quality - _TIME * time - _MONEY * price - _FAILURES * ranking.failures
        for candidate, ranking, time, price in zip(candidates, rankings, times, money, strict=True)
    ]


def _size(view: View) -> tuple[float, int, int]:
    """How much quality counts, and tokens of input and output: all that `balanced` goes by of the request itself.

    The input is rounded to one of eight sizes an octave, by a sixteenth at most. What that changes in the price it changes
    for all candidates, so that hardly an order depends on it; and most requests find theirs worked out already.
    """
    route = view.route
    quality = _QUALITY * (2.0 if route.kinds & _DEMANDING else 1.0)
    shift = max(0, route.input_tokens.bit_length() - 4)
    tokens = (route.input_tokens + (1 << shift >> 1)) >> shift << shift
    return quality, tokens, min(route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)


def _logarithms(values: Sequence[float | None]) -> list[float]:
    """Those of `values`; where one is not known, the median of the known ones."""
    known = [value for value in values if value is not None and 0 <= value < math.inf]
    if known and min(known) < _LEAST:
        known = [max(value, _LEAST) for value in known]
    found = list(map(math.log, known))
    if len(found) == len(values):
        return found
    usual = sorted(found)[len(found) // 2] if found else 0.0
    logarithms = iter(found)
    return [next(logarithms) if value is not None and 0 <= value < math.inf else usual for value in values]
