"""How fast to send to a vendor that refuses for its rate but says nothing of its limit.

Theory. CUBIC (S. Ha, I. Rhee, L. Xu, 2008; RFC 9438) on a send rate instead of a window, as botocore's adaptive retry mode
does. The first refusal engages it. Each refusal remembers the rate `w` that was too much and goes to `beta * w`; from
there the rate follows

    C * (t - K)**3 + w        K = cbrt(w * (1 - beta) / C)

t seconds after the refusal: fast back towards `w`, flat around it, and faster again once `w` has proved to be no limit.
It never exceeds twice the rate that was really sent, so that a quiet hour does not earn the right to a storm. Sending is
measured in half seconds, each weighing 0.8 against all before it.

Every refusal counts, also of calls that were sent together: their number says how far above the limit the rate was, and what is
lost by an exaggeration comes back in seconds. After ten minutes without a refusal the vendor is left unbridled again.
"""

import math

from .bucket import TokenBucket

_SLICE = 0.5
_SMOOTHING = 0.8
_STEP = 0.01
"""A change of less than this share is not worth a new limit: it would cost the bucket its refunds."""


class SendRate:
    """A bucket of requests whose rate follows the vendor's refusals; not in use until the first one.

    `lowest`: requests per second below which the rate never falls; `forget`: seconds without a refusal after which it ends.
    """

    __slots__ = (
        "_count", "_crest", "_measured", "_slice", "_throttled_at", "beta", "bucket", "ceiling", "engaged", "forget", "lowest",
        "scale",
    )  # fmt: skip

    def __init__(
        self,
        beta: float = 0.7,
        scale: float = 0.4,
        ceiling: float = 2.0,
        lowest: float = 0.5,
        forget: float = 600.0,
    ) -> None:
        if not (0 < beta < 1 and scale > 0 and ceiling >= 1 and lowest > 0 and forget > 0):
            raise ValueError(
                f"a send rate needs 0 < beta < 1, ceiling >= 1 and positive figures, got {beta}, {scale}, {ceiling}"
            )
        self.beta = beta
        self.scale = scale
        self.ceiling = ceiling
        self.lowest = lowest
        self.forget = forget
        self.engaged = False
        self.bucket = TokenBucket(lowest, max(1.0, lowest))
        self._crest = 0.0
        self._throttled_at = -math.inf
        self._measured = 0.0
        self._slice = -math.inf
        self._count = 0

    @property
    def rate(self) -> float:
        """Requests per second that may be sent now; meaningful while engaged."""
        return self.bucket.rate

    def cost(self, requests: float) -> float:
        """What so many requests take from the bucket: nothing while not engaged, and never more than it can hold."""
        return min(requests, self.bucket.burst) if self.engaged else 0.0

    def sent(self, now: float) -> None:
        """A request went out."""
        tick = math.floor(now / _SLICE) * _SLICE
        if tick > self._slice:
            self._measured = self.measured(now)
            self._slice = tick
            self._count = 0
        self._count += 1

    def measured(self, now: float) -> float:
        """Requests per second really sent lately."""
        if not self._count:
            return self._measured
        tick = math.floor(now / _SLICE) * _SLICE
        present = self._count / max(tick - self._slice, _SLICE)
        if self._measured == 0.0:
            return present
        blended = present * _SMOOTHING + self._measured * (1 - _SMOOTHING)
        # A half second that is not over yet can show that more is sent, but not that less is.
        return blended if tick > self._slice else max(blended, self._measured)

    def on_throttle(self, now: float) -> None:
        """The vendor refused a request for its rate."""
        measured = self.measured(now)
        self._crest = min(self.rate, measured) if self.engaged and measured > 0 else measured
        self._throttled_at = now
        rate = max(self.lowest, self.beta * self._crest)
        if not self.engaged:
            # What was sent before was not counted here: it begins empty.
            self.engaged = True
            self.bucket.empty(rate, max(1.0, rate), now)
        else:
            self._set(rate, now)

    def on_success(self, now: float) -> None:
        """A request was answered."""
        if not self.engaged:
            return
        passed = max(now - self._throttled_at, 0.0)
        if passed >= self.forget:
            self.engaged = False
            return
        turning = math.cbrt(self._crest * (1 - self.beta) / self.scale)
        wanted = self.scale * (passed - turning) ** 3 + self._crest
        self._set(max(self.lowest, min(wanted, self.ceiling * self.measured(now))), now)

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? See `TokenBucket.is_sound`."""
        numbers = (self._crest, self._measured)
        return all(0 <= number < math.inf for number in numbers) and self.bucket.is_sound(now, horizon)

    def pessimise(self, now: float) -> None:
        """The slowest, from nothing; the measurement begins anew."""
        self._crest = self.lowest
        self._measured = 0.0
        self._count = 0
        self._slice = -math.inf
        self._throttled_at = now
        self.bucket.empty(self.lowest, max(1.0, self.lowest), now)

    def _set(self, rate: float, now: float) -> None:
        if abs(rate - self.rate) > _STEP * self.rate:
            self.bucket.rescale(rate, max(1.0, rate), now)
