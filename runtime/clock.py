"""The one place that reads the wall clock: for display, and for hints that vendors give as a date.

Everything that decides by time takes `now` from the event loop's monotonic clock instead.
"""

from __future__ import annotations

import time

__all__ = ["wall_now"]


def wall_now() -> float:
    """Seconds since the epoch, by this machine's clock, which may be wrong and may jump."""
    return time.time()  # noqa: TID251 - this is the place
