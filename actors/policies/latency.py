"""The expected time of this very request, from what the statistics have seen and from what is under way.

**The load** of a deployment is the time it may take times the requests in flight there and this one (Finagle's peak-EWMA
load metric): the recent peak of its time to the first content, and of the rest at the usual pace. A deployment that
fails fast must not look fast: latencies come from successes only, and the load is divided by the share of successes.
One that has not been seen yet passes for a little better than the best of those it is compared with, so that it is tried;
but only while nothing is in flight there, for until the first answer nobody knows.

**The choice.** With up to four candidates all are compared. With more, two drawn at random are, and the better one is first
("the power of two choices", M. Mitzenmacher, 2001): everybody chasing the single best one would overload it before its
numbers could say so, and two looks are nearly as good as all.

**Hot ones** come last whatever their latency: those with all slots taken, and those more than half full of which the
share of slots taken is above the 0.84 quantile of all. Latency lags behind load: an overloaded server looks fast until
the queue it builds has been waited for. Among hot ones the least full is first (B. Wydrowski et al., "Load is not what
you should balance: Introducing Prequal", NSDI 2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from ..messages import Load, Ranking
from .base import Candidate, View
from .cost import TYPICAL_OUTPUT

__all__ = ["expected_seconds", "fastest", "least_loaded", "loads"]

FEW: Final = 4
"""Candidates of which all are compared; of more, two."""
LEAST_SUCCESS: Final = 0.02
"""The share of successes is not taken for less than this, so that the worst can still be told apart."""
HOT: Final = 0.84
HALF_FULL: Final = 0.5
UNSEEN: Final = 0.9
"""What a deployment without history is thought to need, as a share of what the best known one does."""
PENDING: Final = 1000.0
"""The factor by which it is thought slower while its first request is under way."""

_Key: TypeAlias = tuple[float, float, float]


def expected_seconds(rankings: Sequence[Ranking], output_tokens: int) -> list[float | None]:
    """Time to the first content plus that of the rest, divided by the successes; None where nothing is known."""
    # One pass over all and not a call for each: a decision among a hundred candidates is to take microseconds.
    return [
        None
        if ranking.first_token is None
        else (ranking.first_token + (ranking.per_token or 0.0) * output_tokens)
        / (share if (share := 1.0 - ranking.failures) > LEAST_SUCCESS else LEAST_SUCCESS)
        for ranking in rankings
    ]


def loads(candidates: Sequence[Candidate], view: View) -> list[float]:
    """The load of each, in seconds; see the module's docstring."""
    output = min(view.route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    known = expected_seconds([view.ranking(candidate) for candidate in candidates], output)
    best = min([seconds for seconds in known if seconds is not None], default=1.0)
    found = []
    for candidate, seconds in zip(candidates, known, strict=True):
        in_flight = view.load(candidate).in_flight
        if seconds is None:
            seconds = UNSEEN * best / max(LEAST_SUCCESS, 1.0 - view.ranking(candidate).failures)
            seconds *= PENDING if in_flight else 1.0
        found.append(seconds * (in_flight + 1))
    return found


def fastest(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """The better of two or few by load first, hot ones last."""

    def keys(few: Sequence[Candidate]) -> list[_Key]:
        found: list[_Key] = []
        for candidate, load in zip(few, loads(few, view), strict=True):
            fullness = _fullness(view.load(candidate))
            if _is_hot(fullness, candidates, view):
                found.append((1.0, fullness, load))
            else:
                found.append((0.0, load, 0.0))
        return found

    return _choose(candidates, view, keys)


def least_loaded(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """The emptier of two or few first, by the share of its slots that are taken, then by their number."""

    def keys(few: Sequence[Candidate]) -> list[_Key]:
        loads = [view.load(candidate) for candidate in few]
        # Chance decides between equals: the numbers are a moment old, and all would go to the same one.
        return [(_fullness(load), load.in_flight, view.rng.random()) for load in loads]

    return _choose(candidates, view, keys)


def _choose(
    candidates: Sequence[Candidate], view: View, keys: Callable[[Sequence[Candidate]], list[_Key]]
) -> list[Candidate]:
    """All by their key if they are few; else the better and the other of two, then the rest in turn from anywhere."""
    count = len(candidates)
    if count <= FEW:
        found = keys(candidates)
        return [candidates[index] for index in sorted(range(count), key=found.__getitem__)]
    one = int(view.rng.random() * count)
    two = int(view.rng.random() * (count - 1))
    two += two >= one
    first, second = keys((candidates[one], candidates[two]))
    if second < first:
        one, two = two, one
    # Whoever comes after these two is a fallback. Begun at random, so that not all fall back upon the same one.
    begin = int(view.rng.random() * count)
    rest = [*candidates[begin:], *candidates[:begin]]
    for index in sorted(((one - begin) % count, (two - begin) % count), reverse=True):
        del rest[index]
    return [candidates[one], candidates[two], *rest]


def _fullness(load: Load) -> float:
    """The share of a deployment's slots that are taken; 0 without a limit, or more than 1 if it was lowered."""
    return 0.0 if load.limit == math.inf else load.in_flight / max(load.limit, 1.0)


def _is_hot(fullness: float, candidates: Sequence[Candidate], view: View) -> bool:
    if fullness <= HALF_FULL or fullness >= 1:
        # Nearly always, and so the others are counted only when it matters.
        return fullness >= 1
    emptier = sum([_fullness(view.load(candidate)) < fullness for candidate in candidates])
    return emptier > HOT * (len(candidates) - 1)
