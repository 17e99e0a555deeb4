"""The router: from what a caller named to the deployments to try, in which order.

It keeps a routing table (an immutable snapshot, replaced whole) and the rankings that the statistics send.
It leases nothing itself: it forwards each request to the first vendor of its plan, and what that vendor
declines comes back for the next candidate. When all have declined, a second, desperate round asks the one
that says it can be had soonest, open circuits included: a caller with time left is better served late
than refused, and a vendor that is thought dead may have risen. Only then is the answer `NoLease`.
"""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Mapping
from typing import Any, assert_never

from msgspec import Struct

from .mailbox import Forward, Mailbox, MailboxClosed
from .messages import Cause, Declined, Load, Loads, NoLease, Ranking, Rankings, Refused, Reserve, Route
from .policies import Candidate, Ordering, Policy, View

__all__ = ["Router", "RoutingRule", "RoutingTable", "Selection"]

_BRIEF = 0.25
"""Seconds for which waiting at the preferred deployment is better than going to the next one."""


class Selection(Struct, frozen=True):
    """What one name stands for: its candidates, in the configured order, and the policy that orders them.

    Candidates below `minimum_quality` come after all others.
    """

    candidates: tuple[Candidate, ...]
    policy: str
    minimum_quality: float = 0.0


class RoutingRule(Struct, frozen=True, kw_only=True):
    """Sends the requests that match every condition given elsewhere; see `[[rules]]` in the configuration."""

    users: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    min_input_tokens: int = 0
    route: str | None = None
    policy: str | None = None

    def matches(self, route: Route) -> bool:
        """Whether every condition holds for `route`."""
        return (
            (not self.users or route.user in self.users)
            and (not self.models or any(fnmatch.fnmatchcase(route.model, glob) for glob in self.models))
            and (not self.kinds or bool(self.kinds & (route.kinds or {"chat"})))
            and route.input_tokens >= self.min_input_tokens
        )


class RoutingTable(Struct, frozen=True):
    """Everything that a caller may name, and what it stands for. Replaced whole, never changed."""

    names: Mapping[str, Selection]
    """Models, `vendor/model`s and routes."""
    modes: Mapping[str, Selection]
    rules: tuple[RoutingRule, ...] = ()

    def select(self, route: Route) -> Selection | None:
        """The candidates and the policy for `route`; None if it names something unknown."""
        policy = None
        model = route.model
        for rule in self.rules:
            if rule.matches(route):
                model, policy = rule.route or model, rule.policy
                break
        selection = self.names.get(model) or self.modes.get(model)
        if selection is None:
            return None
        if route.mode is not None:
            mode = self.modes.get(route.mode)
            if mode is None:
                return None
            selection = Selection(selection.candidates, mode.policy, mode.minimum_quality)
        return selection if policy is None else Selection(selection.candidates, policy)


class Router:
    """See the module's docstring. `vendors` are the vendors' mailboxes, by name."""

    def __init__(
        self,
        table: RoutingTable,
        vendors: Mapping[str, Mailbox[Any]],
        policies: Mapping[str, Policy],
        *,
        rng: random.Random,
    ) -> None:
        self._table = table
        self._vendors = vendors
        self._ordering = Ordering(policies)
        self._rng = rng
        self._rankings: dict[str, Ranking] = {}
        self._loads: dict[str, Load] = {}
        self._turn = 0

    def handle(self, message: Route | Declined | Rankings | Loads, now: float) -> Forward | NoLease | None:
        """One message; see `mailbox.Actor`."""
        match message:
            case Route():
                return self._route(message, now)
            case Declined():
                return self._next(message, now)
            case Rankings():
                self._rankings = message.deployments
                return None
            case Loads():
                self._loads.update(message.deployments)
                return None
            case _:
                assert_never(message)

    def _route(self, route: Route, now: float) -> Forward | NoLease:
        selection = self._table.select(route)
        if selection is None:
            return NoLease((), math.inf, known=False)
        suited: list[Candidate] = []
        refused: list[Refused] = []
        for candidate in selection.candidates:
            if candidate.deployment in route.tried:
                continue
            if self._suits(candidate, route):
                suited.append(candidate)
            else:
                refused.append(Refused(candidate.deployment, Cause.UNSUITED, math.inf))
        plan = tuple([candidate.deployment for candidate in self._order(suited, selection, route, now)])
        if route.again is not None:
            # The one that failed is asked again only when nobody else can help.
            plan = (*plan, route.again)
        return self._next(Declined(route, plan, 0, tuple(refused)), now)

    @staticmethod
    def _suits(candidate: Candidate, route: Route) -> bool:
        if not route.needs <= candidate.capabilities:
            return False
        return candidate.context > route.larger_than and candidate.context >= route.input_tokens

    def _order(
        self, candidates: list[Candidate], selection: Selection, route: Route, now: float
    ) -> list[Candidate]:
        if len(candidates) < 2:
            return candidates
        self._turn += 1
        view = View(route, self._rankings, self._loads, self._turn, self._rng, now)
        ordered = self._ordering(selection.policy, candidates, view)
        least = selection.minimum_quality
        if least > 0:
            # A stable sort: within either group the policy's order stands.
            ordered = sorted(ordered, key=lambda candidate: candidate.quality < least)
        return ordered

    def _next(self, declined: Declined, now: float) -> Forward | NoLease:
        """Forward to the next candidate of the plan, or to the soonest one, or give up."""
        route, plan, position = declined.route, declined.plan, declined.position
        refused = declined.refused
        while position < len(plan):
            patience = self._patience(declined, now)
            reserve = Reserve(route, plan, position, refused, patience, declined.desperate)
            try:
                return self._forward(reserve)
            except (MailboxClosed, KeyError):
                refused = (*refused, Refused(plan[position], Cause.GONE, math.inf))
                position += 1
        if not declined.desperate:
            soonest = self._soonest(refused, route.deadline)
            if soonest is not None:
                return self._next(Declined(route, (soonest,), 0, refused, desperate=True), now)
        return NoLease(refused, min([each.until for each in refused], default=math.inf))

    def _forward(self, reserve: Reserve) -> Forward:
        vendor = self._vendors[reserve.plan[reserve.position].partition("/")[0]]
        if vendor.closed:
            raise MailboxClosed(vendor.name)
        return Forward(vendor, reserve)

    @staticmethod
    def _patience(declined: Declined, now: float) -> float:
        """How long a wait is worth having: all the time there is where nobody else is left to ask."""
        left = max(0.0, declined.route.deadline - now)
        return left if declined.desperate or len(declined.plan) == 1 else min(_BRIEF, left)

    @staticmethod
    def _soonest(refused: tuple[Refused, ...], deadline: float) -> str | None:
        """Who can be had soonest before the deadline; an open circuit may be tried at once, but comes last."""
        hopeful = [
            each for each in refused if each.cause in (Cause.LIMITED, Cause.COOLING) and each.until < deadline
        ] or [each for each in refused if each.cause is Cause.OPEN]
        return min(hopeful, key=lambda each: each.until).deployment if hopeful else None
