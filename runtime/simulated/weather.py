"""Which requests go wrong, and how: a simulated vendor's bad days, drawn by share.

At most one fault befalls a request. Shares that add up to more than 1 leave nothing for the later ones.
"""

from __future__ import annotations

import random
from typing import Final, Literal, TypeAlias

from ..config.schema import Faults

__all__ = ["Mishap", "draw_mishap"]

Mishap: TypeAlias = Literal["refuse_connection", "rate_limited", "overloaded", "server_error", "stall", "cut"]

_ORDER: Final[tuple[Mishap, ...]] = (
    "refuse_connection",
    "rate_limited",
    "overloaded",
    "server_error",
    "stall",
    "cut",
)


def draw_mishap(faults: Faults, rng: random.Random) -> Mishap | None:
    """What befalls the next request, or None. Draws exactly one number, whatever the shares are."""
    left = rng.random()
    for mishap in _ORDER:
        share: float = getattr(faults, mishap)
        if left < share:
            return mishap
        left -= share
    return None
