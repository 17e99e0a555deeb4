"""What outlives a vendor's actor: limits, circuits, permits that are out. Owned by whoever supervises the actor.

The actor changes it only within one message, without a checkpoint. A crash in the middle may leave it torn all the
same, so the supervisor has it audited before the next life begins (`VendorState.audit`): counts are taken anew from
the permits that are known to be out, what cannot be true is replaced by the worst that may be (an empty bucket, a
circuit open for the longest time), and a permit that came back in the very message that crashed the actor is given back. Nothing
is ever assumed to be fuller, or healthier, than was known.
"""

from __future__ import annotations

import math
from typing import Any, Final

from msgspec import Struct

from .gauge import Demand, Gauge, Moment
from .limits import LIMIT_MODELS, LimitSpec
from .machines.breaker import BreakerSettings, CircuitBreaker, Permit, State
from .machines.pace import Pace
from .machines.throttle import AdaptiveThrottle
from .machines.tokens import TokenEstimates
from .machines.window import RollingWindow
from .messages import SIZE_CLASSES, Reserve, Settle
from .quota import Holdings, ScopedHoldings

__all__ = ["DeploymentSpec", "DeploymentState", "Held", "Parked", "VendorSpec", "VendorState"]

_HORIZON: Final = 3600.0
"""Seconds beyond which no circuit is open: what claims to be is the trace of a crash."""


class DeploymentSpec(Struct, frozen=True, kw_only=True):
    """One deployment: its name, its model as callers say it, the account (key) it is billed to, and its own limits."""

    name: str
    account: str
    model: str = ""
    limits: LimitSpec = LimitSpec()
    prices: tuple[float, float] = (0.0, 0.0)
    """Dollars per token of input and of output, for limits on money; 0 where they are not known."""


class VendorSpec(Struct, frozen=True, kw_only=True):
    """What the actor needs to know of a vendor. `account_limits` hold for each account on its own."""

    name: str
    deployments: tuple[DeploymentSpec, ...]
    account_limits: LimitSpec = LimitSpec()
    limit_model: str = "default"
    """How it counts: a row of `limits.LIMIT_MODELS`."""
    breaker: BreakerSettings = BreakerSettings()


class DeploymentState:
    """One deployment: its gauge and its account's, its circuit, and what is known of its model's ways."""

    def __init__(
        self,
        spec: DeploymentSpec,
        vendor: VendorSpec,
        account: Gauge,
        pace: Pace,
        estimates: TokenEstimates,
        shared: ScopedHoldings | None = None,
    ) -> None:
        self.name = spec.name
        self.prices = spec.prices
        self.strict = spec.limits.strict or vendor.account_limits.strict
        self.account = account
        self.own = Gauge(spec.limits, LIMIT_MODELS[vendor.limit_model], shared)
        self.breaker = CircuitBreaker(vendor.breaker)
        self.throttle = AdaptiveThrottle()
        self.traffic = RollingWindow(vendor.breaker.window, 6, ("sent",))
        self.pace = pace
        self.estimates = estimates

    @property
    def gauges(self) -> tuple[Gauge, Gauge]:
        """The account's, which others share, and its own."""
        return self.account, self.own


class Held(Struct):
    """A permit that is out: what was taken for it, and when it comes back at the latest."""

    deployment: str
    demand: Demand
    estimate: int
    """Input tokens as the caller estimated them."""
    circuit: Permit
    endpoint: Permit
    marks: tuple[int, ...]
    """Where each bucket stood, the account's first, so that what is given back late is not given back twice."""
    split: int
    """How many of `marks` are the account's."""
    slots: tuple[int, int]
    """The numbers of its slots, the account's first."""
    trials: tuple[tuple[Gauge, int], ...]
    size: int
    expires_at: float
    contacted: bool = False
    """Whether the endpoint is known to have answered."""
    since: Moment | None = None
    """Of a stream, when its head had come: what that says of the limits is learned at its end."""


class Parked(Struct, frozen=True):
    """A request that waits for what its deployment lacks of shared limits, and until when it has the patience."""

    message: Reserve
    until: float


