"""What a policy is given, and what it gives back."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from ..messages import Ranking, Route

__all__ = ["UNRANKED", "Candidate", "Policy", "View"]

UNRANKED = Ranking()


class Candidate(Struct, frozen=True, kw_only=True):
    """A deployment as policies see it. Prices are dollars per million tokens, None if unknown."""

    deployment: str
    vendor: str
    model: str
    context: int = 128_000
    capabilities: frozenset[str] = frozenset()
    quality: float = 0.5
    input_price: float | None = None
    output_price: float | None = None
    weight: float = 1.0


class View(Struct, frozen=True):
    """What a policy may look at: the request, the rankings, a count of decisions so far, and chance."""

    route: Route
    rankings: dict[str, Ranking]
    turn: int
    rng: random.Random

    def ranking(self, candidate: Candidate) -> Ranking:
        """What statistics know of `candidate`; an empty ranking when that is nothing."""
        return self.rankings.get(candidate.deployment, UNRANKED)


Policy: TypeAlias = Callable[[Sequence[Candidate], View], list[Candidate]]
