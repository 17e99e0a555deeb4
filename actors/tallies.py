"""What happened since the start, under each name: attempts, errors, tokens, money, latencies.

Each attempt is counted once, under the combination of names that it belongs to; the sums by vendor, deployment, model
and mode are made when somebody asks. So counting costs the same however many ways there are of looking at it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, TypeAlias

from msgspec import Struct, field

from .faults import FaultClass
from .machines.quantiles import LatencySketch
from .messages import Outcome

__all__ = ["Latency", "Ledger", "LedgerImage", "Statistics", "Summary"]

_MOST_CELLS: Final = 5000
"""Combinations of names that are counted apart; further ones are counted together as `(other)`."""
_OTHER: Final = "(other)"


class Latency(Struct, frozen=True):
    """Quantiles of a latency in seconds, within 2 %; None while there are no samples."""

    p50: float | None
    p90: float | None
    p99: float | None
    count: int


class Summary(Struct, frozen=True, kw_only=True):
    """What happened under one name. An attempt succeeded, failed, or was superseded: it lost the race with its hedge."""

    attempts: int
    succeeded: int
    failed: int
    superseded: int
    errors: dict[str, int]
    """By class of fault."""
    recognised: dict[str, int] = {}
    """Faults by what told their class. What hangs on a `message` is the least certain: vendors reword them."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    reasoning_tokens: int
    estimated: int
    """Attempts whose tokens the vendor did not report."""
    cost: Decimal
    """Dollars, exact, of what is known."""
    unknown: Decimal
    """What vendors may have billed beyond `cost`, at most: for attempts whose usage was never reported."""
    unpriced: int
    """Attempts whose cost, or the most it may be, is not known: in neither sum."""
    first_token: Latency
    total: Latency


class Statistics(Struct, frozen=True, kw_only=True):
    """Everything since the start. `requests` counts callers' requests, the summaries count attempts."""

    requests: int
    succeeded: int
    failed: int
    fallbacks: int
    """Requests that needed more than one attempt."""
    request_seconds: Latency
    totals: Summary
    vendors: dict[str, Summary]
    deployments: dict[str, Summary]
    models: dict[str, Summary]
    modes: dict[str, Summary]


class Tally(Struct):
    """A summary in the making. A plain Struct, so that it can be sent as it is."""

    attempts: int = 0
    succeeded: int = 0
    superseded: int = 0
    estimated: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal = Decimal(0)
    unknown: Decimal = Decimal(0)
    errors: dict[FaultClass, int] = {}
    recognised: dict[str, int] = {}
    first_token: LatencySketch = field(default_factory=LatencySketch)
    total: LatencySketch = field(default_factory=LatencySketch)

    def add(self, outcome: Outcome) -> None:
        """Count one attempt."""
        spent = outcome.spent
        self.attempts += 1
        self.input_tokens += spent.input_tokens
        self.output_tokens += spent.output_tokens
        self.cache_read_tokens += spent.cache_read_tokens
        self.reasoning_tokens += spent.reasoning_tokens
        self.estimated += spent.estimated
        cost, ceiling = spent.cost, spent.ceiling
        if cost is not None:
            self.cost += cost
        if cost is not None and ceiling is not None:
            if ceiling > cost:
                self.unknown += ceiling - cost
        elif outcome.deployment is not None:
            self.unpriced += 1
        if outcome.superseded:
            self.superseded += 1
        elif outcome.fault is None:
            self.succeeded += 1
            self.total.observe(outcome.seconds)
            if outcome.first_token is not None:
                self.first_token.observe(outcome.first_token)
        else:
            self.errors[outcome.fault] = self.errors.get(outcome.fault, 0) + 1
            if outcome.by is not None:
                self.recognised[outcome.by] = self.recognised.get(outcome.by, 0) + 1

    def merge(self, other: Tally) -> None:
        """Count everything that `other` has counted."""
        self.attempts += other.attempts
        self.succeeded += other.succeeded
        self.superseded += other.superseded
        self.estimated += other.estimated
        self.unpriced += other.unpriced
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cache_read_tokens += other.cache_read_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cost += other.cost
        self.unknown += other.unknown
        for fault, count in other.errors.items():
            self.errors[fault] = self.errors.get(fault, 0) + count
        for by, count in other.recognised.items():
            self.recognised[by] = self.recognised.get(by, 0) + count
        self.first_token.merge(other.first_token)
        self.total.merge(other.total)

    def summary(self) -> Summary:
        """As a frozen value."""
        return Summary(
            attempts=self.attempts,
            succeeded=self.succeeded,
            failed=self.attempts - self.succeeded - self.superseded,
            superseded=self.superseded,
            errors={kind.value: count for kind, count in self.errors.items()},
            recognised=dict(self.recognised),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            reasoning_tokens=self.reasoning_tokens,
            estimated=self.estimated,
            cost=self.cost,
            unknown=self.unknown,
            unpriced=self.unpriced,
            first_token=_latency(self.first_token),
            total=_latency(self.total),
        )


