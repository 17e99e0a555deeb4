"""When and whether a vendor grants a lease: everything is taken or nothing is.

Looked at, in this order: whether the account or the deployment is closed (a quarantine, a cooldown, the rest of a day),
whether a slot is free, whether the circuits of the endpoint and of the deployment admit the request, and when the rate
limits allow it.
"""

from __future__ import annotations

import math
import random
from typing import Final

from msgspec import Struct

from .gauge import Demand, Gauge
from .machines.breaker import Permit, State
from .machines.bucket import Reserved, TooLong, reserve_all
from .messages import Cause, Lease, Refused, Reserve, size_class
from .quota import Lack
from .vault import DeploymentState, Held, VendorState

__all__ = ["Granting", "Short"]

_SLACK: Final = 30.0
"""Seconds after its deadline that a permit is taken back from a request that never settled it."""
_AGAIN: Final = 0.25
"""Seconds until one may come again of whom nobody has said yet when what he lacks will be there."""
_PROBE_SHARE: Final = 0.5
"""A request with less than this share of its time left does not probe, if it has somewhere else to go."""


class Short(Struct, frozen=True):
    """Only what this process holds of shared limits is too little: what is missing has been claimed. `refused`: what the
    request is told that does not wait for it."""

    refused: Refused
    lack: Lack

    def lasts(self, until: float) -> bool:
        """Whether it is known that what is missing will not be there by `until`."""
        return self.lack.until is not None and self.lack.until > until


