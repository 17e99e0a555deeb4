"""The statistics: latency, outcomes, tokens and money, per vendor, deployment, model and mode.

Takes an `Outcome` for each attempt, keeps bounded summaries of them (counters, latency sketches, decaying
means), and sends the router what it needs to rank deployments. Loss-tolerant: nothing waits for it, its
mailbox drops what it has no room for, and a restart begins with empty rankings while totals go on
in the `Ledger` that its supervisor keeps.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, TypeAlias, assert_never

from .forms import DeploymentForm, ModelForm
from .mailbox import Mailbox
from .messages import Outcome, Ranking, Rankings, Snapshot
from .tallies import Latency, Ledger, Statistics, Summary

__all__ = ["Latency", "Ledger", "Statistics", "Stats", "Summary"]

_PUBLISH_EVERY: Final = 0.25
"""Seconds between two rankings at most; a ranking is only sent when something happened."""
_MOST_NAMES: Final = 10_000
"""Deployments and models that are ranked. The configuration names fewer; this bounds what a long life of reloads leaves."""
_AGING: Final = 16
"""Deployments without news whose ranking is computed anew with each sending: means drift and windows run empty in time."""

_Delays: TypeAlias = dict[str, tuple[float | None, ...]]


class Stats:
    """One life of the statistics, over a ledger that outlives it."""

    def __init__(self, ledger: Ledger, router: Mailbox[Any]) -> None:
        self._ledger = ledger
        self._router = router
        self._deployments: dict[str, DeploymentForm] = {}
        self._models: dict[str, ModelForm] = {}
        # Those with news since the last sending.
        self._news: set[str] = set()
        self._model_news: set[str] = set()
        # As sent last. What is sent is a copy: the router goes on reading it.
        self._rankings: dict[str, Ranking] = {}
        self._delays: _Delays = {}
        self._plain_delays: _Delays = {}
        self._aged = 0
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
        name, model = outcome.deployment, outcome.model
        if name is None:
            return
        form = self._deployments.get(name)
        if form is None:
            form = DeploymentForm()
            if len(self._deployments) < _MOST_NAMES:
                self._deployments[name] = form
        form.add(outcome, now)
        self._news.add(name)
        kind = self._models.get(model)
        if kind is None:
            kind = ModelForm()
            if len(self._models) < _MOST_NAMES:
                self._models[model] = kind
        kind.add(outcome, now)
        self._model_news.add(model)
        if now - self._published >= _PUBLISH_EVERY:
            self._published = now
            self._publish(now)

    def _publish(self, now: float) -> None:
        forms = self._deployments
        for name in (*self._news, *self._next_to_age()):
            form = forms.get(name)
            if form is not None:
                self._rankings[name] = form.ranking(now)
        for model in self._model_news:
            kind = self._models.get(model)
            if kind is not None:
                self._delays[model] = kind.streamed.values(now)
                self._plain_delays[model] = kind.plain.values(now)
        self._news.clear()
        self._model_news.clear()
        self._router.tell(Rankings(dict(self._rankings), dict(self._delays), dict(self._plain_delays)))

    def _next_to_age(self) -> list[str]:
        """A few in turn, so that the cost of a sending does not depend on how many there are."""
        if self._aged >= len(self._deployments):
            self._aged = 0
        names = list(islice(self._deployments, self._aged, self._aged + _AGING))
        self._aged += _AGING
        return names
