"""The router: from what a caller named to the deployments to try, in which order.

It keeps a routing table (an immutable snapshot, replaced whole), what the statistics and the vendors tell of the
deployments, and the waiting room. It leases nothing itself: it forwards each request to the first vendor of its plan,
and what that vendor declines comes back for the next candidate. When all have declined

- a request that a limit or a cooldown keeps back waits in line (`waiting`), unless its turn would come too late;
- else they are asked again in panic, those that hold back traffic while they fail first and then the open circuits: a
  caller with time left is better served late than refused, and a vendor that is thought dead may have risen;
- only then is the answer `NoLease`.

When this machine's own network is down (`machines.network`), requests are refused at once but for one
now and then that finds out whether it is up again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, assert_never

from .machines.network import LocalNetwork
from .mailbox import Departed, Forward, Mailbox, Park
from .messages import (
    Cause,
    Contact,
    Declined,
    Load,
    Loads,
    Network,
    NoLease,
    Rankings,
    Refused,
    Reserve,
    Room,
    Route,
    size_class,
)
from .policies import Candidate, Memo, Ordering, Policy, View
from .policies.patience import SHORTEST, late, patience
from .routing import RoutingTable, Selection
from .waiting import CURABLE, WaitingRoom

__all__ = ["Router", "RouterState"]

_AGAIN: Final = 1.0
"""Seconds after which one may come again, at the soonest, for whom the waiting room had no place."""


class RouterState:
    """The vault: what outlives a crash of the router. Owned by whoever supervises it.

    `vendors` is how many there are: the fewer, the fewer must be out of reach for it to be our own network's fault.
    """

    def __init__(
        self, vendors: int, policies: Mapping[str, Policy], waiting: WaitingRoom | None = None
    ) -> None:
        self.rankings = Rankings({})
        self.ordering = Ordering(policies)
        self.loads: dict[str, Load] = {}
        self.reduced: set[str] = set()
        """The deployments whose load has a weight below 1, which nearly never are any."""
        self.memo = Memo()
        self.network = LocalNetwork(vendors)
        self.waiting = WaitingRoom() if waiting is None else waiting
        self.turn = 0


class Router:
    """One life of the router, over a state that outlives it. See the module's docstring.

    `mailbox` is its own, where those who wait are parked; `vendors` are the vendors', by name.
    """

    def __init__(
        self,
        table: RoutingTable,
        state: RouterState,
        mailbox: Mailbox[Any],
        vendors: Mapping[str, Mailbox[Any]],
        *,
        rng: random.Random,
    ) -> None:
        self._table = table
        self._state = state
        self._mailbox = mailbox
        self._vendors = vendors
        self._rng = rng
        selections = (*table.names.values(), *table.modes.values())
        self._candidates = {
            each.deployment: each for selection in selections for each in selection.candidates
        }

    def handle(
        self, message: Route | Declined | Rankings | Loads | Room | Contact | Departed, now: float
    ) -> Forward | NoLease | Park | None:
        """One message; see `mailbox.Actor`."""
        match message:
            case Route():
                return self._route(message, now)
            case Declined():
                self._left(message.plan[message.position - 1])
                return self._next(message, now)
            case Loads():
                self._loaded(message)
            case Rankings():
                self._state.rankings = message
                self._state.memo = Memo()
            case Room():
                self._state.waiting.room(message.vendor, now)
            case Contact():
                self._contact(message, now)
            case Departed():
                self._state.waiting.leave(message.ticket)
            case _:
                assert_never(message)
        return None

    # --- routing ----------------------------------------------------------------------------

    def _route(self, route: Route, now: float, queued: int = 0) -> Forward | NoLease | Park:
        selection = self._table.select(route)
        if selection is None:
            return NoLease((), math.inf, known=False)
        network = self._state.network
        if network.down and not network.admit(now):
            return NoLease((Refused("", Cause.NETWORK, network.retry_at),), network.retry_at)
        if not queued and len(self._state.waiting) and not route.tried and route.hedge is None:
            key = _line_of(selection)
            if self._state.waiting.busy(key):
                return self._wait(key, route, (), now)
        return self._next(self._plan(selection, route, now, queued), now)

    def _plan(self, selection: Selection, route: Route, now: float, queued: int) -> Declined:
        """Who is asked, in which order, as a request that nobody has declined yet."""
        view = self._view(route, now)
        suited, refused = _suited(selection, view)
        plan = [candidate.deployment for candidate in self._order(suited, selection, view)]
        if route.again is not None:
            # The one that failed is asked again only when nobody else can help.
            plan.append(route.again)
        return Declined(route, tuple(plan), 0, tuple(refused), queued=queued)

    def _view(self, route: Route, now: float) -> View:
        state = self._state
        return View(
            route, state.rankings.deployments, state.loads, state.turn, self._rng, now, state.reduced, state.memo
        )  # fmt: skip

    def _order(
        self, candidates: Sequence[Candidate], selection: Selection, view: View
    ) -> Sequence[Candidate]:
        if len(candidates) < 2:
            return candidates
        self._state.turn += 1
        ordered = self._state.ordering(selection.policy, candidates, view)
        least = selection.minimum_quality
        if least > 0:
            # A stable sort: within either group the policy's order stands.
            ordered = sorted(ordered, key=lambda candidate: candidate.quality < least)
        return ordered

    def _next(self, way: Declined, now: float) -> Forward | NoLease | Park:
        """Forward to the next candidate of the plan; see `_exhausted` for when there is none."""
        route, plan, position, refused = way.route, way.plan, way.position, way.refused
        while position < len(plan):
            reserve = Reserve(
                route, plan, position, refused, self._patience(way, position, now), way.desperate, way.queued,
                self._hedge_after(plan[position], way),
            )  # fmt: skip
            vendor = self._vendors.get(reserve.deployment.partition("/")[0])
            if vendor is not None and vendor.takes(reserve):
                self._joined(reserve.deployment)
                return Forward(vendor, reserve)
            refused = (*refused, Refused(plan[position], Cause.GONE, math.inf))
            position += 1
        return self._exhausted(way, refused, now)

    def _exhausted(self, way: Declined, refused: tuple[Refused, ...], now: float) -> Forward | NoLease | Park:
        """Everybody has declined: wait, or ask the least bad in panic, or give up."""
        route, waiting = way.route, self._state.waiting
        if way.desperate or route.hedge is not None:
            return _no_lease(refused)
        selection = self._table.select(route)
        key = () if selection is None else _line_of(selection)
        if way.queued and waiting.returned(key, way.queued, refused, now):
            return Park(way.queued)
        waited: Park | NoLease = _no_lease(refused)
        if any(each.cause in CURABLE for each in refused):
            waited = self._wait(key, route, refused, now)
            if isinstance(waited, Park):
                return waited
        plan = self._least_bad(route, refused)
        if not plan:
            return waited
        others = tuple([each for each in refused if each.deployment not in plan])
        return self._next(Declined(route, plan, 0, others, desperate=True), now)

    def _least_bad(self, route: Route, refused: tuple[Refused, ...]) -> tuple[str, ...]:
        """Whom to ask in panic, in this order. Where the last attempt failed is where the next one has to pause."""

        def badness(each: Refused) -> tuple[bool, bool, float, float]:
            opened = each.cause is Cause.OPEN
            return each.deployment == route.again, opened, each.until, self._failures(each.deployment)

        sick = [each for each in refused if each.cause in (Cause.OPEN, Cause.THROTTLED)]
        return tuple([each.deployment for each in sorted(sick, key=badness)])

    def _wait(
        self, key: tuple[str, ...], route: Route, refused: tuple[Refused, ...], now: float
    ) -> Park | NoLease:
        """Join the line, if there is room and the turn would come in time."""
        waiting = self._state.waiting
        start = waiting.estimate(key, route, refused, now)
        if start is None:
            return _no_lease(refused)
        if start + self._usual(key, route) <= route.deadline:
            not_before = max(now, min([each.until for each in refused], default=now))
            ticket = waiting.join(key, route, not_before, now)
            if ticket is not None:
                return Park(ticket)
            start = max(start, now + _AGAIN)
            refused = (*refused, Refused("", Cause.CROWDED, start))
        elif not refused:
            refused = (Refused("", Cause.LIMITED, start),)
        others = [each.until for each in refused if each.cause not in CURABLE]
        return NoLease(refused, min([start, *others]))

    # --- waking those who wait --------------------------------------------------------------

    @property
    def wake_at(self) -> float:
        """See `mailbox.Waker`."""
        return self._state.waiting.due

    def wake(self, now: float) -> Iterable[tuple[int, object]]:
        """See `mailbox.Waker`."""
        for ticket, cause in self._state.waiting.departed(now):
            if self._mailbox.waits(ticket):
                yield ticket, NoLease((Refused("", cause, now + _AGAIN),), now + _AGAIN)
        for turn in self._state.waiting.turns(now, self._mailbox.waits):
            waiter = turn.entry.item
            result = self._route(waiter.route, now, waiter.ticket)
            if not (isinstance(result, Park) and result.ticket == waiter.ticket):
                yield waiter.ticket, result

    # --- what is known of the deployments ---------------------------------------------------

    def _loaded(self, message: Loads) -> None:
        state = self._state
        state.loads.update(message.deployments)
        for name, load in message.deployments.items():
            if load.weight < 1.0:
                state.reduced.add(name)
            else:
                state.reduced.discard(name)

    def _patience(self, way: Declined, position: int, now: float) -> float:
        """How long a wait is worth having. With nobody else to ask one waits in line, not there; but a repetition, and
        one asked in panic, has that deployment only."""
        route, plan = way.route, way.plan
        if route.hedge is not None:
            return 0.0
        left = max(0.0, route.deadline - now)
        if way.desperate or plan[position] == route.again:
            return left
        if position + 1 == len(plan):
            return min(SHORTEST, left)
        here, there = self._candidates.get(plan[position]), self._candidates.get(plan[position + 1])
        if here is None or there is None:
            return min(SHORTEST, left)
        # The first of the plan is where a prefix has its home.
        return patience(
            here, there, self._view(route, now), cached=route.prefix is not None and position == 0
        )

    def _hedge_after(self, deployment: str, way: Declined) -> float | None:
        """When a second attempt beside one at this deployment is worth its price."""
        route = way.route
        if not route.hedged or way.desperate or route.hedge is not None:
            return None
        candidate = self._candidates.get(deployment)
        if candidate is None:
            return None
        rankings = self._state.rankings
        delays = rankings.hedge_after if route.streamed else rankings.plain_hedge_after
        times = delays.get(candidate.model)
        return None if times is None else times[size_class(route.input_tokens)]

    def _usual(self, key: tuple[str, ...], route: Route) -> float:
        """The shortest usual time to the first content among these deployments; 0 if none is known."""
        size = size_class(route.input_tokens)
        known = [
            seconds
            for name in key
            if (ranking := self._state.rankings.deployments.get(name)) is not None
            and size < len(ranking.usual)
            if (seconds := ranking.usual[size]) is not None
        ]
        return min(known, default=0.0)

    def _failures(self, deployment: str) -> float:
        ranking = self._state.rankings.deployments.get(deployment)
        return 0.0 if ranking is None else ranking.failures

    def _joined(self, deployment: str) -> None:
        """Count a forwarded request as in flight there until its vendor tells the true number."""
        load = self._state.loads.get(deployment)
        if load is not None:
            self._state.loads[deployment] = Load(
                load.in_flight + 1, load.limit, load.weight, load.closed_until
            )

    def _left(self, deployment: str) -> None:
        load = self._state.loads.get(deployment)
        if load is not None and load.in_flight > 0:
            self._state.loads[deployment] = Load(
                load.in_flight - 1, load.limit, load.weight, load.closed_until
            )

    def _contact(self, contact: Contact, now: float) -> None:
        network = self._state.network
        tell = network.reached if contact.reached else network.failed
        if tell(contact.vendor, now):
            for vendor in self._vendors.values():
                vendor.tell(Network(network.down))


def _line_of(selection: Selection) -> tuple[str, ...]:
    """Requests with the same candidates wait in one line, whatever they called them."""
    return tuple(sorted([candidate.deployment for candidate in selection.candidates]))


def _of_model(candidates: Sequence[Candidate], model: str | None) -> Sequence[Candidate]:
    """Those of one model, where only that one will do."""
    return candidates if model is None else [each for each in candidates if each.model == model]


def _suited(selection: Selection, view: View) -> tuple[Sequence[Candidate], list[Refused]]:
    """Those that can serve the request, and why each of the others cannot. Those tried before are in neither."""
    route = view.route
    window = route.input_tokens if route.window is None else route.window
    needs, least = route.needs, max(window, route.larger_than + 1)
    again = bool(route.tried) or route.hedge is not None
    candidates = _of_model(selection.candidates, route.of_model)
    if not again and selection.context >= least and needs <= selection.capabilities:
        # Nearly always, and then it is the very tuple that the policies' memo knows.
        return candidates, []
    able = [each for each in candidates if each.context >= least and needs <= each.capabilities]
    suited: list[Candidate] = []
    refused: list[Refused] = []
    names = {each.deployment for each in able}
    for candidate in candidates:
        if candidate.deployment in route.tried or candidate.vendor == route.hedge:
            continue
        if candidate.deployment not in names:
            refused.append(Refused(candidate.deployment, Cause.UNSUITED, math.inf))
        elif again and late(candidate, view):
            # A first attempt may be lucky; another one that will not end in time is money for nothing.
            refused.append(Refused(candidate.deployment, Cause.LATE, math.inf))
        else:
            suited.append(candidate)
    return suited, refused


def _no_lease(refused: Sequence[Refused]) -> NoLease:
    return NoLease(tuple(refused), min([each.until for each in refused], default=math.inf))
