"""The statistics: latency, outcomes, tokens and money, per vendor, deployment, model and mode.

Takes an `Outcome` for each attempt, keeps bounded summaries of them (counters, latency sketches, decaying
means), and sends the router what it needs to rank deployments. Loss-tolerant: nothing waits for it, its
mailbox drops what it has no room for, and a restart begins with empty summaries while totals go on
in the `Ledger` that its supervisor keeps.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, assert_never

from msgspec import Struct

from .faults import FaultClass
from .machines.ewma import Ewma
from .machines.quantiles import LatencySketch
from .machines.window import RollingWindow
from .mailbox import Mailbox
from .messages import Outcome, Ranking, Rankings, Snapshot

__all__ = ["Latency", "Ledger", "Statistics", "Stats", "Summary"]

_PUBLISH_EVERY: Final = 0.25
"""Seconds between two rankings at most; a ranking is only sent when something happened."""
_MOST_NAMES: Final = 1000
"""Names (models, modes) with a summary of their own; further ones are counted together as `(other)`."""
_TAU: Final = 30.0
"""Time constant of the decaying means, in seconds."""
_NEUTRAL: Final = frozenset({FaultClass.CLIENT_GONE, FaultClass.LOCAL})
"""Ends of an attempt that say nothing about the vendor."""


class Latency(Struct, frozen=True):
    """Quantiles of a latency in seconds, within 2 %; None while there are no samples."""

    p50: float | None
    p90: float | None
    p99: float | None
    count: int


class Summary(Struct, frozen=True, kw_only=True):
    """What happened under one name. `cost` is exact and counts what is known; `unpriced` attempts had no price."""

    attempts: int
    succeeded: int
    failed: int
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
    unpriced: int
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


class _Tally:
    """A summary in the making."""

    __slots__ = (
        "attempts",
        "cache_read_tokens",
        "cost",
        "errors",
        "estimated",
        "first_token",
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "recognised",
        "succeeded",
        "total",
        "unpriced",
    )

    def __init__(self) -> None:
        self.attempts = self.succeeded = self.estimated = self.unpriced = 0
        self.input_tokens = self.output_tokens = self.cache_read_tokens = self.reasoning_tokens = 0
        self.cost = Decimal(0)
        self.errors: dict[FaultClass, int] = {}
        self.recognised: dict[str, int] = {}
        self.first_token = LatencySketch()
        self.total = LatencySketch()

    def add(self, outcome: Outcome) -> None:
        spent = outcome.spent
        self.attempts += 1
        self.input_tokens += spent.input_tokens
        self.output_tokens += spent.output_tokens
        self.cache_read_tokens += spent.cache_read_tokens
        self.reasoning_tokens += spent.reasoning_tokens
        self.estimated += spent.estimated
        if spent.cost is not None:
            self.cost += spent.cost
        elif spent.input_tokens or spent.output_tokens:
            self.unpriced += 1
        if outcome.fault is None:
            self.succeeded += 1
            self.total.observe(outcome.seconds)
            if outcome.first_token is not None:
                self.first_token.observe(outcome.first_token)
        else:
            self.errors[outcome.fault] = self.errors.get(outcome.fault, 0) + 1
            if outcome.by is not None:
                self.recognised[outcome.by] = self.recognised.get(outcome.by, 0) + 1

    def summary(self) -> Summary:
        return Summary(
            attempts=self.attempts,
            succeeded=self.succeeded,
            failed=self.attempts - self.succeeded,
            errors={kind.value: count for kind, count in self.errors.items()},
            recognised=dict(self.recognised),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            reasoning_tokens=self.reasoning_tokens,
            estimated=self.estimated,
            cost=self.cost,
            unpriced=self.unpriced,
            first_token=_latency(self.first_token),
            total=_latency(self.total),
        )


def _latency(sketch: LatencySketch) -> Latency:
    if sketch.count == 0:
        return Latency(None, None, None, 0)
    return Latency(sketch.quantile(0.5), sketch.quantile(0.9), sketch.quantile(0.99), sketch.count)


class Ledger:
    """The tallies. Outlives the actor's crashes, since its supervisor keeps it."""

    def __init__(self) -> None:
        self.requests = self.succeeded = self.failed = self.fallbacks = 0
        self.request_seconds = LatencySketch()
        self.totals = _Tally()
        self.vendors: dict[str, _Tally] = {}
        self.deployments: dict[str, _Tally] = {}
        self.models: dict[str, _Tally] = {}
        self.modes: dict[str, _Tally] = {}

    def add(self, outcome: Outcome) -> None:
        """Count one attempt, and its request if it was the last."""
        if outcome.vendor is not None and outcome.deployment is not None:
            self.totals.add(outcome)
            _tally(self.vendors, outcome.vendor).add(outcome)
            _tally(self.deployments, outcome.deployment).add(outcome)
            _tally(self.models, outcome.model).add(outcome)
            if outcome.mode is not None:
                _tally(self.modes, outcome.mode).add(outcome)
        if outcome.last:
            self.requests += 1
            self.fallbacks += outcome.attempt > 1
            if outcome.fault is None:
                self.succeeded += 1
                self.request_seconds.observe(outcome.request_seconds)
            else:
                self.failed += 1

    def statistics(self) -> Statistics:
        """Everything as a frozen value."""
        return Statistics(
            requests=self.requests,
            succeeded=self.succeeded,
            failed=self.failed,
            fallbacks=self.fallbacks,
            request_seconds=_latency(self.request_seconds),
            totals=self.totals.summary(),
            vendors=_summaries(self.vendors),
            deployments=_summaries(self.deployments),
            models=_summaries(self.models),
            modes=_summaries(self.modes),
        )


