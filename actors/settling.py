"""What follows from how an attempt ended: for the limits, the circuits, and what stays closed for how long.

All of it is read from the table of consequences (`faults`). Three things can be at fault, and the narrowest that
explains a failure is held to account: the endpoint, when its address cannot be reached; the account, whose key or
credit is refused; else the deployment. When most of an endpoint's recent traffic went to deployments whose circuits
are open, the endpoint's opens too.
"""

from __future__ import annotations

import math
import random
from typing import Any, Final, assert_never

from .faults import Consequence, FaultClass, Health, Money, Reach, Until, consequence
from .gauge import Gauge
from .machines.breaker import State, Transition, Verdict
from .mailbox import Mailbox
from .messages import Cause, Contact, FirstContent, Room, Settle
from .vault import DeploymentState, Held, VendorState

__all__ = ["Settling"]

_ENDPOINT_SHARE: Final = 0.5
"""An endpoint is at fault when more than this share of its traffic went to deployments that are open."""

_THROTTLED: Final = frozenset(
    {FaultClass.RATE_LIMITED, FaultClass.CONCURRENCY_LIMITED, FaultClass.RAMP_LIMITED, FaultClass.DAILY_LIMIT}
)
"""Refusals that say nothing against a deployment but that it wants less."""


class Settling:
    """Settles attempts over one vendor's state, and tells the router what it must know. See the module's docstring."""

    def __init__(self, state: VendorState, router: Mailbox[Any], rng: random.Random) -> None:
        self._state = state
        self._router = router
        self._rng = rng

    def first_content(self, message: FirstContent, now: float) -> None:
        """The answer has begun: the deployment is alive, however long the rest takes."""
        held = self._state.held.get(message.permit)
        if held is None:
            return
        deployment = self._state.deployments[held.deployment]
        slow = deployment.pace.is_slow(held.size, message.latency, now)
        deployment.pace.observe(held.size, message.latency, now)
        if held.since is None:
            _taken(deployment, held, now)
        held.since = deployment.own.moment(now)
        self._reached(held, now)
        self._accepted(deployment, now)
        self._moved(
            deployment,
            deployment.breaker.settle(
                held.circuit, Verdict.SUCCESS, now, self._rng, slow=slow, streamed=True
            ),
            now,
        )

    def settle(self, message: Settle, now: float) -> None:
        """The attempt has ended: its permit comes back, once."""
        held = self._state.held.get(message.permit)
        if held is None:
            return
        deployment = self._state.deployments[held.deployment]
        row = _row(message)
        often = self._complain(deployment, held, message, row, now)
        self._state.release(message.permit)
        self._judge_endpoint(held, message, row, now)
        self._judge(deployment, held, message, row, now)
        self._account(deployment, held, message, row, now)
        if row is not None and message.fault is not None:
            self._close(deployment, message, message.fault, row, often, now)
        for gauge, turn in held.trials:
            gauge.end_trial(turn, _passed(message, row), now)
        if self._state.owes_room:
            self._state.owes_room = False
            self._router.tell(Room(self._state.spec.name))
        self._state.changed.add(deployment.name)

    @staticmethod
    def _complain(
        deployment: DeploymentState, held: Held, message: Settle, row: Consequence | None, now: float
    ) -> bool:
        """What the attempt says of the limits themselves; told while its slot still counts as used. Whether it is one of so
        many refusals that they are no chance.

        Vendors limit an account's use of one model (or a class of them), which is what a deployment is.
        """
        own, often = deployment.own, False
        if row is None:
            if held.since is None:
                _taken(deployment, held, now)
            for gauge in deployment.gauges:
                gauge.on_success(now)
        else:
            named = message.fault is FaultClass.CONCURRENCY_LIMITED
            # What a circuit is open for is no matter of how many calls there are.
            if row.limit.concurrency < 1 and (named or deployment.breaker.state is State.CLOSED):
                own.on_loss(held.slots[1], now, named=named)
            if row.limit.until is Until.HINT:
                often = own.refused()
            if row.limit.growth < 1:
                _growing(deployment).slow_down(now)
            if row.limit.rate < 1:
                own.throttled(now, often=often)
        if message.headroom is not None:
            own.learn(message.headroom, now, held.since)
        return often

    def _judge_endpoint(self, held: Held, message: Settle, row: Consequence | None, now: float) -> None:
        """Whether the address could be reached. While our own network is down, failing to proves nothing."""
        state = self._state
        if row is not None and row.reach is Reach.ENDPOINT:
            self._tell_contact(message.answered)
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
        self._tell_contact(True)

    def _tell_contact(self, reached: bool) -> None:
        """Tell the router whether the address was reached, unless that is no news."""
        state = self._state
        if not reached or state.out_of_reach or state.network_down:
            state.out_of_reach = not reached
            self._router.tell(Contact(state.spec.name, reached))

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
        deployment: DeploymentState,
        message: Settle,
        fault: FaultClass,
        row: Consequence,
        often: bool,
        now: float,
    ) -> None:
        """Close what the fault reaches, for as long as the table says. `often`: the refusal is more than chance."""
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
                if hint is not None:
                    gauge.close(max(now, hint), Cause.COOLING)
                elif often:
                    gauge.close(now + limit.rest, Cause.COOLING)
            case Until.OPEN:
                if hint is not None and row.breaker is Health.FAILURE:
                    gauge.close(hint, Cause.COOLING)
            case _:
                assert_never(limit.until)


def _growing(deployment: DeploymentState) -> Gauge:
    """Whose growth it is: the account's where a floor was configured for it alone, else the deployment's."""
    account, own = deployment.gauges
    return account if own.spec.ramp_floor is None and account.spec.ramp_floor is not None else own


def _taken(deployment: DeploymentState, held: Held, now: float) -> None:
    for gauge, slot in zip(deployment.gauges, held.slots, strict=True):
        gauge.on_taken(slot, now)


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
