"""What a policy is given, and what it gives back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from msgspec import Struct, field

from ..messages import Load, Ranking, Route, size_class
from .memo import Memo

__all__ = ["IDLE", "UNRANKED", "Candidate", "Policy", "View", "sorted_by"]

UNRANKED = Ranking()
IDLE = Load()


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
    long_prices: tuple[tuple[int, float, float], ...] = ()
    """Of requests with more input tokens than the first number: input and output, the smallest number first."""
    weight: float = 1.0


class View(Struct, frozen=True):
    """What a policy may look at: the request, the rankings, the loads, a count of decisions so far, chance and time."""

    route: Route
    rankings: Mapping[str, Ranking]
    loads: Mapping[str, Load]
    turn: int
    rng: random.Random
    now: float
    reduced: AbstractSet[str] | None = None
    """The deployments whose load has a weight below 1; None if nobody keeps account of them."""
    memo: Memo = field(default_factory=Memo)
    """What was worked out of these rankings before."""

    def ranking(self, candidate: Candidate) -> Ranking:
        """What statistics know of `candidate`; an empty ranking when that is nothing."""
        return self.rankings.get(candidate.deployment, UNRANKED)

    def load(self, candidate: Candidate) -> Load:
        """How its vendor last said that `candidate` stands; idle and open to all when it said nothing."""
        return self.loads.get(candidate.deployment, IDLE)

    def remaining(self) -> float:
        """Seconds until the request's deadline, 0 when it has passed."""
        return max(0.0, self.route.deadline - self.now)

    def usual(self, candidate: Candidate) -> float | None:
        """The median time to the first content there of requests of this size; None where that was never seen.

        Where only smaller requests were seen it is theirs, which is rather too low than too high.
        """
        usual = self.ranking(candidate).usual
        for size in range(min(size_class(self.route.input_tokens), len(usual) - 1), -1, -1):
            if usual[size] is not None:
                return usual[size]
        return None


def sorted_by(
    keys: Sequence[float], candidates: Sequence[Candidate], *, reverse: bool = False
) -> list[Candidate]:
    """`candidates` by their `keys`, the lowest first; with `reverse` the highest. Equals stay in order either way."""
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
    return list(map(candidates.__getitem__, order))


Policy: TypeAlias = Callable[[Sequence[Candidate], View], list[Candidate]]
