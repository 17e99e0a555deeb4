"""Policies: pure orderings of candidates. The router asks them in which order to try the deployments.

A policy is a function of the candidates and a `View`; it returns the same candidates in the order in which
they are to be tried, and loses none: what is last is the fallback. It reads no clock and draws chance from
`view.rng` only. To add one: a function in a file here and a line in `POLICIES`, or, from an application,
`Dispatcher.open(..., policies={"mine": mine})`.
"""

from __future__ import annotations

from typing import Final

from .base import Candidate, Policy, View
from .cost import cheapest
from .latency import fastest
from .order import priority, round_robin, weighted
from .quality import balanced, best

__all__ = ["POLICIES", "Candidate", "Policy", "View"]

POLICIES: Final[dict[str, Policy]] = {
    "priority": priority,
    "weighted": weighted,
    "round_robin": round_robin,
    "cheapest": cheapest,
    "fastest": fastest,
    "best": best,
    "balanced": balanced,
}
"""Name in the configuration -> policy."""
