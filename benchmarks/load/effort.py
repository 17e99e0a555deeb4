"""What the generator itself needed: whether a run has measured its target, or the program that measures."""

from __future__ import annotations

import sys
import time

from msgspec import Struct

if sys.platform != "win32":
    import resource

__all__ = ["Effort", "Stopwatch"]


class Effort(Struct, frozen=True):
    """CPU time (user and system) of this process over a run."""

    cpu_seconds: float
    wall_seconds: float
    peak_rss: int
    """Bytes, since the process began; 0 where the system does not tell (Windows)."""

    @property
    def share(self) -> float:
        """Of one core. This program runs on one, so near 1 there is nothing left."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds else 0.0


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> Effort:
        """The effort so far."""
        return Effort(time.process_time() - self._cpu, time.perf_counter() - self._wall, _peak_rss())


def _peak_rss() -> int:
    if sys.platform == "win32":
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kibibytes, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