def _tally(tallies: dict[str, _Tally], name: str) -> _Tally:
    tally = tallies.get(name)
    if tally is None:
        if len(tallies) >= _MOST_NAMES:
            name = "(other)"
        tally = tallies.setdefault(name, _Tally())
    return tally


def _summaries(tallies: dict[str, _Tally]) -> dict[str, Summary]:
    return {name: tally.summary() for name, tally in tallies.items()}


class _Form:
    """How a deployment has been doing lately: what rankings are made of."""

    __slots__ = ("first_token", "outcomes", "per_token", "seen")

    def __init__(self) -> None:
        self.first_token = Ewma(_TAU)
        self.per_token = Ewma(_TAU)
        self.outcomes = RollingWindow(60.0, 6, ("good", "bad"))
        self.seen = False

    def add(self, outcome: Outcome, now: float) -> None:
        if outcome.fault is not None:
            if outcome.fault not in _NEUTRAL:
                self.outcomes.add("bad", now)
            return
        self.outcomes.add("good", now)
        tokens = outcome.spent.output_tokens
        if outcome.first_token is None:
            # Not streamed: the time to the first token cannot be seen, so all of it counts as such.
            self.first_token.observe(outcome.seconds, now)
        else:
            self.first_token.observe(outcome.first_token, now)
            if tokens > 1:
                rest = max(0.0, outcome.seconds - outcome.first_token)
                self.per_token.observe(rest / (tokens - 1), now)
        self.seen = True

    def ranking(self, now: float) -> Ranking:
        failures = self.outcomes.share("bad", now)
        if not self.seen:
            return Ranking(None, None, failures)
        return Ranking(self.first_token.get_at(now), self.per_token.get_at(now), failures)


class Stats:
    """One life of the statistics, over a ledger that outlives it."""

    def __init__(self, ledger: Ledger, router: Mailbox[Any]) -> None:
        self._ledger = ledger
        self._router = router
        self._forms: dict[str, _Form] = {}
        self._published = -_PUBLISH_EVERY

    def handle(self, message: Outcome | Snapshot, now: float) -> Statistics | None:
        """One message; see `mailbox.Actor`."""
        match message:
            case Outcome():
                self._take(message, now)
                return None
            case Snapshot():
                return self._ledger.statistics()
            case _:
                assert_never(message)

    def _take(self, outcome: Outcome, now: float) -> None:
        self._ledger.add(outcome)
        if outcome.deployment is None:
            return
        form = self._forms.get(outcome.deployment)
        if form is None:
            form = self._forms[outcome.deployment] = _Form()
        form.add(outcome, now)
        if now - self._published >= _PUBLISH_EVERY:
            self._published = now
            self._router.tell(Rankings({name: each.ranking(now) for name, each in self._forms.items()}))
