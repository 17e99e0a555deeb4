"""A vendor: keeps one vendor's limits and health, grants leases, carries no bytes.

For each request the router names one deployment. The vendor looks, in this order, whether the account is
in quarantine, whether the deployment is cooling down or not available, whether its circuit admits the request,
whether a slot is free, and when the rate limits allow it. What is granted is a `Lease` with the time at
which it may start; what is not goes back to the router with the reason and a time. Either everything is
taken or nothing is.

The state lives in a `VendorState`, the vault, which outlives the actor: a crash neither refills a bucket nor
forgets a cooldown or a permit. A permit whose request never settles it (a caller that was killed)
comes back by itself some time after the request's deadline.
"""

from __future__ import annotations

import math
import random
from typing import Any, assert_never

from msgspec import Struct

from .faults import CONSEQUENCES, FaultClass, Health, Money, Reach
from .gauge import Gauge
from .limits import LIMIT_MODELS, Demand, LimitModel, LimitSpec
from .machines.breaker import BreakerSettings, CircuitBreaker, Permit, Refusal, Verdict
from .machines.bucket import Reserved, TokenBucket, TooLong, reserve_all
from .mailbox import Forward, Mailbox
from .messages import (
    Cause,
    Declined,
    DeploymentStanding,
    FirstContent,
    Lease,
    Refused,
    Reserve,
    Settle,
    VendorReport,
    VendorSnapshot,
)

__all__ = ["DeploymentSpec", "LimitSpec", "Vendor", "VendorSpec", "VendorState"]

_SLACK = 30.0
"""Seconds after its deadline that a permit is taken back from a request that never settled it."""
_COOLDOWN = 5.0
"""Seconds of rest after a refusal for its rate when the vendor gave no hint."""
_NO_MODEL = 600.0
"""Seconds for which a deployment that the vendor does not know is left alone."""


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    """One deployment: its name, the account (key) that it is billed to, and its own limits."""

    name: str
    account: str
    limits: LimitSpec = LimitSpec()


class VendorSpec(Struct, frozen=True, kw_only=True):
    """What the actor needs to know of a vendor. `account_limits` hold for each account on its own."""

    name: str
    deployments: tuple[DeploymentSpec, ...]
    account_limits: LimitSpec = LimitSpec()
    limit_model: str = "default"
    """How the vendor counts: a row of `limits.LIMIT_MODELS`."""
    breaker: BreakerSettings = BreakerSettings()


class _Deployment:
    """One deployment's state: its own gauge, its account's, and its circuit."""

    def __init__(
        self, spec: DeploymentSpec, account: Gauge, breaker: BreakerSettings, model: LimitModel
    ) -> None:
        self.own = Gauge(spec.limits, model)
        self.account = account
        self.breaker = CircuitBreaker(breaker)


class _Held(Struct):
    """A permit that is out: what was taken for it, and when it comes back at the latest."""

    deployment: str
    circuit: Permit
    demand: Demand
    account_marks: tuple[int, ...]
    own_marks: tuple[int, ...]
    """Where each bucket stood, so that what is given back late is not given back twice."""
    expires_at: float


class VendorState:
    """The vault: everything that must outlive a crash of the actor. Owned by whoever supervises it."""

    def __init__(self, spec: VendorSpec) -> None:
        self.spec = spec
        model = LIMIT_MODELS[spec.limit_model]
        accounts = {each.account: Gauge(spec.account_limits, model) for each in spec.deployments}
        self.deployments: dict[str, _Deployment] = {
            each.name: _Deployment(each, accounts[each.account], spec.breaker, model)
            for each in spec.deployments
        }
        self.held: dict[int, _Held] = {}
        self.last_permit = 0

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return len(self.held)


