"""Amounts that a script leaves to chance, drawn from a generator that the caller has seeded."""

from __future__ import annotations

import math
import random
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

from ...runtime.config.units import Seconds, decode

__all__ = ["Amount", "Spread", "check_amount", "draw"]


class Spread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One distribution: `{ uniform = [low, high] }` or `{ lognormal = [median, sigma] }`.

    `sigma` is the standard deviation of the logarithm, as in `random.lognormvariate`. `most` cuts what is drawn.
    Raises `ValueError` for anything else.
    """

    uniform: tuple[float, float] | None = None
    lognormal: tuple[float, float] | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if (self.uniform is None) == (self.lognormal is None):
            raise ValueError("give either `uniform = [low, high]` or `lognormal = [median, sigma]`")
        if self.uniform is not None and not 0 <= self.uniform[0] <= self.uniform[1] < math.inf:
            raise ValueError("`uniform` needs 0 <= low <= high")
        if self.lognormal is not None and not (0 < self.lognormal[0] < math.inf and self.lognormal[1] >= 0):
            raise ValueError("`lognormal` needs a median above 0 and a sigma of at least 0")


Amount: TypeAlias = float | str | Spread
"""A fixed number (of seconds, mostly; also written `"250ms"`, `"1m30s"`), or a distribution."""


@lru_cache(maxsize=256)
def _parsed(text: str) -> float:
    return float(decode(Seconds, text))


def check_amount(name: str, amount: Amount) -> None:
    """Raises `ValueError`, naming the field, for what cannot be drawn."""
    if isinstance(amount, str):
        try:
            _parsed(amount)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None
    elif not isinstance(amount, Spread) and not 0 <= amount < math.inf:
        raise ValueError(f"`{name}` is at least 0 and finite, not {amount!r}")


def draw(amount: Amount, rng: random.Random) -> float:
    """A number, at least 0. Draws from `rng` only where there is something to draw."""
    if isinstance(amount, str):
        return _parsed(amount)
    if not isinstance(amount, Spread):
        return float(amount)
    if amount.uniform is not None:
        drawn = rng.uniform(*amount.uniform)
    elif amount.lognormal is not None:
        median, sigma = amount.lognormal
        drawn = median * rng.lognormvariate(0.0, sigma)
    return drawn if amount.most is None else min(drawn, amount.most)
