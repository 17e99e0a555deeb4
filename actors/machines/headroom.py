"""What a vendor's answers say of one limit, and what follows for our own bucket.

Theory. Our bucket is a model of the vendor's: it has seen everything that we reserved, but neither what others used
nor the vendor's true limit. An answer that names both corrects it, to the cautious side only:

    ours = min(ours, remaining + refilled since - reserved since)        limit = min(configured, the vendor's)

`remaining` was true when the answer's header was written. What was reserved after that is not in it and is
subtracted; what the vendor has refilled after that is added, so that an answer whose stream took three minutes does
not stall those who come later. Both are counted from the same moment, which is what makes the sum right. (A vendor whose
limit was full in between has refilled less than that; but so has our own bucket, which is the smaller then.)

Down freely, up reluctantly. A lower limit counts at once; a higher one only after a minute in which no answer named a
lower one and the vendor refused nothing: two models with different limits behind one account would otherwise
raise and lower it in turn. And never above what was configured.

A vendor that fills its limit again all at once says with `remaining: 0` and a `reset` that nothing will pass before
then: the bucket is drained until that time. One that refills steadily (`steady`) means by its reset when the limit will
be full; the first unit is there much sooner, so its bucket is only emptied.

What cannot be true is not believed: limits of 0 or less (Azure sends 0 and -1), more remaining than the limit, what is not finite.
"""

import math

from msgspec import Struct

from .bucket import TokenBucket

QUIET = 60.0
"""Seconds of agreement after which a higher limit is believed."""


class Amount(Struct, frozen=True):
    """A limit: `most` per `period` seconds. Of it `burst` (a share) may start at once, and always `least`."""

    most: float
    period: float
    burst: float = 1.0
    least: float = 0.0

    def of(self, most: float) -> "Amount":
        """The same kind of limit, of another amount."""
        return Amount(most, self.period, self.burst, self.least)

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.most / self.period

    @property
    def size(self) -> float:
        """Units that may start at once."""
        return max(self.least, self.burst * self.most)


class LearnedLimit:
    """One limit: its bucket, kept to the lower of what was configured and what the vendor says.

    `share`: how much of the vendor's limit is ours to use; `amount` is what remains of the configured limit after that.
    A limit that was not configured but first heard of is as the vendor says (`configured=False`).
    """

    __slots__ = ("_agreed_at", "amount", "bucket", "configured", "share", "steady")

    def __init__(
        self, amount: Amount, *, configured: bool = True, share: float = 1.0, steady: bool = False
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"a share of a limit lies between 0 and 1, got {share}")
        self.amount = amount
        self.bucket = TokenBucket(amount.rate, amount.size)
        self.configured = amount.most if configured else math.inf
        self.share = share
        self.steady = steady
        self._agreed_at = -math.inf

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
        """Take in an answer: the vendor's limit, what remains, and seconds until it is full again, where it says so.

        The header was written `elapsed` seconds before `now`, and `reserved` was reserved here since. `trouble_at`: when the
        vendor last refused something.
        """
        if limit is not None and not is_limit(limit):
            return
        if limit is not None:
            self._adjust(limit * self.share, now, trouble_at)
        if remaining is None or not 0 <= remaining <= (math.inf if limit is None else limit):
            return
        if remaining == math.inf:
            return
        if remaining == 0 and reset is not None and not self.steady:
            wait = min(reset, self.amount.period) - elapsed
            if wait > 0:
                self.bucket.drain_until(now + wait)
        if self.steady or reset is None or elapsed <= reset:
            # At worst a whole period is owed: a vendor's debt is not remembered for longer.
            left = self._left(limit, remaining, elapsed) - reserved
            self.bucket.cap_available(max(left, -self.amount.most), now)

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? See `TokenBucket.is_sound`."""
        return 0 < self.amount.most <= self.configured and self.bucket.is_sound(now, horizon)

    def pessimise(self, now: float) -> None:
        """Nothing is left, and the limit is the lower of what is known of it."""
        most = self.amount.most
        if not 0 < most <= self.configured:
            # Neither can be read: one unit a period harms nobody and is corrected by the next answer.
            most = self.configured if is_limit(self.configured) else max(self.amount.least, 1.0)
        self.amount = self.amount.of(most)
        self.bucket.empty(self.amount.rate, self.amount.size, now)

    def _adjust(self, theirs: float, now: float, trouble_at: float) -> None:
        target = min(self.configured, theirs)
        if target <= self.amount.most:
            self._agreed_at = now
        if target < self.amount.most or (
            target > self.amount.most and now - max(self._agreed_at, trouble_at) >= QUIET
        ):
            self.amount = self.amount.of(target)
            self.bucket.rescale(self.amount.rate, self.amount.size, now)

    def _left(self, limit: float | None, remaining: float, elapsed: float) -> float:
        """What the vendor's own bucket would hold now if nothing had been taken since, as far as ours to use. That it is full
        at its limit need not be minded: ours is, too."""
        whole = self.amount.most / self.share if limit is None else limit
        refilled = whole / self.amount.period * elapsed if self.steady else 0.0
        return remaining + refilled - whole * (1 - self.share)


def is_limit(value: float) -> bool:
    """Can this be a limit: above nothing, below everything?"""
    return 0 < value < math.inf
