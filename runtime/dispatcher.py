"""The composition root: from a configuration to a running house.

`Dispatcher.open(...)` reads the configuration at once and returns an async context manager; inside it the
actors live in a nursery of their own, under supervision, and requests can be sent. Leaving it stops
everything, in reverse order of the start: the actors, then the vendors' connections. An exception from
the caller's own body leaves as it is, not wrapped in a group.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from os import PathLike
from types import TracebackType
from typing import Any, Self, get_args

import httpx
import trio

from ..actors.log import Log
from ..actors.machines.backoff import Backoff
from ..actors.machines.budget import ClassedBudget
from ..actors.machines.fair_queue import FairQueueSettings, FairQueueStatistics
from ..actors.machines.hedge import HedgeBudget
from ..actors.mailbox import ActorCrashed, Forward, Mailbox, MailboxClosed, Tell, serve
from ..actors.messages import Cause, Reserve, VendorReport, VendorSnapshot
from ..actors.policies import POLICIES, Policy
from ..actors.quota import Holdings
from ..actors.router import Router, RouterState
from ..actors.stats import Ledger, Statistics, Stats
from ..actors.supervisor import Child, ChildStatistics, RestartsExhausted, Supervisor
from ..actors.vault import VendorState
from ..actors.vendor import Vendor as VendorActor
from ..actors.waiting import WaitingRoom
from .batches import embed
from .canon import Criticality, Request
from .chronicle import Chronicle
from .config import Config, Loaded, load, load_mapping
from .config.serving import serving
from .deployment import Deployment
from .detached import Background
from .dispatch import answer
from .house import House, RetryPolicy, conducts
from .orders import carry_out
from .passing.knowledge import Interface, interface_of
from .passing.passage import Passage
from .passing.stream import Passing
from .plan import Planned, batch_limits, plan_deployments, routing_table, vendor_spec
from .reply import EmbeddingsReply, Reply
from .stalls import Stalls
from .standing import Budgets, NetworkStanding, budgets, network
from .stream import EventStream
from .vectors import Embed
from .ways_out import WaysOut

__all__ = ["Dispatcher"]

log = Log("llm_dispatcher.dispatcher")

_MOST_OUTCOMES = 100_000
"""Outcomes that may wait for the statistics; further ones are dropped and counted."""
_NOT_RUNNING = "the dispatcher is not running: use it inside `async with Dispatcher.open(...)`"
_GRACE = 1.0
"""Seconds that the end of everything that outlasts its request may take."""


class Dispatcher:
    """A running dispatcher; made by `Dispatcher.open`. All methods want to be called inside its context."""

    def __init__(
        self,
        config: Config,
        *,
        policies: Mapping[str, Policy],
        transports: Mapping[str, httpx.AsyncBaseTransport],
        rng: random.Random,
        last_grace: float = 0.0,
        holdings: Holdings | None = None,
    ) -> None:
        self.config = config
        self.serving = serving(config)
        self._rng = rng
        self._last_grace = last_grace
        self._holdings = holdings
        self._policies = {**POLICIES, **policies}
        self._ways = WaysOut(transports, rng)
        self._planned = list(plan_deployments(self.serving.vendors))
        self.routing = routing_table(config, self._planned)
        self.ledger = Ledger()
        self._house: House | None = None
        self._interfaces: dict[str, Interface] = {}
        self._mailboxes: dict[str, Mailbox[Any]] = {}
        self._states: dict[str, VendorState] = {}
        self._chronicle = Chronicle(self._states)
        self._router_state = RouterState(len(self.serving.vendors), self._policies, self._waiting_room())
        self._supervisor: Supervisor | None = None
        self._background = Background()
        self._stalls = Stalls()
        self._stack = AsyncExitStack()
        self._nursery_manager: Any = None
        self._nursery: trio.Nursery | None = None

    @classmethod
    def open(
        cls,
        config: str | PathLike[str] | Config | Loaded | Mapping[str, Any] | None = None,
        *,
        policies: Mapping[str, Policy] | None = None,
        transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
        rng: random.Random | None = None,
        last_grace: float = 0.0,
        holdings: Holdings | None = None,
    ) -> Self:
        """A dispatcher for `config`: a file's path, a mapping of the same shape, or None for the default.

        `policies` adds orderings of your own, by the name that the configuration uses. `transports`
        replaces the way out to a vendor, by the vendor's name (httpx's own transports fit). `rng` makes
        every chance decision repeatable. `last_grace`: when the house cannot go on (an actor that it cannot do without
        crashed too often), how many seconds requests under way still have before the context is cancelled, with
        `RestartsExhausted`; `wait_failing` tells of it. `holdings`: what this process may use of limits that it shares with
        others (`runtime.workers`). Raises `config.ConfigError`.
        """
        names = {*POLICIES, *(policies or {})}
        if isinstance(config, Config):
            settled = config
        elif isinstance(config, Mapping):
            settled = load_mapping(config, policies=names)
        else:
            loaded = config if isinstance(config, Loaded) else load(config, policies=names)
            settled = loaded.config
        return cls(
            settled,
            policies=policies or {},
            transports=transports or {},
            rng=rng or random.Random(),
            last_grace=last_grace,
            holdings=holdings,
        )

    # --- lifetime ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        transports = {vendor.name: self._ways.transport(vendor) for vendor in self.serving.vendors}
        for transport in transports.values():
            self._stack.push_async_callback(transport.aclose)
        self._supervisor = self._settle_in(transports)
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        await self._nursery.start(self._supervisor.run)
        await self._nursery.start(self._background.run)
        self._nursery.start_soon(self._stalls.run)
        self._nursery.start_soon(self._chronicle.run)
        self._ways.keep(self._nursery, self.serving.vendors, transports)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        nursery = self._nursery
        if nursery is None:
            return False
        # While the actors still live, so that what is broken off here is settled.
        await self._background.stop(_GRACE)
        nursery.cancel_scope.cancel()
        self._house = None
        for mailbox in self._mailboxes.values():
            mailbox.close()
        # A cancellation may come from the nursery itself, when an actor could not be kept alive: it has to
        # see it. Anything else is the caller's own, and is raised again as it is.
        inner = error if isinstance(error, trio.Cancelled) else None
        try:
            swallowed = await self._nursery_manager.__aexit__(
                type(inner) if inner else None, inner, inner.__traceback__ if inner else None
            )
        finally:
            with trio.move_on_after(1, shield=True):
                await self._stack.aclose()
        return bool(swallowed) and inner is not None

    def _settle_in(self, transports: Mapping[str, httpx.AsyncBaseTransport]) -> Supervisor:
        """Mailboxes, vaults and children: everything that the house consists of."""
        config, most = self.config, self.config.max_waiting
        router = Mailbox[Any]("router", most_asks=most)
        stats = Mailbox[Any]("stats", most_tells=_MOST_OUTCOMES)
        vendors = {vendor.name: Mailbox[Any](vendor.name, most_asks=most) for vendor in self.serving.vendors}
        self._mailboxes = {"router": router, "stats": stats, **{f"vendor {n}": m for n, m in vendors.items()}}
        deployments: dict[str, Deployment] = {}
        children = [self._child("stats", stats, lambda: Stats(self.ledger, router))]
        for vendor in self.serving.vendors:
            mine = [each for each in self._planned if each.vendor is vendor]
            state = VendorState(vendor_spec(config, vendor, mine), self._holdings)
            self._states[vendor.name] = state
            for each in mine:
                deployments[each.name] = self._deployment(each, transports, vendors[vendor.name])
            children.append(self._vendor_child(vendor.name, vendors[vendor.name], state, router))
        table, state_of_router, rng = self.routing, self._router_state, self._rng
        children.append(
            self._child("router", router, lambda: Router(table, state_of_router, router, vendors, rng=rng))
        )
        self._house = self._make_house(router, stats, deployments)
        self._interfaces = {
            vendor.name: interface_of(vendor.name, deployments.values())
            for vendor in self.serving.vendors
            if vendor.passed_below is not None
        }
        return Supervisor(children, rng=self._rng, grace=self._last_grace)

    def _waiting_room(self) -> WaitingRoom:
        waiting = self.config.waiting
        return WaitingRoom(
            FairQueueSettings(entries=waiting.requests, bytes=int(waiting.bytes)), waiting.weights
        )

    def _make_house(
        self, router: Mailbox[Any], stats: Mailbox[Any], deployments: Mapping[str, Deployment]
    ) -> House:
        retry, backoff, hedging = self.config.retry, self.config.retry.backoff, self.config.hedging
        # Shares of the requests are each process's own; what is granted besides is divided.
        among = 1 if self._holdings is None else self._holdings.tenure.holders
        return House(
            router=router,
            stats=stats,
            deployments=deployments,
            retry=RetryPolicy(
                retry.attempts,
                float(retry.longest_hint),
                Backoff(backoff.kind, float(backoff.base), float(backoff.cap), backoff.jitter),
            ),
            budget=ClassedBudget(get_args(Criticality), retry.budget, retry.floor / among),
            hedges=HedgeBudget(hedging.share, float(hedging.dollars) / among, floor=1.0 / among),
            background=self._background,
            conducts=conducts(self.config),
            default_timeout=float(self.config.timeouts.total),
            long_context=int(self.config.long_context),
            rng=self._rng,
        )

    def _deployment(
        self, planned: Planned, transports: Mapping[str, httpx.AsyncBaseTransport], mailbox: Mailbox[Any]
    ) -> Deployment:
        vendor, dialect = planned.vendor, self._ways.dialect(planned)
        return Deployment(
            name=planned.name,
            vendor=vendor.name,
            model=planned.model,
            dialect=dialect,
            transport=self._ways.signed(planned, dialect, transports[vendor.name]),
            timeouts=vendor.timeouts or self.config.timeouts,
            mailbox=mailbox,
            batch=batch_limits(planned, None if dialect.embedder is None else dialect.embedder.most),
            drains=vendor.on_disconnect == "drain",
            stalls=self._stalls,
        )

    def _child(
        self,
        name: str,
        mailbox: Mailbox[Any],
        birth: Any,
        on_crash: Callable[[float], None] | None = None,
        **more: Any,
    ) -> Child:
        async def live() -> None:
            await serve(mailbox, birth())

        def crashed(_now: float) -> None:
            mailbox.crashed()

        supervision = self.config.supervision
        return Child(
            name=name,
            live=live,
            on_crash=on_crash or crashed,
            # Whoever asks one that will not live again should learn it at once.
            on_exhausted=mailbox.suspend,
            most_restarts=supervision.most_restarts,
            period=float(supervision.period),
            quarantine=float(supervision.quarantine),
            **more,
        )

    def _vendor_child(
        self, name: str, mailbox: Mailbox[Any], state: VendorState, router: Mailbox[Any]
    ) -> Child:
        def back_to_the_router(message: Any) -> Forward | None:
            return Forward(router, message.declined(Cause.GONE)) if isinstance(message, Reserve) else None

        def quarantined(until: float | None) -> None:
            if until is None:
                mailbox.resume()
            else:
                mailbox.suspend(back_to_the_router)

        def crashed(now: float) -> None:
            for finding in state.audit(now, mailbox.crashed()):
                log.warning("audit after a crash", vendor=name, finding=finding)

        return self._child(
            f"vendor {name}",
            mailbox,
            lambda: VendorActor(state, router, rng=self._rng, mailbox=mailbox),
            on_crash=crashed,
            exhausted="quarantine",
            on_quarantine=quarantined,
        )

    # --- use --------------------------------------------------------------------------------

    def _running(self) -> House:
        if self._house is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._house

    def _keeper(self) -> Supervisor:
        if self._house is None or self._supervisor is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._supervisor

    async def send(self, request: Request, *, request_id: str | None = None) -> Reply:
        """The whole answer. Raises `errors.DispatchError`; the caller's cancellation reaches the vendor."""
        return await answer(self._running(), request, request_id or self.new_request_id())

    async def embed(self, wanted: Embed, *, request_id: str | None = None) -> EmbeddingsReply:
        """The vectors of texts, in as many calls as the vendor's limits ask for. Raises `errors.DispatchError`."""
        return await embed(self._running(), self.routing, wanted, request_id or self.new_request_id())

    def stream(self, request: Request, *, request_id: str | None = None) -> EventStream:
        """The answer event by event: ``async with dispatcher.stream(request) as events: async for ...``."""
        return EventStream(self._running(), request, request_id or self.new_request_id())

    def passing(self, passage: Passage, *, request_id: str | None = None) -> Passing:
        """The vendor's own answer to a request of its own interface: ``async with dispatcher.passing(passage) as answer: ...``."""
        house = self._running()
        interface = self._interfaces[passage.vendor]
        return Passing(house, interface.recognised(passage), request_id or self.new_request_id())

    def passed_on(self) -> Mapping[str, Interface]:
        """The interfaces that are passed on (`passthrough`), by the first segments of their paths."""
        vendors = self.serving.vendors
        return {
            vendor.passed_below: self._interfaces[vendor.name]
            for vendor in vendors
            if vendor.passed_below is not None and vendor.name in self._interfaces
        }

    def new_request_id(self) -> str:
        """A name for a request that nobody named."""
        return f"req_{self._rng.getrandbits(96):024x}"

    # --- telling ----------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """What has happened since the start, up to the outcomes that the statistics' actor has taken in yet."""
        return self.ledger.statistics()

    @property
    def vaults(self) -> Mapping[str, VendorState]:
        """The vendors' vaults, by name: to be looked at."""
        return self._states

    def tell(self, vendor: str, message: Tell) -> bool:
        """Tell a vendor's actor something; False if it does not live, and may not for a while."""
        mailbox = self._mailboxes.get(f"vendor {vendor}")
        return mailbox is not None and mailbox.tell(message) and not mailbox.closed

    def actors(self) -> dict[str, ChildStatistics]:
        """The actors: alive, restarting or in quarantine, and how often they crashed."""
        return {} if self._supervisor is None else self._supervisor.statistics()

    async def standing(self) -> dict[str, VendorSnapshot]:
        """How every vendor's deployments stand. A vendor whose actor is not alive is left out."""
        actors, found = self._keeper().statistics(), dict[str, VendorSnapshot]()
        for vendor in self.serving.vendors:
            name = f"vendor {vendor.name}"
            # One that is about to live again would be waited for.
            if actors[name].state == "alive":
                with suppress(ActorCrashed, MailboxClosed):
                    found[vendor.name] = await self._mailboxes[name].ask(VendorReport())
        return found

    async def order(self, target: str, order: str) -> VendorSnapshot:
        """Carry out an operator's word about a vendor, or a deployment (`vendor/model`); returns how the vendor stands then.

        `isolate`: no traffic; `force_closed`: traffic whatever happens; `automatic`: as the circuit decides; `lift`: end
        cooldowns and quarantines, that of the vendor's own actor included. Raises `orders.OrderRefused`.
        """
        supervisor = self._keeper()
        vendors = {name: tuple(state.deployments) for name, state in self._states.items()}
        mailboxes = {name: self._mailboxes[f"vendor {name}"] for name in vendors}
        snapshot = await carry_out(target, order, vendors=vendors, mailboxes=mailboxes, supervisor=supervisor)
        log.warning("order", target=target, order=order)
        return snapshot

    def waiting(self) -> dict[str, FairQueueStatistics]:
        """The lines of requests that no deployment can take yet, by the deployments that they wait for."""
        return self._router_state.waiting.statistics(trio.current_time())

    def network(self) -> NetworkStanding:
        """Whether this machine's own network is thought down."""
        return network(self._router_state.network, trio.current_time())

    def budgets(self) -> Budgets:
        """What is left of the budgets for retries and hedges."""
        house = self._running()
        return budgets(house.budget, house.hedges, trio.current_time())

    def transitions(self) -> dict[str, dict[str, int]]:
        """How often each circuit has gone from which state to which, and why, since the start; up to a second old."""
        return self._chronicle.transitions()

    async def wait_failing(self) -> RestartsExhausted:
        """Wait until the house cannot go on, because an actor that it cannot do without crashed too often; returns why."""
        return await self._keeper().wait_failing()

    def ready(self) -> bool:
        """Whether requests can be served: the house is running and can go on, and some vendor's actor is alive."""
        if self._house is None or self._supervisor is None or self._supervisor.failure is not None:
            return False
        return any(
            child.state == "alive" for name, child in self.actors().items() if name.startswith("vendor ")
        )