class Vendor:
    """One life of a vendor's actor, over a state that outlives it. See the module's docstring."""

    def __init__(self, state: VendorState, router: Mailbox[Any], *, rng: random.Random) -> None:
        self._state = state
        self._router = router
        self._rng = rng

    def handle(
        self, message: Reserve | FirstContent | Settle | VendorReport, now: float
    ) -> Lease | Forward | VendorSnapshot | None:
        """One message; see `mailbox.Actor`."""
        match message:
            case Reserve():
                return self._reserve(message, now)
            case FirstContent():
                self._first_content(message, now)
                return None
            case Settle():
                self._settle(message, now)
                return None
            case VendorReport():
                return self._report(now)
            case _:
                assert_never(message)

    # --- granting ---------------------------------------------------------------------------

    def _reserve(self, message: Reserve, now: float) -> Lease | Forward:
        name = message.plan[message.position]
        granted = self._grant(name, message, now)
        if isinstance(granted, Lease):
            return granted
        refused = (*message.refused, granted)
        return Forward(
            self._router,
            Declined(message.route, message.plan, message.position + 1, refused, message.desperate),
        )

    def _grant(self, name: str, message: Reserve, now: float) -> Lease | Refused:
        deployment = self._state.deployments.get(name)
        if deployment is None:
            return Refused(name, Cause.UNAVAILABLE, math.inf)
        for gauge in (deployment.account, deployment.own):
            if gauge.full:
                self._reap(now)
                if gauge.full:
                    return Refused(name, Cause.FULL, now)
        earliest = self._earliest(deployment, message, now)
        if isinstance(earliest, Refused):
            return earliest
        circuit = deployment.breaker.admit(now, self._rng, panic=message.desperate)
        if isinstance(circuit, Refusal):
            return Refused(name, Cause.OPEN, circuit.until)
        demand = self._demand(message)
        account = deployment.account.dimensions(demand, now)
        own = deployment.own.dimensions(demand, now)
        taken = self._take([*account, *own], message, now, earliest)
        if isinstance(taken, TooLong):
            deployment.breaker.release(circuit)
            cause = Cause.TOO_LARGE if taken.wait == math.inf else Cause.LIMITED
            return Refused(name, cause, now + taken.wait)
        held = _Held(
            name,
            circuit,
            demand,
            taken.marks[: len(account)],
            taken.marks[len(account) :],
            message.route.deadline + _SLACK,
        )
        return self._lease(held, message, taken)

    @staticmethod
    def _demand(message: Reserve) -> Demand:
        route = message.route
        output = float(route.output_tokens)
        return Demand(input=float(route.input_tokens), output_expected=output, output_most=output)

    @staticmethod
    def _earliest(deployment: _Deployment, message: Reserve, now: float) -> float | Refused:
        """When it may start as far as cooldowns go: a short one is waited out, a quarantine never is."""
        name = message.plan[message.position]
        earliest = message.route.again_at if name == message.route.again else now
        for gauge in (deployment.account, deployment.own):
            closed = gauge.closed(now)
            if closed is None:
                continue
            if closed.cause is not Cause.COOLING or closed.until - now > message.patience:
                return Refused(name, closed.cause, closed.until)
            earliest = max(earliest, closed.until)
        if earliest - now > message.patience:
            return Refused(name, Cause.COOLING, earliest)
        return max(earliest, now)

    @staticmethod
    def _take(
        dimensions: list[tuple[TokenBucket, float]], message: Reserve, now: float, earliest: float
    ) -> Reserved | TooLong:
        """Reserve every rate limit from `earliest` on, all or nothing."""
        if not dimensions:
            return Reserved(earliest, ())
        taken = reserve_all(dimensions, earliest, message.patience - (earliest - now))
        if isinstance(taken, TooLong):
            return TooLong(taken.wait + (earliest - now), taken.limiting)
        return taken

    def _lease(self, held: _Held, message: Reserve, taken: Reserved) -> Lease:
        state = self._state
        deployment = state.deployments[held.deployment]
        state.last_permit += 1
        state.held[state.last_permit] = held
        deployment.own.acquire()
        deployment.account.acquire()
        return Lease(
            vendor=state.spec.name,
            deployment=held.deployment,
            permit=state.last_permit,
            start_at=taken.start_at,
            probe=held.circuit.probe,
            desperate=message.desperate,
        )

    # --- settling ---------------------------------------------------------------------------

    def _first_content(self, message: FirstContent, now: float) -> None:
        held = self._state.held.get(message.permit)
        if held is None:
            return
        breaker = self._state.deployments[held.deployment].breaker
        breaker.settle(held.circuit, Verdict.SUCCESS, now, self._rng)

    def _settle(self, message: Settle, now: float) -> None:
        held = self._release(message.permit)
        if held is None:
            return
        deployment = self._state.deployments[held.deployment]
        self._judge(deployment.breaker, held.circuit, message, now)
        self._account(deployment, held, message, now)
        if message.fault is not None:
            self._close(deployment, message, message.fault, now)

    def _release(self, permit: int) -> _Held | None:
        """Take a permit back, once. None if it has come back before."""
        held = self._state.held.pop(permit, None)
        if held is not None:
            deployment = self._state.deployments[held.deployment]
            deployment.own.release()
            deployment.account.release()
        return held

    def _judge(self, breaker: CircuitBreaker, circuit: Permit, message: Settle, now: float) -> None:
        """Tell the circuit how the attempt ended. Once content had begun, only the stream is judged."""
        fault = message.fault
        if message.committed:
            broken = fault is not None and CONSEQUENCES[fault].breaker is Health.FAILURE
            if fault is None or broken:
                verdict = Verdict.STREAM_BROKEN if broken else Verdict.STREAM_OK
                breaker.settle(circuit, verdict, now, self._rng)
            return
        health = Health.ALIVE if fault is None else CONSEQUENCES[fault].breaker
        if fault in (FaultClass.RATE_LIMITED, FaultClass.RAMP_LIMITED, FaultClass.DAILY_LIMIT):
            breaker.settle(circuit, Verdict.RATE_LIMITED, now, self._rng, retry_at=message.retry_at)
        elif health is Health.NEUTRAL or (health is Health.ALIVE and not message.sent):
            breaker.release(circuit)
        else:
            verdict = Verdict.SUCCESS if health is Health.ALIVE else Verdict.FAILURE
            breaker.settle(circuit, verdict, now, self._rng, retry_at=message.retry_at)

    @staticmethod
    def _account(deployment: _Deployment, held: _Held, message: Settle, now: float) -> None:
        """Settle what was reserved against what was used."""
        refused = message.fault is not None and CONSEQUENCES[message.fault].money is Money.NONE
        for gauge, marks in (
            (deployment.account, held.account_marks),
            (deployment.own, held.own_marks),
        ):
            gauge.settle(held.demand, message.used, marks, now, sent=message.sent, refused=refused)

    @staticmethod
    def _close(deployment: _Deployment, message: Settle, fault: FaultClass, now: float) -> None:
        """What the fault closes: the deployment or its account, for as long as the vendor or the class says."""
        gauge = deployment.account if CONSEQUENCES[fault].reach is Reach.ACCOUNT else deployment.own
        if fault is FaultClass.DAILY_LIMIT:
            gauge.close_for_day(message.day_ends_at, now)
        elif fault in (FaultClass.AUTH, FaultClass.QUOTA_EXHAUSTED):
            gauge.quarantine(fault, now)
        elif fault is FaultClass.NO_MODEL:
            gauge.close(now + _NO_MODEL, Cause.UNAVAILABLE)
        elif fault in (FaultClass.RATE_LIMITED, FaultClass.RAMP_LIMITED):
            hint = message.retry_at
            gauge.close(now + _COOLDOWN if hint is None else max(now, hint), Cause.COOLING)
        elif message.retry_at is not None and CONSEQUENCES[fault].breaker is Health.FAILURE:
            gauge.close(message.retry_at, Cause.COOLING)

    def _reap(self, now: float) -> None:
        """Take back the permits of requests that are long over. Only looked for when slots run out."""
        expired = [permit for permit, held in self._state.held.items() if held.expires_at <= now]
        for permit in expired:
            held = self._release(permit)
            if held is not None:
                self._state.deployments[held.deployment].breaker.release(held.circuit)

    # --- telling ----------------------------------------------------------------------------

    def _report(self, now: float) -> VendorSnapshot:
        return VendorSnapshot(
            self._state.spec.name,
            {name: self._standing(each, now) for name, each in self._state.deployments.items()},
        )

    @staticmethod
    def _standing(deployment: _Deployment, now: float) -> DeploymentStanding:
        closed = [
            each.until
            for each in (deployment.own.closed(now), deployment.account.closed(now))
            if each is not None
        ]
        return DeploymentStanding(
            circuit=deployment.breaker.state_at(now).value,
            in_flight=deployment.own.in_flight,
            closed_for=max([0.0, *[until - now for until in closed]]),
            weight=deployment.breaker.weight(now),
        )
