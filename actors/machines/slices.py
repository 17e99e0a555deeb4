"""What one of several processes holds of the limits that they share: the holder's side of `quota`.

A `SliceBucket` answers as a `TokenBucket` does, but it holds only what it has been lent and gains nothing by time. A request whose
cost it does not hold (`lacks`) is not reserved; its holder claims what is missing. What is spent, given back or found out later is
noted for the next report.

While the keeper is silent for longer than a term, what is held may not be spent any more. Then an equal share of the limit's rate
is spent instead, from an empty bucket (`quota`, "Silence").
"""

from __future__ import annotations

import math

from .bucket import BucketStatistics, TokenBucket
from .claims import TERM, Entry, Heard, Terms
from .headroom import Amount

__all__ = ["SliceBucket", "SliceLimit", "SliceSlots", "Tenure"]

_STORE = 0.5
"""Seconds of its recent use that a holder likes to have in store."""
_REQUESTS = 2.0
"""And never less than so many of its recent requests."""
_FADE = 0.7
"""The weight that the past keeps at each look at the use."""
_MOST_REFUNDS = 32


class Tenure:
    """Until when the slices of one process may be spent, and in which era. `holders`: among how many limits are shared."""

    __slots__ = ("era", "holders", "low", "valid_until")

    def __init__(self, holders: int) -> None:
        self.holders = holders
        self.valid_until = -math.inf
        self.era = 0
        self.low = False
        """Of some slice there is less in store than is liked."""

    def renew(self, sent_at: float, term: float = TERM) -> None:
        """A report that was sent at that time has been answered."""
        self.valid_until = max(self.valid_until, sent_at + term)


