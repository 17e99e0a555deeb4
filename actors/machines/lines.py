"""A line of requests that wait: what a queue keeps per tenant.

Linked both ways, so that one leaves from anywhere in O(1), and kept in the order of arrival, so that one that was taken and
is put back finds its place again.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Entry", "Line"]

T = TypeVar("T")


class Entry(Generic[T]):
    """One that waits, or has been taken. Read it; only the queue writes."""

    __slots__ = (
        "bypassed",
        "cost",
        "deadline",
        "enqueued_at",
        "heaped",
        "item",
        "key",
        "newer",
        "number",
        "older",
        "overtook",
        "size",
        "tenant",
        "waiting",
    )

    def __init__(
        self, item: T, key: Hashable, tenant: str, cost: float, size: int, deadline: float, now: float
    ) -> None:
        self.item = item
        self.key = key
        self.tenant = tenant
        self.cost = cost
        self.size = size
        self.deadline = deadline
        self.enqueued_at = now
        self.bypassed = 0
        """How often others were served in its place."""
        self.waiting = False
        self.number = 0
        self.heaped = False
        self.older: Entry[T] | None = None
        self.newer: Entry[T] | None = None
        self.overtook: tuple[Entry[T], ...] = ()


class Line(Generic[T]):
    """One tenant's entries, linked from the oldest to the newest, and its credit."""

    __slots__ = ("blocked", "cost", "credit", "first", "last", "on_turn", "short")

    def __init__(self) -> None:
        self.first: Entry[T] | None = None
        self.last: Entry[T] | None = None
        self.cost = 0.0
        """Of all its entries together."""
        self.credit = 0.0
        self.on_turn = False
        self.blocked = False
        """When last looked at: the one next in turn could have been afforded, but did not fit."""
        self.short = 0.0
        """When last looked at: what the credit lacked for the next one to be looked at; 0 if it lacked nothing."""

    def add(self, entry: Entry[T], *, newest_first: bool) -> None:
        """At its place by age. Looked for from the end that is served next, where one that was put back belongs."""
        older, newer = (self.last, None) if newest_first else (None, self.first)
        if newest_first:
            while older is not None and older.number > entry.number:
                older, newer = older.older, older
        else:
            while newer is not None and newer.number < entry.number:
                older, newer = newer, newer.newer
        self._link(older, entry)
        self._link(entry, newer)
        self.cost += entry.cost

    def remove(self, entry: Entry[T]) -> None:
        self._link(entry.older, entry.newer)
        entry.older = entry.newer = None
        self.cost -= entry.cost

    def _link(self, older: Entry[T] | None, newer: Entry[T] | None) -> None:
        if older is None:
            self.first = newer
        else:
            older.newer = newer
        if newer is None:
            self.last = older
        else:
            newer.older = older

    def in_order(self, *, newest_first: bool) -> Iterator[Entry[T]]:
        """As they are to be served."""
        entry = self.last if newest_first else self.first
        while entry is not None:
            yield entry
            entry = entry.older if newest_first else entry.newer
