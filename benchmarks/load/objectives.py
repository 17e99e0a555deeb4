"""Service-level objectives, written as text: what a run has to keep for the command to exit with 0. Pure.

    latency_p99<2s      99 % of all requests are answered whole within 2 s, from when they were to be sent
    ttft_p95<=500ms     95 % of all requests show their first content within 500 ms (streams only)
    gap_p99<200ms       99 % of the gaps between pieces of an answer are shorter
    error_rate<1%       requests that failed, or could not even be sent, as a share of all
    throughput>=45      answers a second
    cost<0.50           dollars, all together

A request that failed counts as slower than any bound: an objective cannot be met by failing quickly.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from ...runtime.config.problems import nearest
from .words import seconds_of

__all__ = ["EXAMPLE", "Comparison", "Metric", "Objective", "parse_objective"]

Metric: TypeAlias = Literal["latency", "ttft", "gap", "error_rate", "throughput", "cost"]
Comparison: TypeAlias = Literal["<", "<=", ">", ">="]

EXAMPLE: Final = "ttft_p99<500ms"
_TIMED: Final = ("latency", "ttft", "gap")
_WORDS: Final = ("latency_p99", "ttft_p99", "gap_p99", "error_rate", "throughput", "cost")
_SHAPE: Final = re.compile(r"\s*([a-z_]+?)(?:_p(\d{1,2}(?:\.\d{1,3})?))?\s*(<=|>=|<|>)\s*(\S+)\s*")
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Objective(Struct, frozen=True):
    """One objective. `bound` is in seconds, a share (0 to 1), answers a second or dollars, by the metric."""

    text: str
    metric: Metric
    quantile: float | None
    """Of the timed metrics, 0 to 1."""
    comparison: Comparison
    bound: float

    def met_by(self, value: float | None) -> bool:
        """Whether `value` keeps it; None, which is what cannot be told or never ended, does not."""
        return value is not None and _OPERATORS[self.comparison](value, self.bound)


def parse_objective(text: str) -> Objective:
    """What `text` says. Raises `ValueError` that says how it is written."""
    found = _SHAPE.fullmatch(text) if len(text) < 100 else None
    if found is None:
        raise ValueError(f"{text!r} is no objective; write it like {EXAMPLE!r} or 'error_rate<1%'")
    name, percentile, comparison, bound = found.groups()
    metric = _METRICS.get(name)
    if metric is None:
        raise ValueError(
            f"{text!r}: nothing called {name!r} is measured; {nearest(name, _WORDS, 'there are')}"
        )
    if (metric in _TIMED) is (percentile is None):
        what = "has a percentile" if percentile is None else "has no percentile"
        raise ValueError(f"{text!r}: {name} {what}; write it like {EXAMPLE!r} or 'error_rate<1%'")
    if metric != "throughput" and comparison not in ("<", "<="):
        raise ValueError(f"{text!r}: {name} is to be kept below a bound, so write < or <=")
    quantile = None if percentile is None else float(percentile) / 100
    return Objective(text.strip(), metric, quantile, _COMPARISONS[comparison], _bound(text, metric, bound))


_METRICS: Final[dict[str, Metric]] = {
    "latency": "latency", "ttft": "ttft", "gap": "gap",
    "error_rate": "error_rate", "throughput": "throughput", "cost": "cost",
}  # fmt: skip
_COMPARISONS: Final[dict[str, Comparison]] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


_UNITS: Final[dict[Metric, str]] = {
    "error_rate": "a share like 1% or 0.01",
    "throughput": "answers a second like 45",
    "cost": "dollars like 0.50",
}


def _bound(text: str, metric: Metric, bound: str) -> float:
    try:
        if metric in _TIMED:
            return seconds_of(bound)
        number = (
            bound.removeprefix("$").removesuffix("/s") if metric != "error_rate" else bound.removesuffix("%")
        )
        value = float(number) / (100 if number != bound and metric == "error_rate" else 1)
        if not 0 <= value < math.inf:
            raise ValueError
        return value
    except ValueError:
        unit = _UNITS.get(metric, "a duration like 500ms or 2s")
        raise ValueError(f"{text!r}: {bound!r} is not {unit}") from None