class SliceBucket:
    """One slice. See the module's docstring; the methods of `TokenBucket` mean what they mean there."""

    __slots__ = (
        "_charged", "_delay_until", "_looked_at", "_own", "_refunds", "_returned", "_spent", "_unlent", "_use", "_used", "_usual",
        "burst", "closed_until", "held", "mark", "rate", "recalled", "taken", "tenure",
    )  # fmt: skip

    def __init__(self, rate: float, burst: float, tenure: Tenure) -> None:
        self.rate = rate
        self.burst = burst
        self.tenure = tenure
        self.held = 0.0
        self.taken = 0.0
        self.closed_until = -math.inf
        self.mark = 0
        """The number of the report in which what is reserved now will be told."""
        self.recalled = False
        self._own: TokenBucket | None = None
        self._use = self._used = self._usual = 0.0
        self._looked_at = -math.inf
        self._forget()

    def _forget(self) -> None:
        self._spent = self._returned = self._charged = self._unlent = 0.0
        self._delay_until = -math.inf
        self._refunds: dict[int, float] = {}

    # --- may it pass? -----------------------------------------------------------------------

    def lacks(self, cost: float, now: float) -> float:
        """What is missing for `cost`; 0 where nothing is, and where it can never pass."""
        if cost <= 0 or not cost <= self.burst:
            return 0.0
        if now >= self.tenure.valid_until:
            # Nothing is reserved for later: whoever keeps the limit would not know of it in time.
            return cost if self._share(now).start(cost, now) > now else 0.0
        if cost <= self.held:
            return 0.0
        return cost - max(self.held, 0.0)

    def start(self, cost: float, now: float) -> float:
        """The earliest start of a `cost` that is not lacking."""
        if cost <= 0:
            return now
        if not cost <= self.burst:
            return math.inf
        if now >= self.tenure.valid_until:
            return max(self._share(now).start(cost, now), self.closed_until)
        return max(now, self.closed_until)

    def commit(self, cost: float, start: float) -> None:
        """Reserve a `cost` above 0; see `TokenBucket.commit`."""
        self.taken += cost
        self._used += cost
        if self._own is not None:
            self._own.commit(cost, start)
            self._unlent += cost
            return
        self.held -= cost
        self._spent += cost
        # Up at once, down by and by.
        self._usual = cost if cost > self._usual else 0.9 * self._usual + 0.1 * cost
        self._delay_until = max(self._delay_until, start)
        if self.held < self.store / 2:
            self.tenure.low = True

    def refund(self, cost: float, now: float, mark: int | None = None) -> None:
        """Given back to the pool, not to the slice: how much of it time has paid back meanwhile is seen only there."""
        number = self.mark if mark is None else mark
        if cost > 0:
            self._refunds[number] = self._refunds.get(number, 0.0) + cost
        while len(self._refunds) > _MOST_REFUNDS:
            oldest, second, *_ = sorted(self._refunds)
            self._refunds[oldest] += self._refunds.pop(second)

    def charge(self, cost: float, now: float) -> None:
        """Of what is held first; the rest becomes debt of the pool."""
        paid = min(cost, max(self.held, 0.0))
        self.held -= paid
        self._spent += paid
        self._charged += cost - paid

    def drain_until(self, when: float) -> None:
        """Nothing starts before `when`."""
        if not math.isfinite(when):
            raise ValueError(f"a drain needs a finite end, got {when}")
        self.closed_until = max(self.closed_until, when)

    # --- from and to the keeper -------------------------------------------------------------

    def lend(self, amount: float) -> None:
        """So much more is held."""
        self.held += amount

    def give_back(self) -> bool:
        """Everything that is held goes back to the pool; False if that is nothing."""
        self.recalled = False
        if self.held <= 0:
            return False
        self._returned += self.held
        self.held = 0.0
        return True

    def void(self) -> None:
        """A new era: what was held is charged already, and what was spent of it."""
        self.held = 0.0
        self._spent = self._returned = 0.0
        self._delay_until = -math.inf

    def heard(self) -> None:
        """The keeper speaks again."""
        self._own = None

    def wants(self, now: float) -> float:
        """What it would like to have in store beside what it holds."""
        passed = now - self._looked_at
        if passed >= 0.05:
            use = self._used / passed if passed < math.inf else 0.0
            self._use = max(use, _FADE * self._use + (1 - _FADE) * use)
            self._used, self._looked_at = 0.0, now
        return max(0.0, self.store - self.held)

    @property
    def store(self) -> float:
        """How much it likes to have in store."""
        return min(self.burst, max(_STORE * self._use, _REQUESTS * self._usual))

    @property
    def used(self) -> bool:
        """Whether something was spent that has not been reported."""
        return self._spent > 0 or self._unlent > 0

    def entry(self, number: int, now: float, heard: Heard | None = None) -> Entry | None:
        """What is to be told in report `number`, once; None if there is nothing."""
        self.mark = number + 1
        if not (self._spent or self._returned or self._charged or self._unlent or self._refunds or heard):
            return None
        told = Entry(
            spent=self._spent,
            delay=max(0.0, self._delay_until - now) if self._spent else 0.0,
            returned=self._returned,
            charged=self._charged,
            unlent=self._unlent,
            refunds=tuple(self._refunds.items()),
            heard=heard,
        )
        self._forget()
        return told

    # --- looked at from outside -------------------------------------------------------------

    def statistics(self, now: float) -> BucketStatistics:
        """See `TokenBucket`; `available` is what is held."""
        return BucketStatistics(
            rate=self.rate,
            burst=self.burst,
            available=min(self.held, 0.0) if now < self.closed_until else self.held,
            full_at=now,
            closed_until=self.closed_until,
        )

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? Less than nothing is held only by a rounding."""
        return (
            -1e-6 * self.burst <= self.held < math.inf
            and self.closed_until <= now + horizon
            and 0 <= self.taken < math.inf
            and all(
                0 <= each < math.inf for each in (self._spent, self._returned, self._charged, self._unlent)
            )
        )

    def pessimise(self, now: float) -> None:
        """What is held counts as spent."""
        if 0 < self.held < math.inf:
            self._spent += self.held
        self.held = 0.0
        for name in ("_spent", "_returned", "_charged", "_unlent", "taken"):
            if not 0 <= getattr(self, name) < math.inf:
                setattr(self, name, 0.0)
        if not math.isfinite(self.closed_until):
            self.closed_until = -math.inf

    def _share(self, now: float) -> TokenBucket:
        """The share of a holder that hears nothing: empty at first, for all it knows."""
        if self._own is None:
            rate = self.rate / self.tenure.holders
            self._own = TokenBucket(rate, self.burst)
            self._own.empty(rate, self.burst, now)
        return self._own


class SliceLimit:
    """A `LearnedLimit` whose bucket is a slice: what a vendor says of it is passed on to the keeper, who has the whole.

    Only that nothing is left counts here at once.
    """

    __slots__ = ("_heard", "_heard_at", "_trouble_at", "amount", "bucket", "terms")

    def __init__(
        self, amount: Amount, tenure: Tenure, *, configured: bool, share: float, steady: bool
    ) -> None:
        self.amount = amount
        self.bucket = SliceBucket(amount.rate, amount.size, tenure)
        self.terms = Terms(amount.most, amount.period, amount.burst, amount.least, configured, share, steady)
        self._heard: tuple[float | None, float | None, float | None] | None = None
        self._heard_at = self._trouble_at = -math.inf

    def learn(
        self,
        limit: float | None,
        remaining: float | None,
        reset: float | None,
        now: float,
        *,
        elapsed: float = 0.0,
        reserved: float = 0.0,
        trouble_at: float = -math.inf,
    ) -> None:
        """See `LearnedLimit.learn`. Of several answers the one whose header came last is passed on."""
        at = now - elapsed
        if remaining == 0 and reset is not None and not self.terms.steady and math.isfinite(reset):
            self.bucket.drain_until(max(at + min(reset, self.amount.period), self.bucket.closed_until))
        if at >= self._heard_at:
            self._heard, self._heard_at, self._trouble_at = (limit, remaining, reset), at, trouble_at

    def collect(self, now: float) -> Heard | None:
        """What is to be passed on, once."""
        if self._heard is None:
            return None
        limit, remaining, reset = self._heard
        self._heard = None
        return Heard(limit, remaining, reset, max(0.0, now - self._heard_at), now - self._trouble_at)

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about?"""
        return self.bucket.is_sound(now, horizon)

    def pessimise(self, now: float) -> None:
        """What is held counts as spent."""
        self.bucket.pessimise(now)


class SliceSlots:
    """Places that are held of those that several processes share; how many of them are in use, their gauge knows."""

    __slots__ = ("held", "most", "recalled", "returned", "tenure")

    def __init__(self, most: int, tenure: Tenure) -> None:
        self.most = most
        self.tenure = tenure
        self.held = 0
        self.returned = 0
        self.recalled = False

    @property
    def terms(self) -> Terms:
        """As a pool."""
        return Terms(float(self.most), slots=True)

    def lend(self, amount: float) -> None:
        """So many more are held."""
        self.held += round(amount)

    def give_back(self, in_use: int) -> bool:
        """Places that are not in use go back; where all are, False, and the next to come free does."""
        idle = max(0, self.held - in_use)
        self.recalled = not idle
        self.held -= idle
        self.returned += idle
        return idle > 0

    def entry(self) -> Entry | None:
        """What is to be told in a report, once; None if there is nothing."""
        if not self.returned:
            return None
        told = Entry(returned=float(self.returned))
        self.returned = 0
        return told
