"""Policies: pure orderings of candidates. The router asks them in which order to try the deployments.

A policy is a function of the candidates and a `View`; it returns the same candidates in the order in which
they are to be tried, and loses none: what is last is the fallback. It reads no clock and draws chance from
`view.rng` only. To add one: a function in a file here and a line in `POLICIES`, or, from an application,
`Dispatcher.open(..., policies={"mine": mine})`.

`Ordering` lays around every policy what none of them needs to know of: prompt caches (`sticky`), circuits (`weighting`)
and the need to look (`exploration`). `patience` says how long the first one is worth waiting for.
"""

from __future__ import annotations

from typing import Final

from .base import Candidate, Policy, View
from .cost import cheapest
from .latency import fastest, least_loaded
from .memo import Memo
from .order import priority, round_robin, weighted
from .ordering import Ordering
from .patience import late, patience
from .quality import balanced, best

__all__ = ["POLICIES", "Candidate", "Memo", "Ordering", "Policy", "View", "late", "patience"]

POLICIES: Final[dict[str, Policy]] = {
    "priority": priority,
    "weighted": weighted,
    "round_robin": round_robin,
    "cheapest": cheapest,
    "fastest": fastest,
    "least_loaded": least_loaded,
    "best": best,
    "balanced": balanced,
}
"""Name in the configuration -> policy."""
