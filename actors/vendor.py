"""A vendor: keeps one vendor's limits and health, grants leases, carries no bytes.

For each request the router names one deployment. What can be granted (`granting`) is a `Lease` with the time at which it may
start; what cannot goes back to the router with the reason and a time. How the attempt ended (`settling`) decides what the
vendor is trusted with next.

The state lives in a `VendorState`, the vault (`vault`), which outlives the actor: a crash neither refills a bucket nor
forgets a cooldown or a permit. A permit whose request never settles it (a caller that was killed) comes back by
itself some time after the request's deadline.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final, assert_never

from .granting import Granting
from .machines.breaker import CircuitBreaker, State
from .mailbox import Forward, Mailbox
from .messages import (
    Declined,
    DeploymentStanding,
    FirstContent,
    Lease,
    Load,
    Loads,
    Network,
    Order,
    Reserve,
    Room,
    Settle,
    VendorReport,
    VendorSnapshot,
)
from .settling import Settling
from .vault import DeploymentState, VendorState

__all__ = ["Vendor"]

_TELL_EVERY: Final = 0.1
"""Seconds between two words to the router on how deployments stand, while something changes."""
_TELL_IDLE: Final = 0.005
"""The same when nothing is in flight any more: there may be no next occasion."""


class Vendor:
    """One life of a vendor's actor, over a state that outlives it. See the module's docstring."""

    def __init__(self, state: VendorState, router: Mailbox[Any], *, rng: random.Random) -> None:
        self._state = state
        self._router = router
        self._granting = Granting(state, rng)
        self._settling = Settling(state, router, rng)

    def handle(
        self, message: Reserve | FirstContent | Settle | VendorReport | Order | Network, now: float
    ) -> Lease | Forward | VendorSnapshot | None:
        """One message; see `mailbox.Actor`."""
        self._state.in_doubt = 0
        match message:
            case Reserve():
                return self._reserve(message, now)
            case Settle():
                self._settling.settle(message, now)
                self._tell_loads(now)
            case FirstContent():
                self._settling.first_content(message, now)
            case Network():
                self._state.network_down = message.down
            case VendorReport():
                return self._report(now)
            case Order():
                return self._obey(message, now)
            case _:
                assert_never(message)
        return None

    def _reserve(self, message: Reserve, now: float) -> Lease | Forward:
        granted = self._granting.grant(message, now)
        if isinstance(granted, Lease):
            if message.queued:
                self._router.tell(Room(self._state.spec.name))
            self._tell_loads(now)
            return granted
        refused = (*message.refused, granted)
        route, plan, position = message.route, message.plan, message.position + 1
        return Forward(
            self._router, Declined(route, plan, position, refused, message.desperate, message.queued)
        )

    # --- obeying and telling ----------------------------------------------------------------

    def _obey(self, order: Order, now: float) -> VendorSnapshot | None:
        """Carry out an operator's word; None if it names a deployment that there is not."""
        state = self._state
        if order.deployment is not None and order.deployment not in state.deployments:
            return None
        names = list(state.deployments) if order.deployment is None else [order.deployment]
        for name in names:
            deployment = state.deployments[name]
            match order.order:
                case "isolate":
                    deployment.breaker.isolate(now)
                case "force_closed":
                    deployment.breaker.force_closed(now)
                case "automatic":
                    deployment.breaker.automatic(now)
                case "lift":
                    for gauge in deployment.gauges:
                        gauge.lift(now)
        state.changed.update(names)
        state.told_at = -math.inf
        self._tell_loads(now)
        return self._report(now)

    def _tell_loads(self, now: float) -> None:
        """Tell the router how the deployments that changed stand, if it is time to."""
        state = self._state
        if now - state.told_at < (_TELL_EVERY if state.held else _TELL_IDLE):
            return
        state.told_at = now
        loads = {name: self._load(state.deployments[name], now) for name in state.changed}
        state.changed.clear()
        self._router.tell(Loads(state.spec.name, loads))

    def _load(self, deployment: DeploymentState, now: float) -> Load:
        """As the router is to see it until it is told again: an open circuit as it will be when its time has come."""
        closings = [closed.until for gauge in deployment.gauges if (closed := gauge.closed(now)) is not None]
        weight = 1.0
        for circuit in (self._state.endpoint, deployment.breaker):
            weight = min(weight, _offered(circuit, now))
            if circuit.state_at(now) is State.OPEN:
                closings.append(circuit.until)
        limit = min([gauge.most_at_once for gauge in deployment.gauges])
        return Load(deployment.own.in_flight, limit, weight, max(closings, default=-math.inf))

    def _report(self, now: float) -> VendorSnapshot:
        state = self._state
        return VendorSnapshot(
            state.spec.name,
            {name: self._standing(each, now) for name, each in state.deployments.items()},
            state.endpoint.state_at(now).value,
        )

    @staticmethod
    def _standing(deployment: DeploymentState, now: float) -> DeploymentStanding:
        closings = [closed for gauge in deployment.gauges if (closed := gauge.closed(now)) is not None]
        longest = max(closings, key=lambda closed: closed.until, default=None)
        return DeploymentStanding(
            circuit=deployment.breaker.state_at(now).value,
            in_flight=deployment.own.in_flight,
            closed_for=0.0 if longest is None else max(0.0, longest.until - now),
            closed_because=None if longest is None else longest.cause.value,
            weight=deployment.breaker.weight(now),
            last_transition=_last(deployment.breaker),
        )


def _offered(circuit: CircuitBreaker, now: float) -> float:
    """The weight with which traffic is offered. An open circuit learns of its recovery by being offered some."""
    state = circuit.state_at(now)
    if state is State.OPEN or state is State.HALF_OPEN:
        return circuit.settings.least_weight
    return circuit.weight(now)


def _last(circuit: CircuitBreaker) -> str | None:
    if not circuit.history:
        return None
    last = circuit.history[-1]
    return f"{last.source.value} -> {last.target.value}: {last.cause.value}"