_Cell: TypeAlias = tuple[str, str, str, str | None]
"""Vendor, deployment, model, mode."""


class LedgerImage(Struct, frozen=True, array_like=True):
    """A whole ledger as plain data."""

    requests: int
    succeeded: int
    failed: int
    fallbacks: int
    request_seconds: LatencySketch
    cells: tuple[tuple[_Cell, Tally], ...]


class Ledger:
    """The tallies. Outlives the actor's crashes, since its supervisor keeps it."""

    def __init__(self) -> None:
        self.requests = self.succeeded = self.failed = self.fallbacks = 0
        self.added = 0
        """Outcomes that were counted here, to see whether there were any since."""
        self.request_seconds = LatencySketch()
        self._cells: dict[_Cell, Tally] = {}

    def add(self, outcome: Outcome) -> None:
        """Count one attempt, and its request if it was the last."""
        self.added += 1
        vendor, deployment = outcome.vendor, outcome.deployment
        if vendor is not None and deployment is not None:
            cell = (vendor, deployment, outcome.model, outcome.mode)
            (self._cells.get(cell) or self._cell(cell)).add(outcome)
        if outcome.last:
            self.requests += 1
            self.fallbacks += outcome.attempt > 1
            if outcome.fault is None:
                self.succeeded += 1
                self.request_seconds.observe(outcome.request_seconds)
            else:
                self.failed += 1

    def _cell(self, names: _Cell) -> Tally:
        if names not in self._cells and len(self._cells) >= _MOST_CELLS:
            names = (_OTHER, _OTHER, _OTHER, None if names[3] is None else _OTHER)
        return self._cells.setdefault(names, Tally())

    def image(self) -> LedgerImage:
        """Everything as plain data, to be sent at once: it changes with the ledger."""
        return LedgerImage(
            self.requests,
            self.succeeded,
            self.failed,
            self.fallbacks,
            self.request_seconds,
            tuple(self._cells.items()),
        )

    def merge(self, image: LedgerImage) -> None:
        """Count everything that another ledger has counted."""
        self.requests += image.requests
        self.succeeded += image.succeeded
        self.failed += image.failed
        self.fallbacks += image.fallbacks
        self.request_seconds.merge(image.request_seconds)
        for names, tally in image.cells:
            self._cell(names).merge(tally)

    def statistics(self) -> Statistics:
        """Everything as a frozen value."""
        cells = self._cells.items()
        return Statistics(
            requests=self.requests,
            succeeded=self.succeeded,
            failed=self.failed,
            fallbacks=self.fallbacks,
            request_seconds=_latency(self.request_seconds),
            totals=_sums(("", tally) for _, tally in cells).get("", Tally()).summary(),
            vendors=_summaries((names[0], tally) for names, tally in cells),
            deployments=_summaries((names[1], tally) for names, tally in cells),
            models=_summaries((names[2], tally) for names, tally in cells),
            modes=_summaries((names[3], tally) for names, tally in cells if names[3] is not None),
        )


def _sums(parts: Iterable[tuple[str, Tally]]) -> dict[str, Tally]:
    sums: dict[str, Tally] = {}
    for name, tally in parts:
        if name not in sums:
            sums[name] = Tally()
        sums[name].merge(tally)
    return sums


def _summaries(parts: Iterable[tuple[str, Tally]]) -> dict[str, Summary]:
    return {name: tally.summary() for name, tally in _sums(parts).items()}


def _latency(sketch: LatencySketch) -> Latency:
    if sketch.count == 0:
        return Latency(None, None, None, 0)
    return Latency(sketch.quantile(0.5), sketch.quantile(0.9), sketch.quantile(0.99), sketch.count)
