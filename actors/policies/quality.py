"""The best answer, and the best bargain of quality, time and money."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View
from .cost import TYPICAL_OUTPUT, expected_dollars
from .latency import expected_seconds

__all__ = ["balanced", "bargains", "best"]

_QUALITY, _TIME, _MONEY, _FAILURES = 2.0, 0.5, 0.5, 2.0
"""How much each counts in `balanced`: 0.1 of quality is worth a factor of 1.5 in time or in money."""

_DEMANDING = frozenset({"tools", "vision", "long_context"})


def best(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By quality, the highest first; among equals the more reliable."""
    return sorted(candidates, key=lambda candidate: (-candidate.quality, view.ranking(candidate).failures))


def balanced(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By quality against time and money; requests with tools, images or long contexts weigh quality double.

    Time and money enter as logarithms: being twice as fast is worth the same at any scale, and no unit
    can outweigh the others. What is not known counts as the median of what is.
    """
    found = bargains(candidates, view)
    return [
        candidates[index] for index in sorted(range(len(candidates)), key=found.__getitem__, reverse=True)
    ]


def bargains(candidates: Sequence[Candidate], view: View) -> list[float]:
    """What each is worth, in the logarithms of `balanced`."""
    output = min(view.route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    quality = _QUALITY * (2.0 if view.route.kinds & _DEMANDING else 1.0)
    rankings = [view.ranking(candidate) for candidate in candidates]
    times = [_log(expected_seconds(ranking, output)) for ranking in rankings]
    money = [_log(expected_dollars(candidate, view)) for candidate in candidates]
    usual_time, usual_money = _median(times), _median(money)
    found = []
    for candidate, ranking, time, price in zip(candidates, rankings, times, money, strict=True):
        found.append(
            quality * candidate.quality
            - _TIME * (usual_time if time is None else time)
            - _MONEY * (usual_money if price is None else price)
            - _FAILURES * ranking.failures
        )
    return found


def _log(value: float | None) -> float | None:
    return None if value is None or not 0 <= value < math.inf else math.log(max(value, 1e-9))


def _median(values: Sequence[float | None]) -> float:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else 0.0
