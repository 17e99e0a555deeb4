"""How long to wait before trying again.

Theory. Callers that fail together and wait the same time come back together. Full jitter draws the delay uniformly
from 0 to a growing ceiling and so spreads them over the whole interval; equal jitter keeps half of the ceiling as a
minimum; decorrelated jitter lets each delay grow from the previous one instead of a counter, which suits restarts,
where nobody counts attempts (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

A server that names a time knows better than any formula: its hint is a lower bound, whatever the cap says.
"""

import random
from typing import Literal

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """A shape of delays. `base` and `cap` are seconds; attempts count from 0.

    The ceiling of attempt n is `base * 2**n` (exponential), `base * (n + 1)` (linear) or `base` (fixed), at most `cap`.
    The delay is drawn from 0 to the ceiling (full), from half of it (equal), or is the ceiling itself (none).
    """

    kind: Literal["exponential", "linear", "fixed"] = "exponential"
    base: float = 0.25
    cap: float = 8.0
    jitter: Literal["full", "equal", "none"] = "full"

    def __post_init__(self) -> None:
        if not 0 <= self.base <= self.cap < float("inf"):
            raise ValueError(f"a back-off needs 0 <= base <= cap, got base={self.base}, cap={self.cap}")

    def ceiling(self, attempt: int) -> float:
        """The longest delay attempt number `attempt` may draw."""
        if self.kind == "exponential":
            # The exponent is held where a float still holds the product; the cap is far below.
            return min(self.cap, self.base * 2.0 ** min(attempt, 512))
        if self.kind == "linear":
            return min(self.cap, self.base * (attempt + 1))
        return min(self.cap, self.base)

    def delay(self, attempt: int, rng: random.Random, hint: float | None = None) -> float:
        """Seconds to wait before the retry that follows attempt `attempt`; at least `hint` if there is one."""
        ceiling = self.ceiling(attempt)
        if self.jitter == "full":
            drawn = rng.uniform(0.0, ceiling)
        elif self.jitter == "equal":
            drawn = rng.uniform(ceiling / 2, ceiling)
        else:
            drawn = ceiling
        return honour(hint, drawn)


def honour(hint: float | None, delay: float) -> float:
    """The longer of a server's hint and our own delay. A missing hint, or one that is not a number, counts for nothing."""
    return hint if hint is not None and hint > delay else delay


def decorrelated(previous: float, base: float, cap: float, rng: random.Random) -> float:
    """The delay after one of `previous` seconds: `min(cap, U(base, 3 * previous))`, never under `base`."""
    return min(cap, rng.uniform(base, max(base, 3.0 * previous)))
