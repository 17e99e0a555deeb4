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
from collections.abc import Iterable
from typing import Any, Final, assert_never

from .granting import Granting, Short
from .machines.breaker import CircuitBreaker, State
from .mailbox import Forward, Mailbox, Park
from .messages import (
    Closing,
    Declined,
    DeploymentStanding,
    FirstContent,
    Lease,
    Load,
    Loads,
    Network,
    Order,
    QuotaNews,
    Refused,
    Reserve,
    Room,
    Settle,
    VendorReport,
    VendorSnapshot,
)
from .settling import Settling
from .vault import DeploymentState, Parked, VendorState

__all__ = ["Vendor"]

_TELL_EVERY: Final = 0.1
"""Seconds between two words to the router on how deployments stand, while something changes."""
_TELL_IDLE: Final = 0.005
"""The same when nothing is in flight any more: there may be no next occasion."""


_ROUND_TRIP: Final = 0.1
"""Seconds for which anybody waits for what may be lent at once; a request that would rather go elsewhere, too."""


class Vendor:
    """One life of a vendor's actor, over a state that outlives it. See the module's docstring.

    `mailbox` is its own, where those wait who lack something of a shared limit; only needed where limits are shared.
    """

    def __init__(
        self,
        state: VendorState,
        router: Mailbox[Any],
        *,
        rng: random.Random,
        mailbox: Mailbox[Any] | None = None,
    ) -> None:
        self._state = state
        self._router = router
        self._mailbox = mailbox
        self._granting = Granting(state, rng)
        self._settling = Settling(state, router, rng)

    def handle(
        self,
        message: Reserve | FirstContent | Settle | VendorReport | Order | Network | QuotaNews | Closing,
        now: float,
    ) -> Lease | Forward | Park | VendorSnapshot | None:
        """One message; see `mailbox.Actor`."""
        self._state.in_doubt = 0
        match message:
            case Reserve():
                return self._reserve(message, now)
            case Settle():
                self._settling.settle(message, now)
                self._share(message)
                self._tell_loads(now)
            case FirstContent():
                self._settling.first_content(message, now)
            case QuotaNews():
                self._state.quota_news = True
            case Closing():
                self._close(message, now)
            case Network():
                self._state.network_down = message.down
            case VendorReport():
                return self._report(now)
            case Order():
                return self._obey(message, now)
            case _:
                assert_never(message)
        return None

    def _reserve(self, message: Reserve, now: float) -> Lease | Forward | Park:
        if self._state.parked and self._is_waited_for(message.deployment):
            return self._park(message, self._patience_of(message, now))
        granted = self._granting.grant(message, now)
        if isinstance(granted, Short):
            until = self._patience_of(message, now)
            if self._mailbox is not None and not granted.lasts(until):
                return self._park(message, until)
            granted = granted.refused
        return self._answer(message, granted, now)

    def _answer(self, message: Reserve, granted: Lease | Refused, now: float) -> Lease | Forward:
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

    def _share(self, message: Settle) -> None:
        """What others wait for is given back, and what they should know of is told."""
        holdings = self._state.holdings
        if holdings is not None:
            holdings.give_back(self._state.spec.name)
            if message.fault is not None:
                holdings.wake()

    # --- waiting for what is lent -----------------------------------------------------------

    @staticmethod
    def _patience_of(message: Reserve, now: float) -> float:
        return min(now + max(message.patience, _ROUND_TRIP), message.route.deadline)

    def _is_waited_for(self, deployment: str) -> bool:
        return any(each.message.deployment == deployment for each in self._state.parked.values())

    def _park(self, message: Reserve, until: float) -> Park:
        state = self._state
        ticket = state.last_ticket = state.last_ticket + 1
        state.parked[ticket] = Parked(message, until)
        return Park(ticket)

    @property
    def wake_at(self) -> float:
        """See `mailbox.Waker`."""
        state = self._state
        if state.quota_news:
            return -math.inf
        if not state.parked:
            return math.inf
        return min([each.until for each in state.parked.values()])

    def wake(self, now: float) -> Iterable[tuple[int, object]]:
        """See `mailbox.Waker`: those who wait are looked at again, in order. What they do not need goes back if it is wanted."""
        state, mailbox = self._state, self._mailbox
        news, state.quota_news = state.quota_news, False
        short: dict[str, Short] = {}
        for ticket, parked in list(state.parked.items()):
            name = parked.message.deployment
            if mailbox is None or not mailbox.waits(ticket):
                del state.parked[ticket]
                continue
            # Nobody overtakes one who waits for the same.
            granted = short.get(name) or self._granting.grant(parked.message, now)
            if isinstance(granted, Short):
                short[name] = granted
                if now < parked.until and not granted.lasts(parked.until):
                    continue
                granted = granted.refused
            del state.parked[ticket]
            yield ticket, self._answer(parked.message, granted, now)
        if news and state.holdings is not None:
            state.holdings.give_back(state.spec.name)
            self._router.tell(Room(state.spec.name))

    def _close(self, message: Closing, now: float) -> None:
        """Another process knows better."""
        gauge = self._state.scopes().get(message.scope)
        if gauge is None:
            return
        if message.day:
            gauge.close_for_day(now + message.seconds, now)
        else:
            gauge.close(now + message.seconds, message.cause)
        self._state.changed.update(self._state.deployments)

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
