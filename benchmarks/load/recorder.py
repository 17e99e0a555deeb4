"""Adds up what became of every request. Its size does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from .histogram import Histogram
from .objectives import Objective
from .timeline import Timeline
from .watch import Watch

__all__ = ["INTERRUPTED", "NOT_STARTED", "UNFINISHED", "ErrorClass", "Recorder"]

NOT_STARTED: Final = "not started"
"""As many were under way as may be, so this one could not even be sent."""
UNFINISHED: Final = "unfinished"
"""Still under way when the run's patience ended."""
INTERRUPTED: Final = "interrupted"
"""Still under way when the run was interrupted: neither an answer nor a failure."""

_MOST_CLASSES: Final = 50
_MOST_VENDORS: Final = 200
_OTHERS: Final = "(others)"


class ErrorClass(Struct):
    """Failures of one kind, with the message of the first."""

    example: str
    times: Histogram
    """From when the requests were to be sent until they had failed."""

    @property
    def count(self) -> int:
        """How many."""
        return self.times.count


class Recorder:
    """Sums of a run. `objectives` decide which answers are good ones; `price`: dollars for a million input and output
    tokens, where nobody tells what an answer costs."""

    def __init__(
        self, objectives: Sequence[Objective] = (), price: tuple[Decimal, Decimal] | None = None
    ) -> None:
        self.began = 0.0
        """On trio's clock."""
        self.arrived = 0
        """Requests that were to be sent, those that could not be included."""
        self.ok = self.good = self.failed = self.interrupted = 0
        self.in_flight = self.most_in_flight = 0
        self.latency = Histogram()
        """Of whole answers, from when they were to be sent; so is the first content's."""
        self.service = Histogram()
        """Of whole answers, from when they were really sent."""
        self.first_content = Histogram()
        self.gaps = Histogram()
        """Between pieces of content, of all streams."""
        self.lag = Histogram()
        """From when requests were to be sent until they were."""
        self.errors: dict[str, ErrorClass] = {}
        self.vendors: dict[str, int] = {}
        self.attempts = 0
        self.cost = Decimal(0)
        self.unpriced = 0
        """Answers whose cost nobody told."""
        self.input_tokens = self.output_tokens = self.pieces = 0
        self.timeline = Timeline()
        self._price = price
        self._latency = [each for each in objectives if each.metric == "latency"]
        self._first = [each for each in objectives if each.metric == "ttft"]

    @property
    def judged(self) -> int:
        """Requests of which it is known whether they were answered."""
        return self.ok + self.failed

    def start(self, intended: float, now: float) -> None:
        """A request is being sent."""
        self._arrive(intended)
        self.lag.add(max(0.0, now - intended))
        self.in_flight += 1
        if self.in_flight > self.most_in_flight:
            self.most_in_flight = self.in_flight

    def not_started(self, intended: float, now: float, most: int) -> None:
        """A request could not be sent, because `most` were under way."""
        self._arrive(intended)
        self._count_failure(NOT_STARTED, f"{most} requests were under way", now, now - intended)

    def finish(self, watch: Watch) -> None:
        """A request that was sent has ended, in whatever way."""
        self.in_flight -= 1
        self.attempts += watch.attempts
        self._count_tokens(watch)
        if watch.error is None:
            self._answered(watch)
        elif watch.error == INTERRUPTED:
            self.interrupted += 1
        else:
            self._count_failure(watch.error, watch.message, watch.ended, watch.latency)

    def _arrive(self, intended: float) -> None:
        self.arrived += 1
        self.timeline.at(intended - self.began).arrived += 1

    def _answered(self, watch: Watch) -> None:
        latency, first = watch.latency, watch.first_content
        self.ok += 1
        self.latency.add(latency)
        self.service.add(watch.ended - watch.started)
        if first is not None:
            self.first_content.add(first)
        if all(each.met_by(latency) for each in self._latency) and all(
            each.met_by(first) for each in self._first
        ):
            self.good += 1
        slot = self.timeline.at(watch.ended - self.began)
        slot.ok += 1
        slot.latency.add(latency)
        if watch.vendor is not None:
            name = watch.vendor
            if name not in self.vendors and len(self.vendors) >= _MOST_VENDORS:
                name = _OTHERS
            self.vendors[name] = self.vendors.get(name, 0) + 1

    def _count_tokens(self, watch: Watch) -> None:
        self.input_tokens += watch.input_tokens
        self.output_tokens += watch.output_tokens
        self.pieces += watch.pieces
        cost = watch.cost
        if cost is None and self._price is not None and watch.error is None and watch.output_tokens:
            million = Decimal(1_000_000)
            cost = (self._price[0] * watch.input_tokens + self._price[1] * watch.output_tokens) / million
        if cost is not None:
            self.cost += cost
        elif watch.error is None:
            self.unpriced += 1

    def _count_failure(self, name: str, message: str, now: float, took: float) -> None:
        self.failed += 1
        self.timeline.at(now - self.began).failed += 1
        if name not in self.errors and len(self.errors) >= _MOST_CLASSES:
            name = _OTHERS
        if name not in self.errors:
            self.errors[name] = ErrorClass(message, Histogram())
        self.errors[name].times.add(took)