class VendorState:
    """The vault. See the module's docstring.

    `holdings`: what this process holds of limits that it shares with others; None where it is alone.
    """

    def __init__(self, spec: VendorSpec, holdings: Holdings | None = None) -> None:
        self.spec = spec
        self.holdings = holdings
        self.parked: dict[int, Parked] = {}
        self.last_ticket = 0
        self.quota_news = False
        """Something came of what is lacking, or is wanted back."""
        counting = LIMIT_MODELS[spec.limit_model]
        self.accounts = {
            account: Gauge(spec.account_limits, counting, self._shared(self.account_scope(account)))
            for account in dict.fromkeys([each.account for each in spec.deployments])
        }
        models = {each.model for each in spec.deployments}
        paces = {model: Pace(len(SIZE_CLASSES) + 1) for model in models}
        estimates = {model: TokenEstimates() for model in models}
        self.deployments: dict[str, DeploymentState] = {
            each.name: DeploymentState(
                each,
                spec,
                self.accounts[each.account],
                paces[each.model],
                estimates[each.model],
                self._shared(each.name),
            )
            for each in spec.deployments
        }
        self.endpoint = CircuitBreaker(spec.breaker)
        self.held: dict[int, Held] = {}
        self.last_permit = 0
        self.in_doubt = 0
        """The permit that the message in hand has made: until that is done its asker does not have it."""
        self.network_down = False
        self.out_of_reach = False
        """The last that was heard of the vendor's address is that it could not be reached."""
        self.owes_room = False
        """A request was refused for want of a slot since the last one came back."""
        self.changed: set[str] = set()
        """Deployments whose standing the router has not been told of yet."""
        self.told_at = -math.inf
        self.audits = 0

    def account_scope(self, account: str) -> str:
        """How an account's gauge is called outside of here; a deployment's is called as the deployment."""
        return f"{self.spec.name} ({account})"

    def scopes(self) -> dict[str, Gauge]:
        """Every gauge by that name."""
        accounts = {self.account_scope(name): gauge for name, gauge in self.accounts.items()}
        return accounts | {name: each.own for name, each in self.deployments.items()}

    def _shared(self, scope: str) -> ScopedHoldings | None:
        return None if self.holdings is None else self.holdings.of(self.spec.name, scope)

    @property
    def in_flight(self) -> int:
        """Permits that are out."""
        return len(self.held)

    def release(self, number: int) -> Held | None:
        """Take a permit back, with its slots, once. None if it has come back before."""
        held = self.held.pop(number, None)
        if held is not None:
            for gauge in self.deployments[held.deployment].gauges:
                gauge.release()
        return held

    def give_back(self, held: Held, now: float) -> None:
        """The attempt proved nothing, and perhaps was never made: turns to probe and to try go to others."""
        deployment = self.deployments[held.deployment]
        deployment.breaker.release(held.circuit)
        if not held.contacted:
            self.endpoint.release(held.endpoint)
        for gauge, turn in held.trials:
            gauge.end_trial(turn, None, now)

    def audit(self, now: float, crashed_over: Any = None) -> list[str]:
        """Put the state in order after a crash over the message `crashed_over`; returns what was found wrong, in words."""
        self.audits += 1
        found: list[str] = []
        if isinstance(crashed_over, Settle):
            self._abandon(crashed_over.permit, now, found)
        elif isinstance(crashed_over, Reserve):
            self._abandon(self.in_doubt, now, found)
        for name, gauge in self._gauges().items():
            out = sum([gauge in self.deployments[held.deployment].gauges for held in self.held.values()])
            if gauge.in_flight != out or not gauge.audit(now):
                found.append(f"{name}: limits were not to be trusted")
                gauge.pessimise(now, out)
        for name, breaker in self._breakers().items():
            longest = now + breaker.settings.open_cap
            if breaker.state is State.OPEN and not breaker.until <= now + _HORIZON:
                found.append(f"{name}: its circuit was not to be trusted")
                breaker.until = longest
        return found

    def _abandon(self, permit: int, now: float, found: list[str]) -> None:
        held = self.held.pop(permit, None)
        if held is None:
            return
        found.append(
            f"{held.deployment}: a permit was given back for an attempt whose end was not understood"
        )
        for gauge in self.deployments[held.deployment].gauges:
            if gauge.in_flight > 0:
                gauge.release()
        self.give_back(held, now)

    def _gauges(self) -> dict[str, Gauge]:
        own = {name: each.own for name, each in self.deployments.items()}
        return {**{f"account {name}": gauge for name, gauge in self.accounts.items()}, **own}

    def _breakers(self) -> dict[str, CircuitBreaker]:
        return {
            "endpoint": self.endpoint,
            **{name: each.breaker for name, each in self.deployments.items()},
        }
