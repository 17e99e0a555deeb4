"""The one place that reads the wall clock: for display, and for hints that vendors give as a date.

Everything that decides by time takes `now` from the event loop's monotonic clock instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["simulated", "wall_now"]

_read: Callable[[], float] = time.time  # noqa: TID251 - this is the place


def wall_now() -> float:
    """Seconds since the epoch, by this machine's clock, which may be wrong and may jump."""
    return _read()


@contextmanager
def simulated(clock: Callable[[], float]) -> Iterator[None]:
    """Let `clock` be the wall clock of the whole process meanwhile: for runs in virtual time, which are to be the same
    each time."""
    global _read
    before, _read = _read, clock
    try:
        yield
    finally:
        _read = before
