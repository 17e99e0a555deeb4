"""What every request needs of the running dispatcher, and how requests for one name are treated."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from ..actors.machines.backoff import Backoff
from ..actors.machines.budget import ClassedBudget
from ..actors.machines.hedge import HedgeBudget
from ..actors.mailbox import Mailbox
from .alerts import Alerts
from .canon import Midstream
from .config import Config
from .config.modes import modes
from .config.schema import Mode, Route
from .deployment import Deployment
from .detached import Background
from .operations.base import Work

__all__ = ["Conduct", "House", "RetryPolicy", "conducts"]


class RetryPolicy(Struct, frozen=True):
    """How often and how soon a failed request is tried again. `longest_hint` is in seconds."""

    attempts: int
    longest_hint: float
    backoff: Backoff


class Conduct(Struct, frozen=True):
    """How requests for one name are treated; see the configuration's `Route` and `Streams`. `hold` is in seconds."""

    hedge: bool = False
    midstream: Midstream = "error"
    hold: float = 0.0


class House(Struct, frozen=True, kw_only=True):
    """One running dispatcher, as its requests see it."""

    router: Mailbox[Any]
    stats: Mailbox[Any]
    deployments: Mapping[str, Deployment]
    retry: RetryPolicy
    budget: ClassedBudget
    hedges: HedgeBudget
    background: Background
    conducts: Mapping[str, Conduct]
    """By mode, model or route as the caller names it; the rest is treated as under an empty name."""
    default_timeout: float
    long_context: int
    rng: random.Random
    alerts: Alerts = field(default_factory=Alerts)

    def conduct(self, request: Work) -> Conduct:
        """How `request` is to be treated; its mode's conduct goes before its model's."""
        found = self.conducts.get(request.mode) if request.mode is not None else None
        return found or self.conducts.get(request.model) or self.conducts[_ANY]


_ANY: Final = ""


def conducts(config: Config) -> dict[str, Conduct]:
    """The conduct of every name that has one of its own, and under an empty name that of all others."""
    streams = config.streams
    found = {_ANY: Conduct(False, streams.midstream, float(streams.hold))}
    named: dict[str, Mode | Route] = {**modes(config), **{route.name: route for route in config.routes}}
    for name, table in named.items():
        if table.hedge or table.midstream is not None or table.hold is not None:
            found[name] = Conduct(
                table.hedge,
                table.midstream or streams.midstream,
                float(streams.hold if table.hold is None else table.hold),
            )
    return found
