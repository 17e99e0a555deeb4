"""A token bucket that answers with start times: the generic cell rate algorithm.

Theory. GCRA (ITU-T I.371, annex A) keeps no token count. Its state is one float, the theoretical arrival time `tat`:
the moment at which the bucket will be full again. With `T = 1/rate` seconds per unit and `tau = burst * T`, work of
cost c may start at

    start = max(now, max(tat, now) + c*T - tau)        and then        tat = max(tat, start) + c*T

which is exactly a continuous token bucket of `burst` tokens refilled at `rate`. The wait is known at once, so nobody
polls; giving back and charging later are `tat -/+ c*T`; and one number survives a crash. Unlike counters over aligned
windows it never lets twice the limit through at a window's edge.

Promise. For every window, the cost started in it is at most `burst + rate * window`, in whatever order callers
reserved. Proof: each reservation moves `tat` up by at least its own `c*T`, starts from `tat >= start`, and leaves
`tat <= start + tau`; so all reservations starting within [a, b] fit between `a` and `b + tau`.

Reserving at a *later* start than this bucket alone would need (because another dimension is the bottleneck) must
therefore count from that start, not from now: otherwise the bucket refills behind the back of a sleeping caller and
two full bursts meet. `reserve_all` does so.

Two callers are never swapped by rounding: start times are computed as absolute values by operations that rise
monotonically with `tat`, never as `now + wait`.

Giving back late is subtle. A reservation of c made when the bucket was busy is c*T in `tat` only as long as the bucket
stays busy; once it has been full, time has already paid that cost back, and returning it again would let more through
than the limit. Comparing the run with and without the reservation gives `delta = min(delta, level)` at each
later event, where level is how far `tat` was ahead of that event's start. So what may be given back is the lowest level since, at most
c*T, and the bucket remembers suffix minima of its levels to know it: the holder of a reservation keeps the bucket's
`mark` from when it was made and shows it at the refund.

A vendor that says "nothing before `when`" closes the bucket. That is a second number, since refunds of work reserved
earlier may shrink the debt but must not reopen the bucket.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Bucket(Protocol):
    """What a gauge and `reserve_all` ask of a bucket: a `TokenBucket`, or a slice of one that is kept elsewhere (`slices`)."""

    rate: float
    burst: float
    taken: float

    @property
    def mark(self) -> int: ...

    def start(self, cost: float, now: float) -> float: ...

    def commit(self, cost: float, start: float) -> None: ...

    def refund(self, cost: float, now: float, mark: int | None = None) -> None: ...

    def charge(self, cost: float, now: float) -> None: ...

    def statistics(self, now: float) -> "BucketStatistics": ...


class BucketStatistics(Struct, frozen=True):
    """A bucket at one instant. `available` below zero is debt; `full_at` and `closed_until` are times."""

    rate: float
    burst: float
    available: float
    full_at: float
    closed_until: float


class Reserved(Struct, frozen=True):
    """Every dimension was taken; the work may start at `start_at`, a time not before `now`.

    `marks` has one entry per dimension, to be shown when part of it is refunded.
    """

    start_at: float
    marks: tuple[int, ...]


class TooLong(Struct, frozen=True):
    """Nothing was taken. `wait` is the seconds that would have been needed (infinite: it can never pass).

    `limiting` is the position, in the sequence given, of the bucket that asks for the longest wait.
    """

    wait: float
    limiting: int


class _Levels:
    """The lowest level since each event, as the rising sequence of suffix minima over numbered events.

    At most `KEPT` minima are held; the two oldest are then merged to the lower, which only makes refunds smaller.
    """

    KEPT = 32
    __slots__ = ("_lows", "_marks", "mark")

    def __init__(self) -> None:
        self.mark = 0
        self._marks: list[int] = []
        self._lows: list[float] = []

    def note(self, level: float) -> None:
        """An event found the bucket `level` seconds from full; what is below zero was full."""
        marks, lows = self._marks, self._lows
        level = max(level, 0.0)
        while lows and lows[-1] >= level:
            lows.pop()
            marks.pop()
        self.mark += 1
        marks.append(self.mark)
        lows.append(level)
        if len(lows) > self.KEPT:
            del marks[0], lows[1]

    def since(self, mark: int) -> float:
        """The lowest level among the events after `mark`; infinite if there were none."""
        position = bisect_right(self._marks, mark)
        return self._lows[position] if position < len(self._lows) else math.inf

    def lower(self, mark: int, amount: float) -> None:
        """The reservation at `mark` was smaller by `amount`, so later events found a fuller bucket."""
        lows = self._lows
        low = math.inf
        for position in range(len(lows) - 1, -1, -1):
            level = lows[position]
            if self._marks[position] > mark:
                level = max(level - amount, 0.0)
            elif level <= low:
                # Neither this one changes nor those before it, which are no higher.
                return
            low = lows[position] = min(level, low)


class TokenBucket:
    """Says when work may start under a limit of `rate` units a second with bursts of `burst` units.

    A cost of zero or less does not use this dimension: it neither waits nor takes. A cost above `burst`, or one that
    is not a number, can never pass: its start is infinite and nothing is taken.
    """

    __slots__ = ("_interval", "_levels", "_span", "burst", "closed_until", "rate", "taken", "tat")

    def __init__(self, rate: float, burst: float) -> None:
        self.tat = -math.inf
        self.taken = 0.0
        """All that was ever reserved, refunds and later charges aside: two readings tell what was reserved between."""
        self.closed_until = -math.inf
        self._levels = _Levels()
        self._set_limit(rate, burst)

    def _set_limit(self, rate: float, burst: float) -> None:
        if not (0 < rate < math.inf and 0 < burst < math.inf):
            raise ValueError(
                f"a bucket needs a positive, finite rate and burst, got rate={rate}, burst={burst}"
            )
        self.rate = rate
        self.burst = burst
        self._interval = 1.0 / rate
        self._span = burst / rate

    def start(self, cost: float, now: float) -> float:
        """The earliest time, not before `now`, at which `cost` could start. Changes nothing."""
        if cost <= 0:
            return now
        if not cost <= self.burst:
            return math.inf
        begin = max(self.tat, now) + cost * self._interval - self._span
        return max(begin, now, self.closed_until)

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` could be admitted: 0 at once, `math.inf` never. Changes nothing."""
        return self.start(cost, now) - now

    def take(self, cost: float, now: float) -> float:
        """Reserve `cost` and return its start time, not before `now`.

        The start may lie in the future, however far: look with `wait` first if patience is limited. A cost that can
        never pass reserves nothing and returns infinity.
        """
        start = self.start(cost, now)
        if 0 < cost <= self.burst:
            self.commit(cost, start)
        return start

    def commit(self, cost: float, start: float) -> None:
        """Reserve a `cost` above 0 for a `start` that is no earlier than the one that `start` named for it."""
        self._add(cost, start)
        self.taken += cost

    @property
    def mark(self) -> int:
        """Names the moment: read after `take`, shown at `refund`."""
        return self._levels.mark

    def refund(self, cost: float, now: float, mark: int | None = None) -> None:
        """Give back at `now` what was reserved and not used. Never reopens a closed bucket.

        With the `mark` of the reservation, only what time has not paid back meanwhile is returned, and the promise
        over every window holds for the cost used. Without one all of `cost` is returned: for a reservation undone at once.
        """
        self._check_amount(cost)
        amount = cost * self._interval
        since = self._levels.mark if mark is None else mark
        returned = min(amount, self._levels.since(since))
        # A bucket already full holds no debt to lessen.
        if self.tat > now:
            self.tat = max(self.tat - returned, self._closed_tat())
            self._levels.lower(since, amount)

    def charge(self, cost: float, now: float) -> None:
        """Add cost found out at settlement. What exceeds the tokens at hand becomes debt that later callers wait out."""
        self._check_amount(cost)
        self._add(cost, now)

    def drain_until(self, when: float) -> None:
        """Empty and close the bucket: the first unit starts at `when` at the earliest, the rest at `rate` after it.

        Extends a drain; never shortens one. An infinite or undefined `when` is refused: it would never end.
        """
        if not math.isfinite(when):
            raise ValueError(f"a drain needs a finite end, got {when}")
        self.closed_until = max(self.closed_until, when)
        self._raise_to(self._closed_tat())

    def cap_available(self, tokens: float, now: float) -> None:
        """Learn downwards: at `now` at most `tokens` are left (negative: owed). Never adds any."""
        if not math.isfinite(tokens):
            raise ValueError(f"a cap needs a finite number of tokens, got {tokens}")
        if tokens < self.burst:
            self._raise_to(now + (self.burst - tokens) * self._interval)

    def rescale(self, rate: float, burst: float, now: float) -> None:
        """Change the limit. What was used stays used, and no token appears that was not there before.

        A raised burst is filled by time at the new rate; a lowered one may leave the bucket in debt. What a raised burst had
        not been filled with yet counts as used when it is lowered again: to the cautious side, and no more than that.
        """
        used = max(self.tat - now, 0.0) * self.rate
        available = self.burst - used
        self._set_limit(rate, burst)
        missing = max(used, burst - available)
        self.tat = max(now + missing * self._interval, self._closed_tat())
        # Levels from before are in another currency: nothing reserved under the old limit can be given back.
        self._levels.note(0.0)

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? `horizon`: seconds from now within which every debt and drain ends."""
        latest = now + horizon
        return (
            0 < self.rate < math.inf
            and 0 < self.burst < math.inf
            and -math.inf <= self.tat <= latest
            and -math.inf <= self.closed_until <= latest
            and 0 <= self.taken < math.inf
        )

    def empty(self, rate: float, burst: float, now: float) -> None:
        """Forget all but the limit, to the safe side: nothing is left at `now`, and nothing reserved before comes back.
        A drain that can be read still holds."""
        closed_until = self.closed_until
        self._set_limit(rate, burst)
        self.closed_until = closed_until if math.isfinite(closed_until) else -math.inf
        self.taken = self.taken if math.isfinite(self.taken) else 0.0
        self.tat = max(now + self._span, self._closed_tat())
        self._levels.note(0.0)

    def available(self, now: float) -> float:
        """Units that could start at `now`; negative is debt, never above `burst`, never above 0 while closed."""
        tokens = self.burst - max(self.tat - now, 0.0) * self.rate
        return min(tokens, 0.0) if now < self.closed_until else tokens

    def statistics(self, now: float) -> BucketStatistics:
        return BucketStatistics(
            rate=self.rate,
            burst=self.burst,
            available=self.available(now),
            full_at=max(self.tat, now),
            closed_until=self.closed_until,
        )

    def _add(self, cost: float, start: float) -> None:
        base = max(self.tat, start)
        self._levels.note(base - start)
        self.tat = base + cost * self._interval

    def _raise_to(self, tat: float) -> None:
        """Move `tat` up by order, which makes earlier reservations worth less at their refund."""
        self._levels.note(self.tat - tat)
        self.tat = max(self.tat, tat)

    def _closed_tat(self) -> float:
        """The lowest `tat` a drain allows: at its end there is one unit, or one burst if that is smaller."""
        return self.closed_until + self._span - min(self._interval, self._span)

    @staticmethod
    def _check_amount(cost: float) -> None:
        if not 0 <= cost < math.inf:
            raise ValueError(f"an amount given back or charged must be finite and not negative, got {cost}")


def reserve_all(
    dimensions: Sequence[tuple[Bucket, float]], now: float, patience: float
) -> Reserved | TooLong:
    """Take every (bucket, cost) for one common start, or none of them if that start is over `patience` seconds away.

    Each bucket may appear once. Callers that share a bucket keep their order in it.
    """
    start_at = now
    limiting = 0
    for position, (bucket, cost) in enumerate(dimensions):
        begin = bucket.start(cost, now)
        if begin > start_at:
            start_at = begin
            limiting = position
    if start_at - now > patience or start_at == math.inf:
        return TooLong(start_at - now, limiting)
    for bucket, cost in dimensions:
        if cost > 0:
            bucket.commit(cost, start_at)
    return Reserved(start_at, tuple([bucket.mark for bucket, _ in dimensions]))
