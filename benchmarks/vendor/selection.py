"""Which step of a script an attempt meets, and which rule a connection. Pure: the time and the draws are given."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase

from .script import ConnectionRule, Script, Step, When

__all__ = ["Selection", "Selector"]


class Selection:
    """A step chosen for one attempt; it counts as played once `play` has been called."""

    def __init__(self, step: Step, plays: dict[int, int], index: int | None) -> None:
        self.step = step
        self._plays = plays
        self._index = index

    def play(self) -> None:
        """Use the step up by one."""
        if self._index is not None:
            self._plays[self._index] = self._plays.get(self._index, 0) + 1


class Selector:
    """One playing of a script. Attempts and connections must be asked about in the order of their arrival."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lines: list[tuple[Step, int | None]] = [(step, step.times or 1) for step in script.steps]
        self._lines += [(rule, rule.times) for rule in script.rules]
        self._plays: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._connections = 0

    def select(self, model: str, key: str, stream: bool, elapsed: float, rng: random.Random) -> Selection:
        """What the next attempt meets. One number is drawn from `rng`, whatever the script says."""
        drawn, taken = rng.random(), 0.0
        found: Selection | None = None
        for index, (step, most) in enumerate(self._lines):
            if not _matches(step.when, model, key, stream, elapsed):
                continue
            if not self._nth(index, step.when):
                continue
            if found is not None or (most is not None and self._plays.get(index, 0) >= most):
                continue
            if step.chance is not None:
                taken += step.chance
                if drawn >= taken:
                    continue
            found = Selection(step, self._plays, index)
        return found or Selection(self._script.default, self._plays, None)

    def connection(self, elapsed: float, rng: random.Random) -> ConnectionRule:
        """What the next connection meets."""
        self._connections += 1
        drawn, taken = rng.random(), 0.0
        for rule in self._script.connections:
            if not rule.window.within(elapsed) or not _is_nth(self._connections, rule.nth):
                continue
            if rule.chance is not None:
                taken += rule.chance
                if drawn >= taken:
                    continue
            return rule
        return ConnectionRule()

    def closed(self, elapsed: float) -> bool:
        """Whether nothing listens at this time."""
        return any(rule.window.within(elapsed) for rule in self._shutters())

    def next_change(self, elapsed: float) -> float | None:
        """When, after `elapsed`, `closed` may change; None if never."""
        edges = [
            edge
            for rule in self._shutters()
            for edge in (rule.window.from_, rule.window.until)
            if edge is not None and edge > elapsed
        ]
        return min(edges, default=None)

    def _shutters(self) -> Sequence[ConnectionRule]:
        return [rule for rule in self._script.connections if rule.act == "refuse" and rule.certain]

    def _nth(self, index: int, when: When) -> bool:
        """Count a match of the rest of `when`, and say whether it is the one that is meant."""
        if when.nth is None:
            return True
        self._seen[index] = count = self._seen.get(index, 0) + 1
        return _is_nth(count, when.nth)


def _is_nth(count: int, wanted: int | list[int] | None) -> bool:
    return wanted is None or count == wanted or (isinstance(wanted, list) and count in wanted)


def _matches(when: When, model: str, key: str, stream: bool, elapsed: float) -> bool:
    return (
        when.within(elapsed)
        and (when.stream is None or when.stream == stream)
        and (when.model is None or fnmatchcase(model, when.model))
        and (when.key is None or fnmatchcase(key, when.key))
    )
