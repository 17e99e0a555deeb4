"""A vendor: keeps one vendor's limits and health, grants leases, carries no bytes.

For each request the router names one deployment. The vendor looks, in this order, whether the account or the
deployment is closed (a quarantine, a cooldown, the rest of a day), whether a slot is free, whether the circuits of its
endpoint and of the deployment admit the request, and when the rate limits allow it. What is granted is a `Lease` with
the time at which it may start; what is not goes back to the router with the reason and a time. Either everything is
taken or nothing is.

Three things can be at fault, and the narrowest that explains a failure is held to account: the endpoint, when its
address cannot be reached; the account, whose key or credit is refused; else the deployment. When most of an
endpoint's recent traffic went to deployments whose circuits are open, the endpoint's opens too.

The state lives in a `VendorState`, the vault (`vault`), which outlives the actor: a crash neither refills a bucket nor
forgets a cooldown or a permit. A permit whose request never settles it (a caller that was killed) comes back by
itself some time after the request's deadline.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final, assert_never

from .faults import Consequence, FaultClass, Health, Money, Reach, Until, consequence
from .gauge import Demand, Gauge, LimitSpec
from .machines.breaker import CircuitBreaker, Permit, Refusal, State, Transition, Verdict
from .machines.bucket import Reserved, TooLong, reserve_all
from .mailbox import Forward, Mailbox
from .messages import (
    Cause,
    Contact,
    Declined,
    DeploymentStanding,
    FirstContent,
    Lease,
    Load,
    Loads,
    Network,
    Order,
    Refused,
    Reserve,
    Room,
    Settle,
    VendorReport,
    VendorSnapshot,
    size_class,
)
from .vault import DeploymentSpec, DeploymentState, Held, VendorSpec, VendorState

__all__ = ["DeploymentSpec", "LimitSpec", "Vendor", "VendorSpec", "VendorState"]

_SLACK: Final = 30.0
"""Seconds after its deadline that a permit is taken back from a request that never settled it."""
_TELL_EVERY: Final = 0.1
"""Seconds between two words to the router on how deployments stand, while something changes."""
_TELL_IDLE: Final = 0.005
"""The same when nothing is in flight any more: there may be no next occasion."""
_PROBE_SHARE: Final = 0.5
"""A request with less than this share of its time left does not probe, if it has somewhere else to go."""
_ENDPOINT_SHARE: Final = 0.5
"""An endpoint is at fault when more than this share of its traffic went to deployments that are open."""

_THROTTLED: Final = frozenset({FaultClass.RATE_LIMITED, FaultClass.RAMP_LIMITED, FaultClass.DAILY_LIMIT})
"""Refusals that say nothing against a deployment but that it wants less."""


class Vendor:
    """One life of a vendor's actor, over a state that outlives it. See the module's docstring."""

    def __init__(self, state: VendorState, router: Mailbox[Any], *, rng: random.Random) -> None:
        self._state = state
        self._router = router
        self._rng = rng

    def handle(
        self, message: Reserve | FirstContent | Settle | VendorReport | Order | Network, now: float
    ) -> Lease | Forward | VendorSnapshot | None:
        """One message; see `mailbox.Actor`."""
        self._state.in_doubt = 0
        match message:
            case Reserve():
                return self._reserve(message, now)
            case FirstContent():
                self._first_content(message, now)
            case Settle():
                self._settle(message, now)
            case Network():
                self._state.network_down = message.down
            case VendorReport():
                return self._report(now)
            case Order():
                return self._obey(message, now)
            case _:
                assert_never(message)
        return None

    # --- granting ---------------------------------------------------------------------------

    def _reserve(self, message: Reserve, now: float) -> Lease | Forward:
        granted = self._grant(message, now)
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

    def _grant(self, message: Reserve, now: float) -> Lease | Refused:
        name = message.deployment
        deployment = self._state.deployments.get(name)
        if deployment is None:
            return Refused(name, Cause.UNAVAILABLE, math.inf)
        opening = self._opening(deployment, message, now)
        if isinstance(opening, Refused):
            return opening
        earliest, trials = opening
        if not self._has_slots(deployment, now):
            self._state.owes_room = True
            return Refused(name, Cause.FULL, now)
        circuits = self._admit(deployment, message, now)
        if isinstance(circuits, Refused):
            return circuits
        demand = self._demand(deployment, message, now)
        dimensions = deployment.account.dimensions(demand, now)
        split = len(dimensions)
        dimensions += deployment.own.dimensions(demand, now)
        taken = reserve_all(dimensions, earliest, message.patience - (earliest - now))
        if isinstance(taken, TooLong):
            self._state.endpoint.release(circuits[0])
            deployment.breaker.release(circuits[1])
            return self._too_long(deployment, demand, taken, earliest, now)
        turns = tuple([(gauge, gauge.begin_trial(now)) for gauge in trials])
        return self._lease(deployment, message, demand, circuits, taken, split, turns, now)

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
        if not _full(deployment):
            return True
        self._reap(now)
        return not _full(deployment)

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
        if isinstance(endpoint, Refusal):
            return Refused(name, Cause.OPEN, endpoint.until)
        own = circuits[1].admit(now, rng, panic=panic)
        if isinstance(own, Refusal):
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
            gauge.acquire()
        endpoint, circuit = circuits
        state.held[number] = Held(
            deployment.name, demand, route.input_tokens, circuit, endpoint, taken.marks, split, trials,
            size_class(route.input_tokens), route.deadline + _SLACK,
        )  # fmt: skip
        deployment.traffic.add("sent", now)
        state.changed.add(deployment.name)
        return Lease(
            state.spec.name, deployment.name, number, taken.start_at, circuit.probe or endpoint.probe,
            message.desperate, message.hedge_after,
        )  # fmt: skip

    # --- settling ---------------------------------------------------------------------------

    def _first_content(self, message: FirstContent, now: float) -> None:
        held = self._state.held.get(message.permit)
        if held is None:
            return
        deployment = self._state.deployments[held.deployment]
        slow = deployment.pace.is_slow(held.size, message.latency, now)
        deployment.pace.observe(held.size, message.latency, now)
        self._reached(held, now)
        self._accepted(deployment, now)
        self._moved(
            deployment,
            deployment.breaker.settle(held.circuit, Verdict.SUCCESS, now, self._rng, slow=slow),
            now,
        )

    def _settle(self, message: Settle, now: float) -> None:
        held = self._state.held.get(message.permit)
        if held is None:
            return
        deployment = self._state.deployments[held.deployment]
        row = _row(message)
        self._complain(deployment, message, row, now)
        self._state.release(message.permit)
        self._judge_endpoint(held, message, row, now)
        self._judge(deployment, held, message, row, now)
        self._account(deployment, held, message, row, now)
        if row is not None and message.fault is not None:
            self._close(deployment, message, message.fault, row, now)
        for gauge, turn in held.trials:
            gauge.end_trial(turn, _passed(message, row), now)
        if self._state.owes_room:
            self._state.owes_room = False
            self._router.tell(Room(self._state.spec.name))
        self._state.changed.add(deployment.name)
        self._tell_loads(now)

    @staticmethod
    def _complain(deployment: DeploymentState, message: Settle, row: Consequence | None, now: float) -> None:
        """What the attempt says of the limits themselves; told while its slot still counts as used.

        Vendors limit an account's use of one model (or a class of them), which is what a deployment is.
        """
        own = deployment.own
        if row is None:
            for gauge in deployment.gauges:
                gauge.on_success(now)
        else:
            if row.limit.concurrency < 1:
                own.on_loss(now)
            if row.limit.growth < 1:
                own.slow_down(now)
            if row.limit.rate < 1:
                own.throttled(now)
        if message.headroom is not None:
            own.learn(message.headroom, now)

    def _judge_endpoint(self, held: Held, message: Settle, row: Consequence | None, now: float) -> None:
        """Whether the address could be reached. While our own network is down, failing to proves nothing."""
        state = self._state
        if row is not None and row.reach is Reach.ENDPOINT:
            state.out_of_reach = True
            self._router.tell(Contact(state.spec.name, False))
            if state.network_down:
                state.endpoint.release(held.endpoint)
            else:
                state.endpoint.settle(held.endpoint, Verdict.FAILURE, now, self._rng)
                state.changed.update(state.deployments)
        elif row is None or message.status is not None or message.committed:
            self._reached(held, now)
        elif not held.contacted:
            state.endpoint.release(held.endpoint)

    def _reached(self, held: Held, now: float) -> None:
        """The endpoint has answered; counts once an attempt."""
        state = self._state
        if held.contacted:
            return
        held.contacted = True
        state.endpoint.settle(held.endpoint, Verdict.SUCCESS, now, self._rng)
        if state.out_of_reach or state.network_down:
            state.out_of_reach = False
            self._router.tell(Contact(state.spec.name, True))

    def _judge(
        self, deployment: DeploymentState, held: Held, message: Settle, row: Consequence | None, now: float
    ) -> None:
        """Tell the circuit how the attempt ended. Once content had begun, only the stream is judged."""
        verdict = _verdict(message, row)
        if verdict is Verdict.NEUTRAL:
            deployment.breaker.release(held.circuit)
            return
        if verdict is Verdict.SUCCESS:
            self._accepted(deployment, now)
        elif verdict is Verdict.FAILURE:
            deployment.throttle.sent(now)
        moved = deployment.breaker.settle(held.circuit, verdict, now, self._rng, retry_at=message.retry_at)
        self._moved(deployment, moved, now)

    @staticmethod
    def _accepted(deployment: DeploymentState, now: float) -> None:
        # Counted together, when the answer begins: a call that takes a minute to do so is no refusal until then.
        deployment.throttle.sent(now)
        deployment.throttle.accepted(now)

    def _moved(self, deployment: DeploymentState, moved: Transition | None, now: float) -> None:
        """A circuit has changed: the router is told at once, and the endpoint may be at fault."""
        if moved is None:
            return
        state = self._state
        state.changed.add(deployment.name)
        state.told_at = -math.inf
        if moved.target is not State.OPEN:
            return
        traffic = {name: each.traffic.count("sent", now) for name, each in state.deployments.items()}
        opened = [
            name
            for name, each in state.deployments.items()
            if each.breaker.state is State.OPEN and traffic[name]
        ]
        if len(opened) >= 2 and sum([traffic[name] for name in opened]) > _ENDPOINT_SHARE * sum(
            traffic.values()
        ):
            state.endpoint.trip(now, self._rng)
            state.changed.update(state.deployments)

    @staticmethod
    def _account(
        deployment: DeploymentState, held: Held, message: Settle, row: Consequence | None, now: float
    ) -> None:
        """Settle what was reserved against what was used; what is unknown stays as it was reserved."""
        used = message.used
        refused = row is not None and row.money is Money.NONE
        sent = message.sent and not (row is not None and row.limit.refunds)
        marks = (held.marks[: held.split], held.marks[held.split :])
        for gauge, mine in zip(deployment.gauges, marks, strict=True):
            gauge.settle(held.demand, used, mine, now, sent=sent, refused=refused)
        if used is not None and message.exact and row is None:
            deployment.estimates.observe_input(held.estimate, used.input_tokens, now)
            deployment.estimates.observe_output(used.output_tokens, now)

    @staticmethod
    def _close(
        deployment: DeploymentState, message: Settle, fault: FaultClass, row: Consequence, now: float
    ) -> None:
        """Close what the fault reaches, for as long as the table says."""
        reaches_account = row.reach is Reach.ACCOUNT
        gauge = deployment.account if reaches_account else deployment.own
        hint, limit = message.retry_at, row.limit
        match limit.until:
            case Until.REST:
                cause = Cause.QUARANTINED if reaches_account else Cause.UNAVAILABLE
                gauge.quarantine(fault, limit.rest, limit.longest, cause, now)
            case Until.DAY:
                gauge.close_for_day(message.day_ends_at, now)
            case Until.HINT:
                gauge.close(now + limit.rest if hint is None else max(now, hint), Cause.COOLING)
            case Until.OPEN:
                if hint is not None and row.breaker is Health.FAILURE:
                    gauge.close(hint, Cause.COOLING)
            case _:
                assert_never(limit.until)

    def _reap(self, now: float) -> None:
        """Take back the permits of requests that are long over. Only looked for when slots run out."""
        expired = [permit for permit, held in self._state.held.items() if held.expires_at <= now]
        for permit in expired:
            held = self._state.release(permit)
            if held is not None:
                self._state.give_back(held, now)

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


def _full(deployment: DeploymentState) -> bool:
    return deployment.account.full or deployment.own.full


def _row(message: Settle) -> Consequence | None:
    """What follows from how an attempt ended; None for success."""
    if message.fault is None:
        return None
    return consequence(message.fault, message.status, committed=message.committed)


def _verdict(message: Settle, row: Consequence | None) -> Verdict:
    """What an attempt's end says of the deployment. Once content had begun, that it works has been said already."""
    if message.committed:
        if row is None:
            return Verdict.STREAM_OK
        return Verdict.STREAM_BROKEN if row.breaker is Health.FAILURE else Verdict.NEUTRAL
    if row is None:
        return Verdict.SUCCESS
    if message.fault in _THROTTLED:
        return Verdict.RATE_LIMITED
    if row.reach is Reach.ENDPOINT or row.breaker is Health.NEUTRAL or not message.sent:
        return Verdict.NEUTRAL
    return Verdict.SUCCESS if row.breaker is Health.ALIVE else Verdict.FAILURE


def _passed(message: Settle, row: Consequence | None) -> bool | None:
    """What an attempt proves as a trial: that the account serves again, that it does not, or nothing."""
    if row is None or message.committed:
        return True
    return None if row.limit.until is Until.OPEN else False


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
