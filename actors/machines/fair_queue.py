"""In which order requests that wait are served, when several tenants wait.

Theory. Deficit round robin (M. Shreedhar, G. Varghese, "Efficient Fair Queuing using Deficit Round Robin", SIGCOMM 1995).
Tenants take turns. A turn adds `quantum * weight` to a tenant's credit, and its requests are served while the credit covers
their cost; what is left over is kept for the next turn, and forfeited when nothing of the tenant's waits any more. So
shares are of *cost* (estimated tokens), not of requests: a tenant with few large requests and one with many small
ones get the same.

Bound. Of two tenants of equal weight that always had something waiting that could be served, what they were served differs by
at most one quantum plus one largest cost since they began to wait together, and by at most one quantum plus two over any
stretch of time. (Of unequal weight: each one's cost divided by its weight.) For nobody is served beyond its credit, a
turn carries over less than the cost of one request, and the numbers of turns differ by at most one.

Within a tenant the oldest is served first, unless it has waited for more than `lifo_after`: then the newest is. In
an overload everybody in a first-come line waits just too long and nobody is helped, while a last-come line serves some in
time ("adaptive LIFO", B. Maurer, "Fail at Scale", ACM Queue 2015). The oldest leave at their deadline.

Bypass. The request whose turn it is may not fit what can be had now: it is large, and the limit has room for a small one
only. Then the next ones are looked at, and one that fits is served. The request keeps its turn, and is passed over at most
`bypasses` times; after that nobody overtakes it any more, and the limit saves up for it.

Cost. All is O(1) amortised as long as a quantum covers a request, but for the heap of deadlines, which is O(log n);
where it does not, a turn more is O(tenants waiting), however many rounds the request has to save up for.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from .lines import Entry, Line

__all__ = ["Entry", "FairQueue", "FairQueueSettings", "FairQueueStatistics"]

T = TypeVar("T")

_CHEAPEST: Final = 1.0
"""What a request costs at least. One that cost nothing would hold its tenant's turn for ever."""


class FairQueueSettings(Struct, frozen=True):
    """`entries` and `bytes` that may wait; `quantum` of cost per turn; see the module's docstring for the others."""

    entries: int = 256
    bytes: int = 64 * 1024 * 1024
    quantum: float = 8000.0
    lifo_after: float = 1.0
    """Seconds; infinity: always the oldest first."""
    bypasses: int = 8

    def __post_init__(self) -> None:
        if self.entries < 1 or self.bytes < 1 or self.bypasses < 0:
            raise ValueError("a queue needs room for an entry, and bypasses of 0 or more")
        if not 0 < self.quantum < math.inf or not self.lifo_after >= 0:
            raise ValueError("a queue needs a finite quantum above 0, and lifo_after of 0 or more")


_DEFAULTS: Final = FairQueueSettings()


class FairQueueStatistics(Struct, frozen=True):
    """What waits now (`cost` of all together, seconds of the `oldest`), and what became of those before.

    `served` counts those taken and not put back, `bypassed` how often one was passed over.
    """

    waiting: int
    bytes: int
    cost: float
    tenants: int
    oldest: float
    served: int
    refused: int
    expired: int
    removed: int
    bypassed: int


_Passed: TypeAlias = dict[int, Entry[T]]


