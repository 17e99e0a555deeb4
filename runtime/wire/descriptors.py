"""When to stop accepting because file descriptors run out.

The last tenth is kept for what serving a connection takes: connections to vendors, files, pipes. An accept that fails
for want of a descriptor leaves the client in the backlog and the loop spinning, so it must not come to that.
"""

from __future__ import annotations

from collections.abc import Callable

from ..process import open_files

__all__ = ["Descriptors"]


class Descriptors:
    """The process's file descriptors against their limit. `count` says how many are open, None if nobody knows."""

    def __init__(
        self, limit: int | None, count: Callable[[], int | None] = open_files, *, share: float = 0.9
    ) -> None:
        self.limit = limit
        self._count = count
        self._most = float("inf") if limit is None else limit * share
        self._used = 0
        self._countdown = 0

    def full(self) -> bool:
        """Whether nothing more should be accepted. Cheap: it counts seldom while there is much room."""
        if self._used < self._most and self._countdown > 0:
            self._countdown -= 1
            return False
        return self.refresh() >= self._most

    def refresh(self) -> int:
        """Count; returns how many are open (0 if nobody knows)."""
        if self.limit is None:
            return 0
        self._used = self._count() or 0
        # An accepted connection may open a second one, to a vendor, before the next count.
        self._countdown = int(max(0.0, self._most - self._used) / 4)
        return self._used
