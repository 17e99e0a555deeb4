"""How fast traffic to a vendor may grow.

Theory. Vendors refuse growth, not only height: OpenAI asks that traffic above a million input tokens a minute grow by at
most half in fifteen minutes, and others answer steep rises with errors of their own. The case that matters is failover, which
hands a vendor all the traffic of another from one second to the next. So what may be sent is bounded by

    cap = max(floor, f * what was sent over the last 15 minutes, per second)        f = ln(growth) / (1 - 1/growth)

Traffic that grows by a factor `growth` each 15 minutes runs at f times its own average over the last 15, so that is what may
be sent at once; for a growth of 1.5, f is 1.22. With 1.5 in its place the growth would feed on itself and double.

Below the floor nobody minds. The trailing rate is an exact count in slices of half a minute; tokens are counted, and the cap
looked at, every few seconds and not for each request, so that a request costs a comparison and an addition.

A vendor that says "slow down" halves the cap, floor included, for a quarter of an hour; a further complaint after a
minute halves it again, down to an eighth. Every quarter of an hour without one takes a halving back. Where no floor is
known the first complaint puts the cap in force with a low one, and an hour without complaints ends it.
"""

import math

from .bucket import TokenBucket
from .window import RollingWindow

LOWEST_FLOOR = 10_000 / 60
"""Tokens per second that are always let through where no floor is known: an outage could not grow again from nothing."""

_REFRESH = 5.0
_SPAN = 60.0
"""Seconds' worth of the cap that may start at once."""
_SLICES = 30
_SAME_COMPLAINT = 60.0
_MOST_HALVINGS = 3
_FORGET = 3600.0


class Ramp:
    """A bucket of tokens whose rate follows what was sent. `floor`: tokens per second; None: in force after a complaint only."""

    __slots__ = (
        "_batch", "_batch_until", "_complained_at", "_factor", "_halvings", "_refresh_at", "_sent", "bucket", "floor", "growth", "window",
    )  # fmt: skip

    def __init__(self, floor: float | None = None, growth: float = 1.5, window: float = 900.0) -> None:
        if not (1 < growth < math.inf and window > 0 and (floor is None or 0 < floor < math.inf)):
            raise ValueError(f"a ramp needs growth above 1 and a positive floor, got {growth}, {floor}")
        self.floor = floor
        self.growth = growth
        self._factor = math.log(growth) / (1 - 1 / growth)
        self.window = window
        self._sent = RollingWindow(window, _SLICES, ("tokens",))
        self._halvings = 0
        self._complained_at = -math.inf
        self._refresh_at = -math.inf
        self._batch = 0.0
        self._batch_until = -math.inf
        rate = floor or LOWEST_FLOOR
        self.bucket = TokenBucket(rate, rate * _SPAN)

    def is_engaged(self, now: float) -> bool:
        """Is there a cap at all?"""
        return self.floor is not None or now - self._complained_at < _FORGET

    def cost(self, tokens: float, now: float) -> float:
        """What so many tokens take from the bucket, whose rate this brings up to date. Never more than it can hold: one large
        request is no growth."""
        if self.floor is None and not self.is_engaged(now):
            return 0.0
        if now >= self._refresh_at:
            self._refresh(now)
        return min(tokens, self.bucket.burst)

    def sent(self, tokens: float, now: float) -> None:
        """So many tokens went out."""
        if now >= self._batch_until:
            self._count_batch()
            self._batch_until = now + _REFRESH
        self._batch += tokens

    def slow_down(self, now: float) -> None:
        """The vendor complained of the growth."""
        was_engaged = self.is_engaged(now)
        if now - self._complained_at >= _SAME_COMPLAINT:
            self._halvings = min(_MOST_HALVINGS, self._in_force(now) + 1)
        self._complained_at = now
        self._refresh(now)
        if not was_engaged:
            # What was sent before was not counted here: it begins empty.
            self.bucket.empty(self.bucket.rate, self.bucket.burst, now)

    def cap(self, now: float) -> float:
        """Tokens per second that may be sent."""
        batch = self._batch if now < self._batch_until + self.window else 0.0
        width = self.window / _SLICES
        covered = self.window - width + now % width
        trailing = (self._sent.count("tokens", now) + batch) / covered
        return max(self.floor or LOWEST_FLOOR, self._factor * trailing) / 2.0 ** self._in_force(now)

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? See `TokenBucket.is_sound`."""
        return (
            0 <= self._halvings <= _MOST_HALVINGS
            and self._complained_at <= now
            and 0 <= self._batch < math.inf
            and self.bucket.is_sound(now, horizon)
        )

    def pessimise(self, now: float) -> None:
        """Nothing was sent lately as far as is known, and nothing is left. A complaint that cannot be read is one of now."""
        self._sent.clear()
        self._batch = 0.0
        if not (0 <= self._halvings <= _MOST_HALVINGS and self._complained_at <= now):
            self._halvings, self._complained_at = _MOST_HALVINGS, now
        rate = self.cap(now)
        self.bucket.empty(rate, rate * _SPAN, now)
        self._refresh_at = now + _REFRESH

    def _in_force(self, now: float) -> int:
        """Halvings that have not been taken back."""
        if not self._halvings:
            return 0
        return max(0, self._halvings - int((now - self._complained_at) // self.window))

    def _count_batch(self) -> None:
        if self._batch > 0:
            self._sent.add("tokens", self._batch_until - _REFRESH, round(self._batch))
            self._batch = 0.0

    def _refresh(self, now: float) -> None:
        self._refresh_at = now + _REFRESH
        rate = self.cap(now)
        if abs(rate - self.bucket.rate) > 1e-9 * rate:
            self.bucket.rescale(rate, rate * _SPAN, now)
