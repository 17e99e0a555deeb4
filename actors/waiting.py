"""The waiting room: requests that no deployment can take yet, in fair order, until one can.

There is one line for each set of deployments that can serve the same requests. In a line tenants take turns
(`machines.fair_queue`); whoever is called is routed anew, and comes back to the head of the line if it was called too
early. One is called at a time: when it has got its lease the vendor says so (`messages.Room`), and the next is called.
Should that word be lost (the one who was called had left), a line goes on by itself after `_ANSWER` seconds.

Nobody waits in vain: how long the line is, in seconds of the limit that it waits for, is known when a request joins
it, so that one that could not be served before its deadline is told at once when to come again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from .machines.fair_queue import Entry, FairQueue, FairQueueSettings, FairQueueStatistics
from .messages import Cause, Refused, Route

__all__ = ["CURABLE", "Line", "Turn", "Waiter", "WaitingRoom"]

_ANSWER: Final = 0.05
"""Seconds after which the next is called although nothing was heard of the last."""
_PROMPT: Final = 1e-3
"""Seconds after which the next is called when the last one's call was in vain."""
_LOOK: Final = 0.25
"""Seconds after which a line that waits for a slot looks again, even if no vendor has told of one."""
CURABLE: Final = frozenset({Cause.LIMITED, Cause.COOLING, Cause.FULL})
"""Refusals that waiting cures."""


class Waiter(Struct):
    """One who waits: not worth calling before `not_before`."""

    ticket: int
    route: Route
    not_before: float


class Turn(Struct, frozen=True):
    """Whose turn it is, and in which line."""

    key: tuple[str, ...]
    entry: Entry[Waiter]


class Line:
    """One line: those who wait, when to call the next, and how fast it moves (cost per second, 0 unknown)."""

    __slots__ = ("called", "due", "pace", "queue", "vendors")

    def __init__(
        self, key: tuple[str, ...], settings: FairQueueSettings, weights: Mapping[str, float]
    ) -> None:
        self.queue = FairQueue[Waiter](settings, weights)
        self.due = math.inf
        self.pace = 0.0
        self.called: dict[int, Entry[Waiter]] = {}
        self.vendors = frozenset([deployment.partition("/")[0] for deployment in key])


