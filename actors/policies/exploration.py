"""Asking a deployment now and then that would not have been asked: around the policies that go by what was seen.

A deployment that was slow once is not chosen, and so never shows that it has recovered. One request in a hundred
therefore goes to any candidate; and one that takes traffic but was not asked first for a minute is asked, as long as that
takes no more than one request in ten, lest a quiet house do nothing but explore.

A request is not explored with when it has little time: if the answer is slow, there must be time for another.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from .base import Candidate, View

__all__ = ["Exploration"]

SHARE: Final = 0.01
EVERY: Final = 60.0
"""Seconds without a request after which a candidate is asked."""
APART: Final = 10
"""Requests from one exploration of a neglected candidate to the next, at least."""
ENOUGH: Final = 3.0
"""Times the usual time to the first content that must be left."""
UNKNOWN: Final = 2.0
"""Seconds that the first content is supposed to take where nothing is known."""
TRUSTED: Final = 0.5
"""Share of failures from which a deployment is left to its circuit's probes."""
_MOST: Final = 10_000


class Exploration:
    """Remembers when each deployment was last asked first. `most` bounds how many."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._since = 0

    def __call__(self, ordered: list[Candidate], view: View) -> list[Candidate]:
        """`ordered` by a policy, now and then with another one first."""
        if len(ordered) < 2:
            return ordered
        self._since += 1
        chosen = self._choose(ordered, view)
        if chosen is not None:
            ordered = [chosen, *[each for each in ordered if each is not chosen]]
        self._note(ordered[0].deployment, view.now)
        return ordered

    def _choose(self, ordered: list[Candidate], view: View) -> Candidate | None:
        if view.rng.random() < SHARE:
            candidate = ordered[int(view.rng.random() * len(ordered))]
            return candidate if self._may(candidate, view) else None
        if self._since < APART:
            return None
        # One is looked at per request, at random: what that costs does not depend on how many there are.
        candidate = ordered[int(view.rng.random() * len(ordered))]
        asked = self._asked.get(candidate.deployment, -math.inf)
        if view.now - asked < EVERY or not self._may(candidate, view):
            return None
        self._since = 0
        return candidate

    @staticmethod
    def _may(candidate: Candidate, view: View) -> bool:
        load = view.load(candidate)
        ranking = view.ranking(candidate)
        if load.weight < 1.0 or load.closed_until > view.now or ranking.failures >= TRUSTED:
            return False
        usual = view.usual(candidate) or ranking.first_token or UNKNOWN
        return view.remaining() >= ENOUGH * usual

    def _note(self, deployment: str, now: float) -> None:
        self._asked[deployment] = now
        self._asked.move_to_end(deployment)
        if len(self._asked) > self._most:
            self._asked.popitem(last=False)