class FairQueue(Generic[T]):
    """Bounded; fair between tenants; see the module's docstring.

    `weights` gives a tenant's share relative to others' (1 where it names none) and may be replaced at any time.
    `now` is in seconds on a monotonic clock and must not run backwards.
    """

    def __init__(
        self, settings: FairQueueSettings = _DEFAULTS, weights: Mapping[str, float] | None = None
    ) -> None:
        self.settings = settings
        self.weights = weights or {}
        self._entries: dict[Hashable, Entry[T]] = {}
        # The tenants with something waiting, whose turn it is first.
        self._ring: OrderedDict[str, Line[T]] = OrderedDict()
        self._deadlines: list[tuple[float, int, Entry[T]]] = []
        # Those that expired and were not asked for yet. Bounded, since nobody may ever ask.
        self._late: deque[Entry[T]] = deque()
        self._late_bytes = 0
        self._bytes = 0
        self._cost = 0.0
        self._number = 0
        self._served = self._refused = self._expired = self._removed = self._bypassed = 0

    def __len__(self) -> int:
        return len(self._entries)

    def push(
        self,
        item: T,
        *,
        tenant: str,
        cost: float,
        size: int,
        deadline: float,
        now: float,
        key: Hashable = None,
    ) -> bool:
        """Let `item` wait; False when the queue is full, even without those that have expired.

        `cost` is in estimated tokens, `size` in bytes. `key` is what `remove` knows it by, `id(item)` unless
        given; one that waits already is a ValueError.
        """
        key = id(item) if key is None else key
        if key in self._entries:
            raise ValueError(f"{key!r} waits already")
        if not 0 <= cost < math.inf or size < 0 or math.isnan(deadline):
            raise ValueError(f"impossible: cost={cost}, size={size}, deadline={deadline}")
        if not self._has_room(size):
            self._sweep(now)
            if not self._has_room(size):
                self._refused += 1
                return False
        entry = Entry(item, key, tenant, max(cost, _CHEAPEST), size, deadline, now)
        self._number += 1
        entry.number = self._number
        # The newest of all: its place is at that end.
        self._admit(entry, newest_first=True)
        return True

    def displace(self, tenant: str, cost: float, now: float) -> Entry[T] | None:
        """Make room for a request of `tenant` in a full queue: the newest of whoever has the most waiting leaves.

        None, and nobody leaves, if that is `tenant` itself, or would have less waiting than `tenant` then. So nobody can
        keep others out by filling the queue (P. McKenney, "Stochastic Fairness Queueing", INFOCOM 1990).
        """
        self._sweep(now)
        weighed = {name: line.cost / self._share(name) for name, line in self._ring.items()}
        most = max(weighed, key=weighed.__getitem__, default=tenant)
        mine = weighed.get(tenant, 0.0) + max(cost, _CHEAPEST) / self._share(tenant)
        last = None if most == tenant else self._ring[most].last
        if last is None or weighed[most] - last.cost / self._share(most) < mine:
            return None
        self._removed += 1
        self._dismiss(last)
        return last

    def peek(self, now: float, skip: Callable[[T], bool] | None = None) -> Entry[T] | None:
        """What `pop` would take. Whose turn it is stays as it was: a look is no turn. O(tenants waiting)."""
        self._sweep(now)
        turns = [(tenant, line, line.credit, line.on_turn) for tenant, line in self._ring.items()]
        found, _ = self._find(now, skip)
        for tenant, line, credit, on_turn in turns:
            line.credit, line.on_turn = credit, on_turn
            self._ring.move_to_end(tenant)
        return found

    def pop(self, now: float, skip: Callable[[T], bool] | None = None) -> Entry[T] | None:
        """Take the next one, past those that `skip` says cannot be served now.

        None when nothing waits, when nothing fits, or when one that does not fit has been passed over often
        enough: `peek` without `skip` says for whom to save up.
        """
        entry, passed = self._find(now, skip)
        if entry is None:
            return None
        self._ring[entry.tenant].credit -= entry.cost
        for each in passed.values():
            each.bypassed += 1
        self._bypassed += len(passed)
        entry.overtook = tuple(passed.values())
        self._served += 1
        self._dismiss(entry)
        return entry

    def put_back(self, entry: Entry[T], now: float) -> None:
        """Undo `pop`: it could not be served after all. Its tenant is the next again, and it has its old place there.

        Never refused: the bounds may be exceeded by what was taken and put back.
        """
        if entry.waiting or entry.key in self._entries:
            raise ValueError(f"{entry.key!r} waits already")
        for each in entry.overtook:
            each.bypassed -= 1
        self._bypassed -= len(entry.overtook)
        entry.overtook = ()
        self._served -= 1
        line = self._ring.get(entry.tenant)
        self._admit(entry, newest_first=line is not None and self._newest_first(line, now))
        line = self._ring[entry.tenant]
        line.credit += entry.cost
        line.on_turn = True
        self._ring.move_to_end(entry.tenant, last=False)

    def remove(self, key: Hashable) -> Entry[T] | None:
        """One that waits leaves (its caller has gone); None if it does not wait. O(1)."""
        entry = self._entries.get(key)
        if entry is not None:
            self._removed += 1
            self._dismiss(entry)
        return entry

    def expired(self, now: float) -> list[Entry[T]]:
        """Those that left at their deadline since the last call, the earliest first.

        The queue never gives out an expired one, whether or not this is called. Until asked it keeps the latest,
        within the same bounds as those that wait.
        """
        self._sweep(now)
        late = list(self._late)
        self._late.clear()
        self._late_bytes = 0
        return late

    def next_deadline(self) -> float:
        """When the first of those waiting expires; infinity if none does."""
        heap = self._deadlines
        while heap and not heap[0][2].waiting:
            heapq.heappop(heap)[2].heaped = False
        return heap[0][0] if heap else math.inf

    def ahead(self, tenant: str, cost: float, now: float) -> float:
        """The cost that would be served before a request that `tenant` pushed now.

        Exact, so far as everything fits, nobody leaves or comes, and no line changes its direction.
        """
        self._sweep(now)
        cost = max(cost, _CHEAPEST)
        line = self._ring.get(tenant) or Line[T]()
        own = 0.0 if self._newest_first(line, now) else line.cost
        turns = max(0, math.ceil((own + cost - line.credit) / self._share(tenant)))
        # Rounds up to and including the one in which it is served. A turn under way has had its credit.
        rounds = turns + 1 if line.on_turn else max(1, turns)
        total = own
        for name, other in self._ring.items():
            if other is line:
                # Those behind it in the round have one turn fewer before it is served.
                rounds -= 1
            else:
                total += self._served_within(rounds, name, other, now)
        return total

    def statistics(self, now: float) -> FairQueueStatistics:
        firsts = [line.first.enqueued_at for line in self._ring.values() if line.first is not None]
        return FairQueueStatistics(
            waiting=len(self._entries),
            bytes=self._bytes,
            cost=self._cost,
            tenants=len(self._ring),
            oldest=now - min(firsts) if firsts else 0.0,
            served=self._served,
            refused=self._refused,
            expired=self._expired,
            removed=self._removed,
            bypassed=self._bypassed,
        )

    # --- whose turn it is -----------------------------------------------------------------------

    def _find(self, now: float, skip: Callable[[T], bool] | None) -> tuple[Entry[T] | None, _Passed[T]]:
        """The next to be served, and those that are passed over for it. Turns begin and end on the way."""
        self._sweep(now)
        passed: _Passed[T] = {}
        while True:
            ended = []
            found, insists = None, False
            for tenant, line in self._ring.items():
                if not line.on_turn:
                    line.on_turn = True
                    line.credit += self._share(tenant)
                found, insists = self._look(line, now, skip, passed)
                if found is not None or insists:
                    break
                if not line.blocked:
                    ended.append(tenant)
            for tenant in ended:
                self._ring[tenant].on_turn = False
                self._ring.move_to_end(tenant)
            if found is not None or insists or not self._save_up():
                return found, passed

    def _look(
        self, line: Line[T], now: float, skip: Callable[[T], bool] | None, passed: _Passed[T]
    ) -> tuple[Entry[T] | None, bool]:
        """One tenant's turn: who is served, and whether the queue insists on one that does not fit."""
        most = self.settings.bypasses
        line.blocked, line.short = False, 0.0
        for looked, entry in enumerate(line.in_order(newest_first=self._newest_first(line, now))):
            if looked > most:
                # Work is bounded: no further down one line than a request may be passed over.
                break
            if entry.cost > line.credit:
                line.short = entry.cost - line.credit
                break
            if entry.number not in passed:
                if skip is None or not skip(entry.item):
                    return entry, False
                if entry.bypassed >= most:
                    return None, True
                passed[entry.number] = entry
            line.blocked = True
        return None, False

    def _save_up(self) -> bool:
        """After a round in which nobody was served, credit for as many more as it takes; False if that helps nobody."""
        rounds = math.inf
        for tenant, line in self._ring.items():
            if line.short > 0:
                rounds = min(rounds, math.ceil(line.short / self._share(tenant)))
        if rounds == math.inf:
            return False
        for tenant, line in self._ring.items():
            if line.short > 0:
                # The last round takes place, and so gives its credit itself, unless the turn is under way.
                line.credit += (rounds - (not line.on_turn)) * self._share(tenant)
        return True

    def _served_within(self, rounds: int, tenant: str, line: Line[T], now: float) -> float:
        if rounds < 1:
            return 0.0
        credit = line.credit + (rounds - line.on_turn) * self._share(tenant)
        if line.cost <= credit:
            return line.cost
        served = 0.0
        for entry in line.in_order(newest_first=self._newest_first(line, now)):
            if served + entry.cost > credit:
                break
            served += entry.cost
        return served

    def _share(self, tenant: str) -> float:
        weight = self.weights.get(tenant, 1.0)
        if not 0 < weight < math.inf:
            raise ValueError(f"the weight of {tenant!r} must be a finite number above 0, got {weight}")
        return self.settings.quantum * weight

    def _newest_first(self, line: Line[T], now: float) -> bool:
        return line.first is not None and now - line.first.enqueued_at > self.settings.lifo_after

    # --- who waits ------------------------------------------------------------------------------

    def _has_room(self, size: int) -> bool:
        return len(self._entries) < self.settings.entries and self._bytes + size <= self.settings.bytes

    def _admit(self, entry: Entry[T], *, newest_first: bool) -> None:
        line = self._ring.get(entry.tenant)
        if line is None:
            line = self._ring[entry.tenant] = Line()
        line.add(entry, newest_first=newest_first)
        entry.waiting = True
        self._entries[entry.key] = entry
        self._bytes += entry.size
        self._cost += entry.cost
        if not entry.heaped and entry.deadline < math.inf:
            entry.heaped = True
            heapq.heappush(self._deadlines, (entry.deadline, entry.number, entry))

    def _dismiss(self, entry: Entry[T]) -> None:
        line = self._ring[entry.tenant]
        line.remove(entry)
        entry.waiting = False
        del self._entries[entry.key]
        self._bytes -= entry.size
        self._cost = self._cost - entry.cost if self._entries else 0.0
        if line.first is None:
            del self._ring[entry.tenant]
        if len(self._deadlines) > 2 * len(self._entries) + 16:
            self._tidy()

    def _sweep(self, now: float) -> None:
        while self.next_deadline() <= now:
            _, _, entry = heapq.heappop(self._deadlines)
            entry.heaped = False
            self._dismiss(entry)
            self._expired += 1
            self._late.append(entry)
            self._late_bytes += entry.size
        while len(self._late) > self.settings.entries or self._late_bytes > self.settings.bytes:
            self._late_bytes -= self._late.popleft().size

    def _tidy(self) -> None:
        """Drop those that have left from the heap of deadlines, which otherwise keeps them until they expire."""
        for _, _, entry in self._deadlines:
            entry.heaped = entry.waiting
        self._deadlines = [each for each in self._deadlines if each[2].waiting]
        heapq.heapify(self._deadlines)
