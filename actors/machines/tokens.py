"""How many tokens a request will really take: corrections learned from what vendors report.

Theory. Before a request is sent its input is known in bytes and its output not at all, and limits and prices count tokens.
Bytes a token differ between models and languages, but little from one request of a deployment to the next: so the
estimate is multiplied by the running mean of (reported / estimated), each request weighing by its estimated size, since it
is the sum over a minute that limits count. The mean is bounded: one absurd report must not starve a
vendor or flood it.

Of the output at most `max_tokens` come back, and mostly far fewer. What nine in ten answers of the last hour did not exceed
is reserved, and the bound where too little is known. How well this does is part of the statistics: the relative error of
the corrected input estimate that 95 in 100 requests stay under.
"""

import math

from msgspec import Struct

from .recent import RecentSketch

_LIFE = 600.0
"""Seconds in which an observation loses all but 1/e of its weight."""
_BOUNDS = (0.25, 4.0)
_ENOUGH = 20
_HOUR = 3600.0
_REFRESH = 10.0
_EXACT = 1e-4
"""An error of nothing is counted as this, the smallest that the sketch holds."""


class TokenStatistics(Struct, frozen=True):
    """The correction in force, the p90 of the output and the p95 of the relative error; None where too little was seen."""

    ratio: float
    usual_output: float | None
    error: float | None


class TokenEstimates:
    """What has been learned of one model's (or route's) tokens."""

    __slots__ = ("_errors", "_estimated", "_outputs", "_p90", "_p90_at", "_reported", "_stamp")

    def __init__(self) -> None:
        self._estimated = 0.0
        self._reported = 0.0
        self._stamp = -math.inf
        self._errors = RecentSketch(_HOUR)
        self._outputs = RecentSketch(_HOUR)
        self._p90: float | None = None
        self._p90_at = -math.inf

    @property
    def ratio(self) -> float:
        """By what the plain estimate of the input is to be multiplied; 1 before anything was reported."""
        if self._estimated <= 0:
            return 1.0
        low, high = _BOUNDS
        return min(high, max(low, self._reported / self._estimated))

    def expected_input(self, estimated: float) -> float:
        """The tokens that a plain estimate probably stands for."""
        return estimated * self.ratio

    def expected_output(self, max_tokens: float, now: float) -> float:
        """The tokens that probably come back at most: the p90 of the last hour, `max_tokens` where that is less or unknown."""
        usual = self._usual_output(now)
        return max_tokens if usual is None else min(max_tokens, usual)

    def observe_input(self, estimated: float, reported: float, now: float) -> None:
        """A vendor reported the input of a request whose plain estimate (without `ratio`) was `estimated`. Reports of nothing,
        and estimates of nothing, say nothing."""
        if not (0 < estimated < math.inf and 0 < reported < math.inf):
            return
        error = abs(self.expected_input(estimated) - reported) / reported
        self._errors.observe(max(error, _EXACT), now)
        fading = math.exp(-max(now - self._stamp, 0.0) / _LIFE)
        # One report can move the mean no further than the bounds, however absurd it is.
        low, high = _BOUNDS
        self._estimated = self._estimated * fading + estimated
        self._reported = self._reported * fading + min(high * estimated, max(low * estimated, reported))
        self._stamp = max(self._stamp, now)

    def observe_output(self, tokens: float, now: float) -> None:
        """An answer that reached its own end had so many tokens. One cut short says nothing of the usual length."""
        if 0 < tokens < math.inf:
            self._outputs.observe(tokens, now)

    def statistics(self, now: float) -> TokenStatistics:
        enough = self._errors.count(now) >= _ENOUGH
        return TokenStatistics(
            ratio=self.ratio,
            usual_output=self._usual_output(now),
            error=self._errors.quantile(0.95, now) if enough else None,
        )

    def _usual_output(self, now: float) -> float | None:
        if now - self._p90_at >= _REFRESH:
            self._p90_at = now
            enough = self._outputs.count(now) >= _ENOUGH
            self._p90 = self._outputs.quantile(0.9, now) if enough else None
        return self._p90
