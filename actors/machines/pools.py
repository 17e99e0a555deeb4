"""A limit that several holders share, as whoever keeps it for them sees it.

Theory. The limit itself is one token bucket (`bucket`), and the only one. A holder spends from a *slice* that it has been lent,
without asking, and says later what it spent; the bucket is charged then. What is out and unspent must therefore still be in the bucket:

    free = available - lent and not reported spent            and never is more lent than is free

So lending changes nothing in the bucket. It refills up to `burst`, what is lent included, and in every window all holders
together spend at most what was available at its beginning and what the rate has added since: the very promise of
one bucket, `burst + rate * window`. Charging late is to the safe side, since a bucket that was not charged yet is full
the sooner, and a full one gains nothing.

A holder that has died, or has not been heard of for the term of its slices, may have spent all of them: they are charged as
spent. Nothing of a slice is ever lent twice, and what was charged in vain comes back by time, as everything does.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque

from .claims import Entry, Heard, Terms
from .headroom import Amount, LearnedLimit

__all__ = ["LimitPool", "Pool", "SlotPool", "pool"]

_MARKS = 128
"""Reports of each holder of which is known where the bucket stood; between older ones every second is forgotten."""
_LOOK = 0.05
"""Seconds after which it is worth looking whether a place has come back."""
_SAMPLES = 256
_SAMPLE_EVERY = 0.25


class _Marks:
    """Where the bucket stood after each report of one holder that spent something."""

    __slots__ = ("_marks", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._marks: list[int] = []

    def add(self, number: int, mark: int) -> None:
        self._numbers.append(number)
        self._marks.append(mark)
        if len(self._numbers) > _MARKS:
            del self._numbers[1 : _MARKS // 2 : 2]
            del self._marks[1 : _MARKS // 2 : 2]

    def of(self, number: int) -> int:
        """The mark of that report or of the last before it, which makes refunds smaller and never larger."""
        position = bisect_right(self._numbers, number)
        return self._marks[position - 1] if position else 0


class LimitPool:
    """A limit by time. See the module's docstring."""

    def __init__(self, terms: Terms) -> None:
        amount = Amount(terms.most, terms.period, terms.burst, terms.least)
        self.limit = LearnedLimit(amount, configured=terms.configured, share=terms.share, steady=terms.steady)
        self.lent: dict[int, float] = {}
        self._marks: dict[int, _Marks] = {}
        self._assumed: dict[int, float] = {}
        # How much had been spent when: for answers whose header is older than the last report.
        self._samples = deque([(-math.inf, 0.0)], maxlen=_SAMPLES)

    @property
    def size(self) -> float:
        """The most that may ever be lent at once."""
        return self.limit.bucket.burst

    @property
    def terms_now(self) -> tuple[float, float, float]:
        """Rate, burst, and until when it is closed."""
        bucket = self.limit.bucket
        return bucket.rate, bucket.burst, bucket.closed_until

    @property
    def reserve(self) -> float:
        """What is kept for claims, and lent to nobody who only would like to have it."""
        return self.limit.bucket.burst / 2

    @property
    def out(self) -> float:
        """What is lent and not reported spent."""
        return sum(self.lent.values())

    def free(self, now: float) -> float:
        """What may be lent at `now`; at most 0 while closed or in debt."""
        available = self.limit.bucket.available(now)
        return min(available, 0.0) if available <= 0 else available - self.out

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be lent if nothing comes back: 0 now, infinite never."""
        bucket = self.limit.bucket
        if amount > bucket.burst:
            return math.inf
        missing = amount + self.out - (bucket.burst - max(bucket.tat - now, 0.0) * bucket.rate)
        return max(missing / bucket.rate, bucket.closed_until - now, 0.0)

    def lend(self, holder: int, amount: float) -> None:
        """`amount`, no more than is free, goes to `holder`."""
        self.lent[holder] = self.lent.get(holder, 0.0) + amount

    def take_in(self, holder: int, entry: Entry, number: int, now: float, *, current: bool) -> None:
        """What `holder` reports. Not `current`: its slices have been charged already; the rest counts all the same."""
        bucket = self.limit.bucket
        if current:
            self._reduce(holder, entry.spent + entry.returned)
            if entry.spent > 0:
                self._spend(entry.spent, now + max(0.0, entry.delay))
        unlent = max(0.0, entry.unlent)
        known = min(unlent, self._assumed.get(holder, 0.0))
        if known > 0:
            self._assumed[holder] -= known
        if entry.charged > 0 or unlent > known:
            bucket.charge(max(0.0, entry.charged) + unlent - known, now)
            bucket.taken += unlent - known
        if current and entry.spent > 0:
            self._marks.setdefault(holder, _Marks()).add(number, bucket.mark)
        for spent_in, amount in entry.refunds:
            mark = self._marks[holder].of(spent_in) if holder in self._marks else 0
            bucket.refund(max(0.0, amount), now, mark)
        if entry.heard is not None:
            self._learn(entry.heard, now)
        if now - self._samples[-1][0] >= _SAMPLE_EVERY:
            self._samples.append((now, bucket.taken))

    def lapse(self, holder: int, now: float) -> None:
        """`holder` has died, or was not heard of: its slice counts as spent."""
        amount = self.lent.pop(holder, 0.0)
        if amount > 0:
            self._spend(amount, now)

    def forget(self, holder: int) -> None:
        """It has died: what it spent will never be refunded."""
        self._marks.pop(holder, None)
        self._assumed.pop(holder, None)

    def assume(self, holder: int, seconds: float, holders: int, now: float) -> None:
        """For so long `holder` may have spent its own share of the rate, of which it has not told yet."""
        amount = self.limit.bucket.rate / holders * seconds
        self._assumed[holder] = self._assumed.get(holder, 0.0) + amount
        # By and by, and not just now: meanwhile the limit was refilled as well.
        self.limit.bucket.charge(amount, now - seconds)

    def heard_from(self, holder: int) -> None:
        """All that it has spent of its own share meanwhile has been told."""
        self._assumed.pop(holder, None)

    def _spend(self, amount: float, start: float) -> None:
        self.limit.bucket.commit(amount, start)

    def _reduce(self, holder: int, amount: float) -> None:
        left = self.lent.get(holder, 0.0) - amount
        if left > 1e-9:
            self.lent[holder] = left
        else:
            self.lent.pop(holder, None)

    def _learn(self, heard: Heard, now: float) -> None:
        since = now - max(0.0, heard.age)
        before = [taken for at, taken in self._samples if at <= since]
        # An answer that is older than what is remembered says nothing of what is left now.
        remaining = heard.remaining if before else None
        taken = self.limit.bucket.taken
        self.limit.learn(
            heard.limit,
            remaining,
            heard.reset,
            now,
            elapsed=now - since,
            reserved=taken - before[-1] if before else 0.0,
            trouble_at=now - heard.trouble,
        )


class SlotPool:
    """Places, of which each is out or free. A place comes back when its holder says so, or when it is dead: not before, since
    what it was taken for may go on as long as the holder lives."""

    reserve = 0.0

    def __init__(self, terms: Terms) -> None:
        self.size = float(int(terms.most))
        self.lent: dict[int, float] = {}

    @property
    def terms_now(self) -> tuple[float, float, float]:
        """See `LimitPool`."""
        return math.inf, self.size, -math.inf

    @property
    def out(self) -> float:
        """Places that are out."""
        return sum(self.lent.values())

    def free(self, now: float) -> float:
        """Places that may be lent."""
        return self.size - self.out

    def wait(self, amount: float, now: float) -> float:
        """0 if so many are free; else nobody knows, and this is when to look again."""
        return 0.0 if amount <= self.free(now) else math.inf if amount > self.size else _LOOK

    def lend(self, holder: int, amount: float) -> None:
        """`amount` places, no more than are free, go to `holder`."""
        self.lent[holder] = self.lent.get(holder, 0.0) + amount

    def take_in(self, holder: int, entry: Entry, number: int, now: float, *, current: bool) -> None:
        """What `holder` gives back; see `LimitPool`. Places outlive an era."""
        left = self.lent.get(holder, 0.0) - max(0.0, entry.returned)
        self.lent.pop(holder, None)
        if left > 0:
            self.lent[holder] = left

    def lapse(self, holder: int, now: float) -> None:
        """`holder` was not heard of: it may still be in its places."""

    def forget(self, holder: int) -> None:
        """It has died, and with it whatever it had taken places for."""
        self.lent.pop(holder, None)

    def assume(self, holder: int, seconds: float, holders: int, now: float) -> None:
        """Nobody takes places that he was not lent."""

    def heard_from(self, holder: int) -> None:
        """See `LimitPool`."""


Pool = LimitPool | SlotPool


def pool(terms: Terms) -> Pool:
    """The pool for these terms."""
    return SlotPool(terms) if terms.slots else LimitPool(terms)
