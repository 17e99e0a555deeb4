"""Which candidates a policy would as well choose as its first: those among which habit may decide.

A policy returns an order, which does not say by how much the first is better. For those named here a standing does: a
number per candidate, the lower the better, and the factor up to which a difference does not matter. A policy that is
not named here (`priority`, whose order is an order, and an application's own) has its word taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from .base import Candidate, View
from .cost import TYPICAL_OUTPUT, expected_dollars
from .latency import expected_seconds
from .quality import bargains

__all__ = ["STANDINGS", "Standing"]


class Standing(Struct, frozen=True):
    """`scores` of all candidates, above 0, the lower the better; `gap`: the factor at which a difference begins to count.

    `weighted`: equals still are to get shares as their weights say.
    """

    scores: Callable[[Sequence[Candidate], View], list[float]]
    gap: float
    weighted: bool = False

    def near(self, first: Candidate, other: Candidate, view: View) -> bool:
        """Whether `other` stands no worse than `first` by more than the gap."""
        if other is first:
            return True
        best, score = self.scores((first, other), view)
        return score <= best * self.gap

    def equals(self, ordered: Sequence[Candidate], view: View) -> list[Candidate]:
        """Those of `ordered` that stand no worse than its first by more than the gap, the first included."""
        scores = self.scores(ordered, view)
        most = scores[0] * self.gap
        return [each for each, score in zip(ordered, scores, strict=True) if score <= most]


def _alike(candidates: Sequence[Candidate], view: View) -> list[float]:  # noqa: ARG001 - the signature of a standing
    # Weight 0 says "only as a fallback", whatever the policy.
    return [1.0 if candidate.weight > 0 else math.inf for candidate in candidates]


def _seconds(candidates: Sequence[Candidate], view: View) -> list[float]:
    """Without what is in flight: that sends single requests elsewhere, and is no reason to move house."""
    output = min(view.route.output_tokens or TYPICAL_OUTPUT, TYPICAL_OUTPUT)
    known = expected_seconds([view.ranking(candidate) for candidate in candidates], output)
    best = min([seconds for seconds in known if seconds is not None], default=1.0)
    return [best if seconds is None else seconds for seconds in known]


def _dollars(candidates: Sequence[Candidate], view: View) -> list[float]:
    return expected_dollars(candidates, view)


def _quality(candidates: Sequence[Candidate], view: View) -> list[float]:  # noqa: ARG001 - the signature of a standing
    return [1.0 / max(candidate.quality, 1e-3) for candidate in candidates]


def _bargain(candidates: Sequence[Candidate], view: View) -> list[float]:
    return [math.exp(-value) for value in bargains(candidates, view)]


STANDINGS: Final[Mapping[str, Standing]] = {
    "weighted": Standing(_alike, 1.0, weighted=True),
    "round_robin": Standing(_alike, 1.0),
    "least_loaded": Standing(_alike, 1.0),
    "fastest": Standing(_seconds, 2.0),
    "cheapest": Standing(_dollars, 1.25),
    "best": Standing(_quality, 1.05),
    "balanced": Standing(_bargain, 1.25),
}
"""Of the policies for which stickiness is worth something. A read from a vendor's prompt cache costs a tenth to a half of
the input and saves most of its time, so gaps smaller than that are not worth losing it for."""
