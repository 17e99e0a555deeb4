"""Orderings that look at nothing but the configuration: priority, weights, turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View, sorted_by

__all__ = ["priority", "round_robin", "weighted"]


def priority(candidates: Sequence[Candidate], view: View) -> list[Candidate]:  # noqa: ARG001 - the signature of a policy
    """As written in the configuration: the first is used while it can be, the others are fallbacks."""
    return list(candidates)


def weighted(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """At random, each first as often as its weight says; those of weight 0 are fallbacks only.

    Efraimidis and Spirakis (2006): sorting by `log(u) / weight` draws without replacement.
    """

    draw = view.rng.random
    weights = view.memo.get("weights", candidates, lambda: [each.weight for each in candidates])
    if weights and weights[0] > 0 and weights.count(weights[0]) == len(weights):
        # The logarithm of what is drawn, and a share of that, would be in the same order.
        keys = [1.0 - draw() for _ in weights]
    else:
        keys = [-math.inf if weight <= 0 else math.log(1.0 - draw()) / weight for weight in weights]
    return sorted_by(keys, candidates, reverse=True)


def round_robin(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """In turn, one after another."""
    first = view.turn % len(candidates) if candidates else 0
    return [*candidates[first:], *candidates[:first]]
