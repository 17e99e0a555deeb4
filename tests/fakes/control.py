"""A control plane that says yes: real mailboxes, and behind them actors that lease in order and keep every letter.

For tests of the data plane alone: nothing is limited, no circuit opens, and what was said can be looked at.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import httpx
import msgspec
import trio
from llm_dispatcher.actors.machines.backoff import Backoff
from llm_dispatcher.actors.machines.budget import ClassedBudget
from llm_dispatcher.actors.machines.hedge import HedgeBudget
from llm_dispatcher.actors.mailbox import Mailbox, serve
from llm_dispatcher.actors.messages import (
    Cause,
    FirstContent,
    Lease,
    NoLease,
    Outcome,
    Refused,
    Route,
    Settle,
)
from llm_dispatcher.runtime.canon import Criticality, Request
from llm_dispatcher.runtime.config import load_mapping
from llm_dispatcher.runtime.config.serving import serving
from llm_dispatcher.runtime.deployment import Deployment
from llm_dispatcher.runtime.detached import Background
from llm_dispatcher.runtime.dialects import dialect_class
from llm_dispatcher.runtime.dispatch import answer
from llm_dispatcher.runtime.house import House, RetryPolicy, conducts
from llm_dispatcher.runtime.plan import plan_deployments
from llm_dispatcher.runtime.reply import Reply
from llm_dispatcher.runtime.stream import EventStream

from tests.fakes.scripted import ScriptedTransport, config

__all__ = ["Leasing", "Plane", "plane", "until"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    for _ in range(10_000):
        if condition():
            return
        await trio.sleep(0.05)
    raise AssertionError("it did not come to pass")


class _Router:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def handle(self, route: Route, now: float) -> Lease | NoLease:
        return self._plane.lease(route, now)


class _Vendor:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def handle(self, message: FirstContent | Settle, _now: float) -> None:
        if isinstance(message, FirstContent):
            self._plane.contents.append(message)
        else:
            self._plane.settled.append(message)


class _Stats:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def handle(self, outcome: Outcome, _now: float) -> None:
        self._plane.outcomes.append(outcome)


class Leasing(msgspec.Struct, frozen=True, kw_only=True):
    """What every lease says; it begins in so many seconds."""

    hedge_after: float | None = None
    desperate: bool = False
    probe: bool = False
    starts_in: float = 0.0


class Plane:
    """What was asked and told, in order."""

    def __init__(self, leasing: Leasing) -> None:
        self.house: House
        self.transports: dict[str, ScriptedTransport] = {}
        self.routes: list[Route] = []
        self.leases: list[Lease] = []
        self.contents: list[FirstContent] = []
        self.settled: list[Settle] = []
        self.outcomes: list[Outcome] = []
        self._leasing = leasing

    def lease(self, route: Route, now: float) -> Lease | NoLease:
        self.routes.append(route)
        names = [name for name, each in self.house.deployments.items() if self._suits(name, each, route)]
        starts = now + self._leasing.starts_in
        if not names and route.again is not None:
            names, starts = [route.again], max(starts, route.again_at)
        if not names:
            everybody = [Refused(name, Cause.UNSUITED, float("inf")) for name in self.house.deployments]
            return NoLease(tuple(everybody), float("inf"))
        lease = Lease(
            vendor=self.house.deployments[names[0]].vendor,
            deployment=names[0],
            permit=len(self.leases) + 1,
            start_at=starts,
            probe=self._leasing.probe,
            desperate=self._leasing.desperate,
            hedge_after=self._leasing.hedge_after,
        )
        self.leases.append(lease)
        return lease

    @staticmethod
    def _suits(name: str, deployment: Deployment, route: Route) -> bool:
        if name in route.tried or deployment.vendor == route.hedge:
            return False
        model = deployment.model
        return route.needs <= model.does and model.window > route.larger_than

    async def send(self, request: Request) -> Reply:
        """As `Dispatcher.send`."""
        return await answer(self.house, request, "req_1")

    def stream(self, request: Request) -> EventStream:
        """As `Dispatcher.stream`."""
        return EventStream(self.house, request, "req_1")

    @property
    def in_flight(self) -> int:
        """Permits that are out. Negative when one came back twice."""
        return len(self.leases) - len(self.settled)

    def assert_at_rest(self, requests: int = 1) -> None:
        """Every permit is back, once; every attempt was told of, once; and of every request's end, once."""
        assert sorted(each.permit for each in self.settled) == [each.permit for each in self.leases]
        begun = sum(each.deployment is not None for each in self.outcomes)
        given_back = sum(not each.sent and each.fault is not None for each in self.settled)
        assert len(self.leases) - given_back <= begun <= len(self.leases)
        assert sum(each.last for each in self.outcomes) == requests
        assert self.house.background.draining == 0


@asynccontextmanager
async def plane(
    settings: Mapping[str, Any] | None = None,
    leasing: Leasing | None = None,
    /,
    **vendors: ScriptedTransport,
) -> AsyncIterator[Plane]:
    """A data plane over scripted vendors, and under a control plane that says yes. Nothing may be left behind."""
    made = Plane(leasing or Leasing())
    router, stats, vendor = Mailbox[Any]("router"), Mailbox[Any]("stats"), Mailbox[Any]("vendor")
    made.transports = vendors
    made.house = _house(settings or {}, vendors, router, stats, vendor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, router, _Router(made))
        nursery.start_soon(serve, stats, _Stats(made))
        nursery.start_soon(serve, vendor, _Vendor(made))
        await nursery.start(made.house.background.run)
        yield made
        await until(lambda: not made.house.background.draining)
        await trio.testing.wait_all_tasks_blocked()
        await made.house.background.stop(1)
        nursery.cancel_scope.cancel()
    assert [name for name, each in vendors.items() if each.open] == []


def _house(
    settings: Mapping[str, Any],
    transports: Mapping[str, httpx.AsyncBaseTransport],
    router: Mailbox[Any],
    stats: Mailbox[Any],
    vendor: Mailbox[Any],
) -> House:
    written = config(*transports, **{key: value for key, value in settings.items() if key != "each"})
    for table in written["vendors"]:
        each = dict(settings.get("each", {}).get(table["name"], {}))
        table["models"][0] |= each.pop("model", {})
        table |= each
    loaded = load_mapping(written)
    retry = loaded.retry
    return House(
        router=router,
        stats=stats,
        deployments={
            each.name: Deployment(
                name=each.name,
                vendor=each.vendor.name,
                model=each.model,
                dialect=dialect_class(each.vendor.dialect)(each.target()),
                transport=transports[each.vendor.name],
                timeouts=each.vendor.timeouts or loaded.timeouts,
                mailbox=vendor,
                drains=each.vendor.on_disconnect == "drain",
            )
            for each in plan_deployments(serving(loaded).vendors)
        },
        retry=RetryPolicy(retry.attempts, float(retry.longest_hint), Backoff("fixed", 0.25, 0.25, "none")),
        budget=ClassedBudget(get_args(Criticality), retry.budget, retry.floor),
        hedges=HedgeBudget(loaded.hedging.share, float(loaded.hedging.dollars)),
        background=Background(),
        conducts=conducts(loaded),
        default_timeout=float(loaded.timeouts.total),
        long_context=int(loaded.long_context),
        rng=random.Random(1),
    )
