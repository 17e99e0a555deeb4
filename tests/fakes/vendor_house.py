"""A vendor's actor without a house around it: letters go in by hand, and what it tells the router is kept."""

from __future__ import annotations

import random
from typing import Any, TypeVar

from llm_dispatcher.actors.faults import FaultClass
from llm_dispatcher.actors.gauge import LimitSpec
from llm_dispatcher.actors.machines.breaker import BreakerSettings
from llm_dispatcher.actors.mailbox import Forward, Mailbox, Tell
from llm_dispatcher.actors.messages import Declined, FirstContent, Lease, Refused, Reserve, Route, Settle
from llm_dispatcher.actors.vault import DeploymentSpec, VendorSpec, VendorState
from llm_dispatcher.actors.vendor import Vendor

__all__ = ["VendorHouse"]

T = TypeVar("T")

NO_LIMITS = LimitSpec()


class VendorHouse:
    """One vendor `v` with two deployments of one account, and a hand on its clock."""

    def __init__(self, limits: LimitSpec = NO_LIMITS, account: LimitSpec = NO_LIMITS, **breaker: Any) -> None:
        spec = VendorSpec(
            name="v",
            deployments=tuple(
                DeploymentSpec(name=f"v/{name}", account="key-1", limits=limits) for name in "ab"
            ),
            account_limits=account,
            breaker=BreakerSettings(**breaker),
        )
        self.state = VendorState(spec)
        self.router = Mailbox[Any]("router")
        self.told: list[Any] = []
        self.router.tell = self._hear  # type: ignore[method-assign]
        self.now = 0.0
        self.rebirth()

    def rebirth(self) -> None:
        """The actor crashes and lives again."""
        self.actor = Vendor(self.state, self.router, rng=random.Random(1))

    def _hear(self, message: Tell) -> bool:
        self.told.append(message)
        return True

    def heard(self, kind: type[T]) -> list[T]:
        """What the router was told of this kind since the last call."""
        heard = [message for message in self.told if isinstance(message, kind)]
        self.told = [message for message in self.told if not isinstance(message, kind)]
        return heard

    def tell(self, message: Any) -> Any:
        return self.actor.handle(message, self.now)

    def content(self, lease: Lease, latency: float = 0.1) -> None:
        self.tell(FirstContent(lease.permit, lease.deployment, latency))

    def reserve(
        self,
        name: str = "v/a",
        *,
        patience: float = 0.0,
        tokens: int = 10,
        begun: float | None = None,
        others: tuple[str, ...] = (),
        **more: Any,
    ) -> Lease | Refused:
        begun = self.now if begun is None else begun
        route = Route(model="m", deadline=begun + 100, begun=begun, input_tokens=tokens)
        result = self.actor.handle(Reserve(route, (name, *others), 0, (), patience, **more), self.now)
        if isinstance(result, Lease):
            return result
        assert isinstance(result, Forward)
        assert result.to is self.router
        assert isinstance(result.message, Declined)
        assert result.message.position == 1
        return result.message.refused[-1]

    def lease(self, name: str = "v/a", **more: Any) -> Lease:
        granted = self.reserve(name, **more)
        assert isinstance(granted, Lease), granted
        return granted

    def refusal(self, name: str = "v/a", **more: Any) -> Refused:
        refused = self.reserve(name, **more)
        assert isinstance(refused, Refused), refused
        return refused

    def settle(self, lease: Lease, fault: FaultClass | None = None, **more: Any) -> None:
        self.actor.handle(
            Settle(permit=lease.permit, deployment=lease.deployment, fault=fault, **more), self.now
        )
