"""Averages that forget.

Theory. A sample's weight falls by `exp(-age / tau)`, so the average follows time, not the number of samples: a busy
and an idle deployment forget equally fast. `Ewma` keeps the mean and the sum of weights, which makes several samples at
one instant count equally and leaves no bias towards a starting value.

`PeakEwma` is for choosing between servers and errs on the side of caution: a slow sample is believed at once, faster
ones pull the value down only as fast as time passes (Finagle's peak-EWMA load metric).

Nothing heard is not the same as nothing changed: an idle value drifts towards a `prior`, by half each `half_life`, so that
a server once slow is tried again. The drift is computed when read; reading changes nothing, so looking at a
statistic cannot alter a decision.
"""

import math


class Ewma:
    """The mean of recent samples; `prior` until there is one. `tau` and `half_life` are seconds."""

    __slots__ = ("_mean", "_stamp", "_weight", "half_life", "prior", "tau")

    def __init__(self, tau: float, prior: float = 0.0, half_life: float = math.inf) -> None:
        if not (tau > 0 and half_life > 0):
            raise ValueError(f"an average needs positive times, got tau={tau}, half_life={half_life}")
        self.tau = tau
        self.prior = prior
        self.half_life = half_life
        self._mean = prior
        self._weight = 0.0
        self._stamp = -math.inf

    def observe(self, value: float, now: float) -> None:
        """Take in a sample seen at `now`. A sample that comes late counts as one seen at the latest time known."""
        mean = self.get_at(now)
        age = max(now - self._stamp, 0.0)
        self._weight = self._weight * math.exp(-age / self.tau) + 1.0
        self._mean = mean + (value - mean) / self._weight
        self._stamp = max(self._stamp, now)

    def get_at(self, now: float) -> float:
        """The average as it stands at `now`."""
        return _drift(self._mean, self.prior, now - self._stamp, self.half_life)


class PeakEwma:
    """The recent peak: up at once, down with time constant `tau`, idle towards `prior` by half each `half_life`."""

    __slots__ = ("_stamp", "_value", "half_life", "prior", "tau")

    def __init__(self, tau: float = 10.0, prior: float = 0.0, half_life: float = 300.0) -> None:
        if not (tau > 0 and half_life > 0):
            raise ValueError(f"an average needs positive times, got tau={tau}, half_life={half_life}")
        self.tau = tau
        self.prior = prior
        self.half_life = half_life
        self._value = prior
        self._stamp = -math.inf

    def observe(self, value: float, now: float) -> None:
        """Take in a sample seen at `now`. The first replaces the prior, whichever is higher."""
        age = now - self._stamp
        held = self.get_at(now)
        if value >= held or age == math.inf:
            self._value = value
        else:
            self._value = value + (held - value) * math.exp(-max(age, 0.0) / self.tau)
        self._stamp = max(self._stamp, now)

    def get_at(self, now: float) -> float:
        """The peak as it stands at `now`."""
        return _drift(self._value, self.prior, now - self._stamp, self.half_life)


def _drift(value: float, prior: float, idle: float, half_life: float) -> float:
    if idle <= 0 or half_life == math.inf:
        return value
    return prior + (value - prior) * math.exp2(-idle / half_life)
