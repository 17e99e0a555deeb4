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
from typing import Any, Final, assert_never

from msgspec import Struct

from .faults import CONSEQUENCES, FaultClass, Health, Money, Reach
from .machines.breaker import BreakerSettings, CircuitBreaker, Permit, Refusal, Verdict
from .machines.bucket import Reserved, TokenBucket, TooLong, reserve_all
from .machines.restarts import Quarantine
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
_QUARANTINES: Final[dict[FaultClass, tuple[float, float]]] = {
    FaultClass.AUTH: (300.0, 3600.0),
    FaultClass.QUOTA_EXHAUSTED: (900.0, 6 * 3600.0),
    FaultClass.DAILY_LIMIT: (900.0, 6 * 3600.0),
}
"""Faults that time alone does not cure: the first rest, doubled each further time, and the longest, in seconds."""


class LimitSpec(Struct, frozen=True, kw_only=True):
    """What may pass: requests and tokens per minute, requests per day, and at once. None: no limit.

    `burst`: the share of a minute's requests that may start at once. Of tokens, a whole minute's may.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    concurrent: int | None = None
    burst: float = 0.1


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
    breaker: BreakerSettings = BreakerSettings()


class _Gauge:
    """The buckets and the slots of one account or deployment."""

    def __init__(self, limits: LimitSpec) -> None:
        self.requests: list[TokenBucket] = []
        self.tokens: list[TokenBucket] = []
        if limits.requests_per_minute:
            per_minute = float(limits.requests_per_minute)
            self.requests.append(TokenBucket(per_minute / 60, max(1.0, limits.burst * per_minute)))
        if limits.requests_per_day:
            self.requests.append(
                TokenBucket(limits.requests_per_day / 86_400, float(limits.requests_per_day))
            )
        if limits.tokens_per_minute:
            self.tokens.append(TokenBucket(limits.tokens_per_minute / 60, float(limits.tokens_per_minute)))
        self.most_at_once = limits.concurrent or math.inf
        self.in_flight = 0
        self.closed_until = -math.inf
        self.cause = Cause.COOLING
        self.quarantines: dict[FaultClass, Quarantine] = {}

    def close(self, until: float, cause: Cause) -> None:
        """Closed until then, unless it is closed for longer already: nothing shortens a cooldown."""
        if until > self.closed_until:
            self.closed_until, self.cause = until, cause

    def quarantine(self, kind: FaultClass, now: float) -> None:
        first, longest = _QUARANTINES[kind]
        quarantine = self.quarantines.setdefault(kind, Quarantine(base=first, cap=longest))
        self.close(quarantine.enter(now), Cause.QUARANTINED)


class _Deployment:
    """One deployment's state: its own gauge, its account's, and its circuit."""

    def __init__(self, spec: DeploymentSpec, account: _Gauge, breaker: BreakerSettings) -> None:
        self.own = _Gauge(spec.limits)
        self.account = account
        self.breaker = CircuitBreaker(breaker)
        self.dimensions = [*account.requests, *self.own.requests]
        self.token_dimensions = [*account.tokens, *self.own.tokens]


class _Held(Struct):
    """A permit that is out: what was taken for it, and when it comes back at the latest."""

    deployment: str
    circuit: Permit
    tokens: float
    marks: tuple[int, ...]
    """Where each bucket stood, so that what is given back late is not given back twice."""
    expires_at: float


class VendorState:
    """The vault: everything that must outlive a crash of the actor. Owned by whoever supervises it."""

    def __init__(self, spec: VendorSpec) -> None:
        self.spec = spec
        accounts = {each.account: _Gauge(spec.account_limits) for each in spec.deployments}
        self.deployments: dict[str, _Deployment] = {
            each.name: _Deployment(each, accounts[each.account], spec.breaker) for each in spec.deployments
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
            if gauge.in_flight >= gauge.most_at_once:
                self._reap(now)
                if gauge.in_flight >= gauge.most_at_once:
                    return Refused(name, Cause.FULL, now)
        earliest = self._earliest(deployment, message, now)
        if isinstance(earliest, Refused):
            return earliest
        circuit = deployment.breaker.admit(now, self._rng, panic=message.desperate)
        if isinstance(circuit, Refusal):
            return Refused(name, Cause.OPEN, circuit.until)
        taken = self._take(deployment, message, now, earliest)
        if isinstance(taken, TooLong):
            deployment.breaker.release(circuit)
            cause = Cause.TOO_LARGE if taken.wait == math.inf else Cause.LIMITED
            return Refused(name, cause, now + taken.wait)
        return self._lease(name, deployment, circuit, message, taken)

    @staticmethod
    def _earliest(deployment: _Deployment, message: Reserve, now: float) -> float | Refused:
        """When it may start as far as cooldowns go: a short one is waited out, a quarantine never is."""
        name = message.plan[message.position]
        earliest = message.route.again_at if name == message.route.again else now
        for gauge in (deployment.account, deployment.own):
            if gauge.closed_until <= now:
                continue
            if gauge.cause is not Cause.COOLING or gauge.closed_until - now > message.patience:
                return Refused(name, gauge.cause, gauge.closed_until)
            earliest = max(earliest, gauge.closed_until)
        if earliest - now > message.patience:
            return Refused(name, Cause.COOLING, earliest)
        return max(earliest, now)

    @staticmethod
    def _take(deployment: _Deployment, message: Reserve, now: float, earliest: float) -> Reserved | TooLong:
        """Reserve every rate limit from `earliest` on, all or nothing."""
        cost = float(message.route.input_tokens + message.route.output_tokens)
        dimensions = [(bucket, 1.0) for bucket in deployment.dimensions]
        dimensions += [(bucket, cost) for bucket in deployment.token_dimensions]
        if not dimensions:
            return Reserved(earliest, ())
        taken = reserve_all(dimensions, earliest, message.patience - (earliest - now))
        if isinstance(taken, TooLong):
            return TooLong(taken.wait + (earliest - now), taken.limiting)
        return taken

    def _lease(
        self, name: str, deployment: _Deployment, permit: Permit, message: Reserve, taken: Reserved
    ) -> Lease:
        state, route = self._state, message.route
        state.last_permit += 1
        tokens = float(route.input_tokens + route.output_tokens)
        state.held[state.last_permit] = _Held(name, permit, tokens, taken.marks, route.deadline + _SLACK)
        deployment.own.in_flight += 1
        deployment.account.in_flight += 1
        return Lease(
            vendor=state.spec.name,
            deployment=name,
            permit=state.last_permit,
            start_at=taken.start_at,
            probe=permit.probe,
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
            deployment.own.in_flight -= 1
            deployment.account.in_flight -= 1
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
        """Settle the reserved tokens against the used ones; what is unknown stays as it was reserved."""
        used = None if message.used is None else float(message.used.input_tokens + message.used.output_tokens)
        requests = len(deployment.dimensions)
        if not message.sent:
            for bucket, mark in zip(deployment.dimensions, held.marks[:requests], strict=True):
                bucket.refund(1.0, now, mark)
            used = 0.0
        elif used is None and message.fault is not None:
            used = 0.0 if CONSEQUENCES[message.fault].money is Money.NONE else None
        if used is None:
            return
        for bucket, mark in zip(deployment.token_dimensions, held.marks[requests:], strict=True):
            if used < held.tokens:
                bucket.refund(held.tokens - used, now, mark)
            elif used > held.tokens:
                bucket.charge(used - held.tokens, now)

    @staticmethod
    def _close(deployment: _Deployment, message: Settle, fault: FaultClass, now: float) -> None:
        """What the fault closes: the deployment or its account, for as long as the vendor or the class says."""
        gauge = deployment.account if CONSEQUENCES[fault].reach is Reach.ACCOUNT else deployment.own
        if fault in _QUARANTINES:
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
        closed_until = max(deployment.own.closed_until, deployment.account.closed_until)
        return DeploymentStanding(
            circuit=deployment.breaker.state_at(now).value,
            in_flight=deployment.own.in_flight,
            closed_for=max(0.0, closed_until - now),
            weight=deployment.breaker.weight(now),
        )
