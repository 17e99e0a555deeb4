"""How long prompts and answers are, and how long a user thinks: distributions written as text. Pure.

300                  always
50-400               uniform, both ends included
lognormal:300,0.6    median and sigma, as most lengths of real prompts and answers are distributed
exp:2s               exponential, by its mean
"""

from __future__ import annotations

import math
import random
import re
from typing import Final, Literal, TypeAlias

from msgspec import Struct

__all__ = ["FORMS", "Distribution", "parse_distribution"]

Kind: TypeAlias = Literal["fixed", "uniform", "lognormal", "exp"]

FORMS: Final = "300, 50-400, lognormal:300,0.6 or exp:300"
"""How a distribution is written, for help and messages."""

_NUMBER: Final = r"(\d+(?:\.\d+)?)\s*(ms|s|m|k)?"
_SCALE: Final = {None: 1.0, "": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "k": 1e3}
_SHAPES: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("fixed", re.compile(_NUMBER)),
    ("uniform", re.compile(rf"{_NUMBER}\s*-\s*{_NUMBER}")),
    ("lognormal", re.compile(rf"lognormal:\s*{_NUMBER}\s*,\s*(\d+(?:\.\d+)?)")),
    ("exp", re.compile(rf"exp:\s*{_NUMBER}")),
)
_LARGEST: Final = 1e7


class Distribution(Struct, frozen=True):
    """A distribution of numbers of at least 0. `first` and `second`: the value; both ends; median and sigma; the mean."""

    kind: Kind
    first: float
    second: float = 0.0

    def draw(self, rng: random.Random) -> float:
        """A number; at most 10 million, whatever a tail would give."""
        if self.kind == "fixed":
            return self.first
        if self.kind == "uniform":
            return rng.uniform(self.first, self.second)
        if self.kind == "lognormal":
            return min(_LARGEST, self.first * rng.lognormvariate(0.0, self.second))
        return min(_LARGEST, rng.expovariate(1 / self.first)) if self.first else 0.0

    def draw_count(self, rng: random.Random) -> int:
        """A whole number of at least 1."""
        if self.kind == "uniform":
            low = max(1, math.ceil(self.first))
            return rng.randint(low, max(low, math.floor(self.second)))
        return max(1, round(self.draw(rng)))


def parse_distribution(text: str) -> Distribution:
    """What `text` says. Raises `ValueError` that says how it is written."""
    for kind, shape in _SHAPES:
        found = shape.fullmatch(text.strip()) if len(text) < 100 else None
        if found is None:
            continue
        first = float(found[1]) * _SCALE[found[2]]
        second = 0.0
        if kind == "uniform":
            second = float(found[3]) * _SCALE[found[4]]
        elif kind == "lognormal":
            second = float(found[3])
        _check(kind, text, first, second)
        return Distribution(kind, first, second)
    raise ValueError(f"{text!r} is no distribution; write it like {FORMS}")


def _check(kind: Kind, text: str, first: float, second: float) -> None:
    if max(first, second) > _LARGEST:
        raise ValueError(f"{text!r}: at most {_LARGEST:,.0f}")
    if kind == "uniform" and first > second:
        raise ValueError(f"{text!r}: the first number is the smaller one")
    if kind == "lognormal" and not (first > 0 and second <= 5):
        raise ValueError(f"{text!r}: the median is above 0, and sigma at most 5")
