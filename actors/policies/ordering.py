"""A policy with all that is laid around it.

The policy says who is best. Then, each knowing nothing of the others: requests that begin alike stay together (`sticky`),
a deployment that was out gets its traffic back by degrees (`weighting`), and one that is never asked is asked now and
then (`exploration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .base import Candidate, Policy, View
from .exploration import Exploration
from .standing import STANDINGS, Standing
from .sticky import Sticky
from .weighting import weighting

__all__ = ["Ordering"]

EXPLORED: Final = frozenset({"balanced", "fastest"})
"""The policies that go by what was seen, and so have to look."""


class Ordering:
    """Orders candidates by any policy of `policies`, by name. Keeps what stickiness and exploration remember."""

    def __init__(self, policies: Mapping[str, Policy], standings: Mapping[str, Standing] = STANDINGS) -> None:
        self._policies = policies
        self._standings = standings
        self.sticky = Sticky()
        self._exploration = Exploration()

    def __call__(self, policy: str, candidates: Sequence[Candidate], view: View) -> list[Candidate]:
        """All of `candidates`, in the order in which they are to be tried. An unknown policy is a KeyError."""
        ordered = self._policies[policy](candidates, view)
        standing = self._standings.get(policy)
        if standing is not None:
            ordered = self.sticky(ordered, view, standing)
        ordered = weighting(ordered, view)
        return self._exploration(ordered, view) if policy in EXPLORED else ordered
