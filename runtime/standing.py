"""How the house stands beyond its vendors: the network, and what may still be spent on retries and hedges."""

from __future__ import annotations

from msgspec import Struct

from ..actors.machines.budget import ClassedBudget
from ..actors.machines.hedge import HedgeBudget
from ..actors.machines.network import LocalNetwork

__all__ = ["Budgets", "NetworkStanding", "budgets", "network"]


class NetworkStanding(Struct, frozen=True):
    """Whether this machine's own network is thought down, for how long (None: it is up), in how many seconds the
    next request may find out whether it is up again, and how often it has been down."""

    down: bool
    down_for: float | None
    retry_in: float | None
    outages: int


class Budgets(Struct, frozen=True):
    """Retries that are left, to all together (`retries`) and to each class of requests alone; hedges that are left, and
    the dollars that they may have cost within the last hour."""

    retries: float
    retries_by_class: dict[str, float]
    hedges: float
    hedge_dollars: float


def network(machine: LocalNetwork, now: float) -> NetworkStanding:
    """What `machine` says at `now`."""
    told = machine.statistics()
    if told.down_since is None:
        return NetworkStanding(False, None, None, told.outages)
    return NetworkStanding(True, now - told.down_since, max(0.0, told.retry_at - now), told.outages)


def budgets(retries: ClassedBudget, hedges: HedgeBudget, now: float) -> Budgets:
    """What is left at `now`."""
    balances = {name: each.balance for name, each in retries.statistics(now).items()}
    return Budgets(
        retries=balances.pop(""),
        retries_by_class=balances,
        hedges=hedges.balance(now),
        hedge_dollars=hedges.statistics(now).dollars,
    )
