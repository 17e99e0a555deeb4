"""How deployments and models have been doing lately: what rankings are made of.

Only a success says how fast a deployment is, for failing is quick. The loser of a hedged race is neither: it was cancelled,
and the time it had taken is a lower bound of the one it would have needed. So it may only make a deployment look
slower than before, and never faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from .faults import FaultClass
from .machines.ewma import Ewma, PeakEwma
from .machines.hedge import hedge_delay
from .machines.quantiles import LatencySketch
from .machines.recent import RecentSketch
from .machines.window import RollingWindow
from .messages import SIZE_CLASSES, Outcome, Ranking, size_class

__all__ = ["DeploymentForm", "ModelForm"]

_CLASSES: Final = len(SIZE_CLASSES) + 1
_TAU: Final = 30.0
"""Time constant of the pace at which tokens come, in seconds."""
_SLOWLY: Final = 0.02
"""Weight of a sample in the mean to which an idle deployment's first token drifts back: that of the last fifty or so."""
_REFRESH: Final = 5.0
"""Seconds for which a quantile of the last hour is good enough as it is, once it rests on `_MANY` samples; with fewer
samples, proportionally fewer."""
_MANY: Final = 200
_NEUTRAL: Final = frozenset({FaultClass.CLIENT_GONE, FaultClass.LOCAL})
"""Ends of an attempt that say nothing about the vendor."""

_Reading: TypeAlias = Callable[[LatencySketch], float | None]


def _median(sketch: LatencySketch) -> float | None:
    return sketch.quantile(0.5)


class _Watched:
    """One reading of the last hour's distribution, computed anew only when it may have changed much."""

    __slots__ = ("_good_until", "_read", "_value", "recent")

    def __init__(self, read: _Reading) -> None:
        self.recent = RecentSketch()
        self._read = read
        self._value: float | None = None
        self._good_until = 0.0

    def value(self, now: float) -> float | None:
        if now >= self._good_until:
            sketch = self.recent.sketch(now)
            self._value = self._read(sketch)
            self._good_until = now + _REFRESH * min(1.0, sketch.count / _MANY)
        return self._value


class _BySize:
    """A reading per size class. Most deployments see few classes, so one begins with its first sample."""

    __slots__ = ("_classes", "_read")

    def __init__(self, read: _Reading) -> None:
        self._read = read
        self._classes: list[_Watched | None] = [None] * _CLASSES

    def of(self, size: int) -> RecentSketch:
        watched = self._classes[size]
        if watched is None:
            watched = self._classes[size] = _Watched(self._read)
        return watched.recent

    def samples(self, now: float) -> int:
        return sum([each.recent.count(now) for each in self._classes if each is not None])

    def values(self, now: float) -> tuple[float | None, ...]:
        return tuple([None if each is None else each.value(now) for each in self._classes])


class DeploymentForm:
    """One deployment's form."""

    __slots__ = ("_first_token", "_outcomes", "_pace", "_paced", "_seen", "_usual")

    def __init__(self) -> None:
        self._first_token = PeakEwma()
        self._pace = Ewma(_TAU)
        self._outcomes = RollingWindow(60.0, 6, ("good", "bad"))
        self._usual = _BySize(_median)
        self._seen = self._paced = False

    def add(self, outcome: Outcome, now: float) -> None:
        """Take in one attempt that ended."""
        if outcome.superseded:
            waited = outcome.seconds if outcome.first_token is None else outcome.first_token
            if self._seen and waited > self._first_token.get_at(now):
                self._first_token.observe(waited, now)
            return
        if outcome.fault is not None:
            if outcome.fault not in _NEUTRAL:
                self._outcomes.add("bad", now)
            return
        self._outcomes.add("good", now)
        first = self._first(outcome, now)
        peak = self._first_token
        peak.prior = peak.prior + _SLOWLY * (first - peak.prior) if self._seen else first
        peak.observe(first, now)
        self._seen = True

    def _first(self, outcome: Outcome, now: float) -> float:
        """The time to the first content: seen where it was streamed, else what the tokens' usual pace leaves of it all."""
        tokens = outcome.spent.output_tokens
        first = outcome.first_token
        if first is None:
            pace = self._pace.get_at(now) if self._paced else 0.0
            return max(0.0, outcome.seconds - pace * max(0, tokens - 1))
        self._usual.of(size_class(outcome.spent.input_tokens)).observe(first, now)
        if tokens > 1:
            self._pace.observe(max(0.0, outcome.seconds - first) / (tokens - 1), now)
            self._paced = True
        return first

    def ranking(self, now: float) -> Ranking:
        """What the router is told."""
        return Ranking(
            first_token=self._first_token.get_at(now) if self._seen else None,
            per_token=self._pace.get_at(now) if self._paced else None,
            failures=self._outcomes.share("bad", now),
            usual=self._usual.values(now),
            samples=self._usual.samples(now),
        )


class ModelForm:
    """One model's form, over all that serve it: after how long an answer is late enough for a hedge.

    Kept apart for answers that are streamed, of which the first content counts, and for plain ones, of which
    nothing is seen before their end.
    """

    __slots__ = ("plain", "streamed")

    def __init__(self) -> None:
        self.streamed = _BySize(hedge_delay)
        self.plain = _BySize(hedge_delay)

    def add(self, outcome: Outcome, now: float) -> None:
        """Take in one attempt that ended.

        A loser counts with the time it had taken, but with no less than the median: one that was cancelled early,
        being the hedge of an attempt that answered just then, would else pass for a fast one.
        """
        size = size_class(outcome.spent.input_tokens)
        if outcome.streamed:
            latency, recent = outcome.first_token, self.streamed.of(size)
        else:
            latency, recent = outcome.seconds, self.plain.of(size)
        if outcome.superseded:
            usual = _median(recent.sketch(now))
            if usual is not None:
                recent.observe(max(outcome.seconds if latency is None else latency, usual), now)
        elif outcome.fault is None and latency is not None:
            recent.observe(latency, now)