class Granting:
    """Grants leases over one vendor's state. See the module's docstring."""

    def __init__(self, state: VendorState, rng: random.Random) -> None:
        self._state = state
        self._rng = rng

    def grant(self, message: Reserve, now: float) -> Lease | Refused | Short:
        """The lease for `message`, or why there is none and from when there might be."""
        name = message.deployment
        deployment = self._state.deployments.get(name)
        if deployment is None:
            return Refused(name, Cause.UNAVAILABLE, math.inf)
        opening = self._opening(deployment, message, now)
        if not isinstance(opening, tuple):
            return opening
        earliest, trials = opening
        demand = self._demand(deployment, message, now)
        if self._state.holdings is not None:
            short = self.short(deployment, demand, now)
            if short is not None:
                return short
        if not self._has_slots(deployment, now):
            self._state.owes_room = True
            return Refused(name, Cause.FULL, now)
        circuits = self._admit(deployment, message, now)
        if not isinstance(circuits, tuple):
            return circuits
        dimensions = deployment.account.dimensions(demand, now)
        split = len(dimensions)
        dimensions += deployment.own.dimensions(demand, now)
        taken = reserve_all(dimensions, earliest, message.patience - (earliest - now))
        if not isinstance(taken, Reserved):
            self._state.endpoint.release(circuits[0])
            deployment.breaker.release(circuits[1])
            return self._too_long(deployment, demand, taken, earliest, now)
        turns = tuple([(gauge, gauge.begin_trial(now)) for gauge in trials])
        if self._state.holdings is not None:
            self._state.holdings.has_enough(name)
            self._state.holdings.spent(now)
        return self._lease(deployment, message, demand, circuits, taken, split, turns, now)

    def short(self, deployment: DeploymentState, demand: Demand, now: float) -> Short | None:
        """What is lacking here of limits that are shared, claimed; None if nothing is."""
        holdings = self._state.holdings
        lacking = {**deployment.account.lacking(demand, now), **deployment.own.lacking(demand, now)}
        if holdings is None or not lacking:
            return None
        lack = holdings.lack(deployment.name, self._state.spec.name, lacking, now)
        pace = max([gauge.pace(demand, now) for gauge in deployment.gauges])
        if any(key.startswith("slots of ") for key in lacking):
            self._state.owes_room = True
            return Short(Refused(deployment.name, Cause.FULL, now), lack)
        until = lack.until if lack.until is not None and lack.until > now else now + _AGAIN
        return Short(Refused(deployment.name, Cause.LIMITED, until, pace), lack)

    @staticmethod
    def _opening(
        deployment: DeploymentState, message: Reserve, now: float
    ) -> tuple[float, tuple[Gauge, ...]] | Refused:
        """From when it may start as far as closings go, and where it would be a trial. A short cooldown is waited out, a
        quarantine never is."""
        name = deployment.name
        earliest = message.route.again_at if name == message.route.again else now
        trials: tuple[Gauge, ...] = ()
        for gauge in deployment.gauges:
            closed = gauge.closed(now)
            if closed is None:
                continue
            if closed.trial:
                trials = (*trials, gauge)
            elif closed.cause is not Cause.COOLING or closed.until - now > message.patience:
                return Refused(name, closed.cause, closed.until)
            else:
                earliest = max(earliest, closed.until)
        if earliest - now > message.patience:
            return Refused(name, Cause.COOLING, earliest)
        return max(earliest, now), trials

    def _has_slots(self, deployment: DeploymentState, now: float) -> bool:
        """Whether a slot is free everywhere; permits of requests that are long over are looked for first."""
        if not _full(deployment, now):
            return True
        self._reap(now)
        return not _full(deployment, now)

    def _admit(
        self, deployment: DeploymentState, message: Reserve, now: float
    ) -> tuple[Permit, Permit] | Refused:
        """The permits of the endpoint's and the deployment's circuit."""
        name, rng, panic = deployment.name, self._rng, message.desperate
        late = self._too_late_to_probe(message, now)
        circuits = (self._state.endpoint, deployment.breaker)
        if late and State.HALF_OPEN in [circuit.state_at(now) for circuit in circuits]:
            return Refused(name, Cause.OPEN, now + deployment.breaker.settings.probe_retry)
        endpoint = circuits[0].admit(now, rng, panic=panic)
        # Asked for what it nearly always is: of a class that it is not, `isinstance` takes ten times as long.
        if not isinstance(endpoint, Permit):
            return Refused(name, Cause.OPEN, endpoint.until)
        own = circuits[1].admit(now, rng, panic=panic)
        if not isinstance(own, Permit):
            circuits[0].release(endpoint)
            return Refused(name, Cause.OPEN, own.until)
        probes = own.probe or endpoint.probe
        if message.alternatives and not probes and not panic and deployment.throttle.rejects(now, rng):
            circuits[0].release(endpoint)
            deployment.breaker.release(own)
            return Refused(name, Cause.THROTTLED, now)
        return endpoint, own

    @staticmethod
    def _too_late_to_probe(message: Reserve, now: float) -> bool:
        """A probe may well fail: it takes a request that can then go elsewhere and has the time for it."""
        route = message.route
        if message.desperate or not message.alternatives:
            return False
        return route.deadline - now < _PROBE_SHARE * (route.deadline - route.begun)

    @staticmethod
    def _demand(deployment: DeploymentState, message: Reserve, now: float) -> Demand:
        route, estimates, prices = message.route, deployment.estimates, deployment.prices
        most = float(route.output_tokens)
        tokens = estimates.expected_input(route.input_tokens)
        dollars = tokens * prices[0] + most * prices[1]
        strict = route.strict or deployment.strict
        return Demand(1.0, tokens, estimates.expected_output(most, now), most, dollars, strict)

    @staticmethod
    def _too_long(
        deployment: DeploymentState, demand: Demand, taken: TooLong, earliest: float, now: float
    ) -> Refused:
        if taken.wait == math.inf:
            return Refused(deployment.name, Cause.TOO_LARGE, math.inf)
        pace = max([gauge.pace(demand, now) for gauge in deployment.gauges])
        return Refused(deployment.name, Cause.LIMITED, earliest + taken.wait, pace)

    def _lease(
        self,
        deployment: DeploymentState,
        message: Reserve,
        demand: Demand,
        circuits: tuple[Permit, Permit],
        taken: Reserved,
        split: int,
        trials: tuple[tuple[Gauge, int], ...],
        now: float,
    ) -> Lease:
        state, route = self._state, message.route
        number = state.last_permit = state.in_doubt = state.last_permit + 1
        for gauge in deployment.gauges:
            gauge.acquire(now)
        endpoint, circuit = circuits
        state.held[number] = Held(
            deployment.name, demand, route.input_tokens, circuit, endpoint, taken.marks, split,
            (deployment.account.begun, deployment.own.begun), trials, size_class(route.input_tokens), route.deadline + _SLACK,
        )  # fmt: skip
        deployment.traffic.add("sent", now)
        state.changed.add(deployment.name)
        return Lease(
            state.spec.name, deployment.name, number, taken.start_at, circuit.probe or endpoint.probe,
            message.desperate, message.hedge_after,
        )  # fmt: skip

    def _reap(self, now: float) -> None:
        """Take back the permits of requests that are long over. Only looked for when slots run out."""
        expired = [permit for permit, held in self._state.held.items() if held.expires_at <= now]
        for permit in expired:
            held = self._state.release(permit)
            if held is not None:
                self._state.give_back(held, now)


def _full(deployment: DeploymentState, now: float) -> bool:
    return deployment.account.full(now) or deployment.own.full(now)