class WaitingRoom:
    """All lines. `weights` are the tenants' shares. Outlives the router's crashes."""

    def __init__(
        self, settings: FairQueueSettings | None = None, weights: Mapping[str, float] | None = None
    ) -> None:
        self._settings = settings or FairQueueSettings()
        self._weights = weights or {}
        self._lines: dict[tuple[str, ...], Line] = {}
        self._tickets = 0
        self._displaced: list[Waiter] = []

    def __len__(self) -> int:
        return sum([len(line.queue) for line in self._lines.values()])

    @property
    def due(self) -> float:
        """When the next call is due; infinity while nobody waits."""
        if self._displaced:
            return -math.inf
        return min([line.due for line in self._lines.values()], default=math.inf)

    def busy(self, key: tuple[str, ...]) -> bool:
        """Whether somebody waits for these deployments: then nobody may overtake."""
        line = self._lines.get(key)
        return line is not None and bool(len(line.queue) or line.called)

    # --- joining ----------------------------------------------------------------------------

    def estimate(
        self, key: tuple[str, ...], route: Route, refused: Sequence[Refused], now: float
    ) -> float | None:
        """When `route` could start if it joined the line now; None if waiting is no help.

        `refused` are the refusals just met; with none of them (it may not overtake) the line's own pace counts.
        """
        curable = _curable(refused)
        if refused and not curable:
            return None
        line = self._lines.get(key)
        pace = _pace(route, curable) or (0.0 if line is None else line.pace)
        start = max(min([each.until for each in curable], default=now), now)
        if line is None or pace <= 0:
            return start
        line.pace = pace
        return start + line.queue.ahead(route.tenant, _cost(route), now) / pace

    def join(self, key: tuple[str, ...], route: Route, not_before: float, now: float) -> int | None:
        """Wait in line from now on; returns the ticket, None if the line is full.

        In a full line room is made at the expense of whoever has the most waiting; see `departed`.
        """
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key, self._settings, self._weights)
        self._tickets += 1
        waiter = Waiter(self._tickets, route, not_before)
        while not self._push(line, waiter, now):
            displaced = line.queue.displace(route.tenant, _cost(route), now)
            if displaced is None:
                return None
            self._displaced.append(displaced.item)
        line.due = min(line.due, max(not_before, now + _ANSWER))
        return waiter.ticket

    @staticmethod
    def _push(line: Line, waiter: Waiter, now: float) -> bool:
        route = waiter.route
        return line.queue.push(
            waiter, tenant=route.tenant, cost=_cost(route), size=route.size, deadline=route.deadline,
            now=now, key=waiter.ticket,
        )  # fmt: skip

    def departed(self, now: float) -> list[tuple[int, Cause]]:
        """The tickets of those that have left the lines without a call since the last time, and why: at their deadline,
        or to make room for others."""
        left = [(waiter.ticket, Cause.CROWDED) for waiter in self._displaced]
        self._displaced.clear()
        for line in self._lines.values():
            left += [(entry.item.ticket, Cause.LATE) for entry in line.queue.expired(now)]
        return left

    def leave(self, ticket: int) -> None:
        """Its asker has gone: whoever is behind moves up."""
        for line in self._lines.values():
            if line.called.pop(ticket, None) is not None or line.queue.remove(ticket) is not None:
                return

    # --- calling ----------------------------------------------------------------------------

    def turns(self, now: float, waits: Callable[[int], bool]) -> Iterator[Turn]:
        """Those whose turn has come, one of each line at most. Afterwards no line is due before it has had an answer.

        `waits` says whether a ticket's asker is still there.
        """
        for key, line in list(self._lines.items()):
            if line.due > now:
                continue
            line.called.clear()
            entry = self._next(line, now, waits)
            if entry is not None:
                line.due = now + _ANSWER
                line.called[entry.item.ticket] = entry
                yield Turn(key, entry)
                continue
            head = line.queue.peek(now)
            if head is None:
                del self._lines[key]
            else:
                line.due = max(head.item.not_before, now + _ANSWER)

    @staticmethod
    def _next(line: Line, now: float, waits: Callable[[int], bool]) -> Entry[Waiter] | None:
        while True:
            entry = line.queue.pop(now, lambda waiter: waiter.not_before > now)
            if entry is None or waits(entry.item.ticket):
                return entry

    def returned(self, key: tuple[str, ...], ticket: int, refused: Sequence[Refused], now: float) -> bool:
        """One who was called met these refusals: back to the head of the line. False if waiting is no help (any more),
        or if so much time has passed that the line went on without it."""
        line = self._lines.get(key)
        entry = None if line is None else line.called.pop(ticket, None)
        if line is None or entry is None:
            return False
        curable = _curable(refused)
        if not curable:
            line.due = now + _PROMPT
            return False
        soonest = min([each.until for each in curable])
        entry.item.not_before = soonest
        line.pace = _pace(entry.item.route, curable) or line.pace
        line.queue.put_back(entry, now)
        # What waits for a slot cannot know when there will be one; the vendor tells, and this is in case it does not.
        line.due = soonest if soonest > now else now + _LOOK
        return True

    def room(self, vendor: str, now: float) -> None:
        """A vendor may have become able to take one more."""
        for line in self._lines.values():
            if vendor in line.vendors:
                line.due = min(line.due, now)

    def statistics(self, now: float) -> dict[str, FairQueueStatistics]:
        """Each line, by the deployments that it waits for."""
        return {", ".join(key): line.queue.statistics(now) for key, line in self._lines.items()}


def _curable(refused: Sequence[Refused]) -> list[Refused]:
    return [each for each in refused if each.cause in CURABLE and each.until < math.inf]


def _cost(route: Route) -> float:
    return float(max(1, route.input_tokens + route.output_tokens))


def _pace(route: Route, refused: Sequence[Refused]) -> float:
    """Cost per second at which these deployments together take such requests; 0 if they did not say."""
    return sum([_cost(route) / each.pace for each in refused if each.pace > 0])
