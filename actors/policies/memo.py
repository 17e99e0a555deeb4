"""What policies work out of candidates and rankings alone: kept until either changes.

A decision among a hundred candidates is to take microseconds, and most of what it goes by is the same for all requests
between two publications of the rankings. Whoever publishes anew begins a new memo.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

T = TypeVar("T")

__all__ = ["Memo"]

_FEW: Final = 4
"""So many are worked out as soon as looked up, and mostly are a choice of two that will not come again."""
_MOST: Final = 1000


class Memo:
    """Results by what they are and whose. Of candidates only tuples are known again, by being the same object."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[Hashable, int], tuple[Sequence[Any], Any]] = {}

    def get(self, what: Hashable, candidates: Sequence[Any], make: Callable[[], T]) -> T:
        """What `make` returned for these candidates before, or returns now. Not to be changed by whoever gets it."""
        if type(candidates) is not tuple or len(candidates) <= _FEW:
            return make()
        key = (what, id(candidates))
        found = self._found.get(key)
        # The tuple is kept with its result, so that no other can have its place in memory.
        if found is not None and found[0] is candidates:
            result: T = found[1]
            return result
        if len(self._found) >= _MOST:
            self._found.clear()
        made = make()
        self._found[key] = (candidates, made)
        return made
