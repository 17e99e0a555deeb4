"""Orderings that look at nothing but the configuration: priority, weights, turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import Candidate, View

__all__ = ["priority", "round_robin", "weighted"]


def priority(candidates: Sequence[Candidate], view: View) -> list[Candidate]:  # noqa: ARG001 - the signature of a policy
    """As written in the configuration: the first is used while it can be, the others are fallbacks."""
    return list(candidates)


def weighted(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """At random, each first as often as its weight says; those of weight 0 are fallbacks only.

    Efraimidis and Spirakis (2006): sorting by `log(u) / weight` draws without replacement.
    """

    def key(candidate: Candidate) -> float:
        if candidate.weight <= 0:
            return -math.inf
        return math.log(1.0 - view.rng.random()) / candidate.weight

    return sorted(candidates, key=key, reverse=True)


def round_robin(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """In turn, one after another."""
    first = view.turn % len(candidates) if candidates else 0
    return [*candidates[first:], *candidates[:first]]
