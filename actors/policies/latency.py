"""The expected time of this very request, from what the statistics have seen.

A deployment that fails fast must not look fast: latencies come from successes only, and the share of
failures multiplies the score. One that has not been seen yet scores a little better than the best known
one, so that it is tried, and is then judged by what it did.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..messages import Ranking
from .base import Candidate, View
from .cost import TYPICAL_OUTPUT

__all__ = ["expected_seconds", "fastest"]

EXPLORATION = 0.01
"""Share of requests that go to a random candidate first, so that a recovery is noticed."""


def expected_seconds(ranking: Ranking, output_tokens: int) -> float | None:
    """Time to the first content plus that of the rest, times the failures; None where nothing is known."""
    if ranking.first_token is None:
        return None
    rest = (ranking.per_token or 0.0) * output_tokens
    return (ranking.first_token + rest) / max(0.02, 1.0 - ranking.failures)


def fastest(candidates: Sequence[Candidate], view: View) -> list[Candidate]:
    """By expected time, the shortest first; one in a hundred requests explores."""
    output = min(view.route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    seconds = {
        candidate.deployment: expected_seconds(view.ranking(candidate), output) for candidate in candidates
    }
    known = [value for value in seconds.values() if value is not None]
    unseen = 0.9 * min(known) if known else 1.0

    def key(candidate: Candidate) -> float:
        value = seconds[candidate.deployment]
        if value is None:
            return unseen / max(0.02, 1.0 - view.ranking(candidate).failures)
        return value

    ordered = sorted(candidates, key=key)
    if len(ordered) > 1 and view.rng.random() < EXPLORATION:
        ordered.insert(0, ordered.pop(view.rng.randrange(len(ordered))))
    return ordered
