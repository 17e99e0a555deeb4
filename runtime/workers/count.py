"""How many workers there are, if the configuration does not say."""

from __future__ import annotations

from ..config import Loaded
from ..process import usable_cores

__all__ = ["worker_count"]


def worker_count(loaded: Loaded, wanted: int | None = None) -> int:
    """`wanted` (of the command line), else `server.workers`; else one for each core that may be used.

    One where there is nothing to gain by more: while only simulated vendors are served, each worker would have vendors of its own.
    """
    given = loaded.config.server.workers if wanted is None else wanted
    if given:
        return given
    if all(vendor.simulate is not None for vendor in loaded.serving.vendors):
        return 1
    return usable_cores()
