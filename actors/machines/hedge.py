"""When a hedge is sent, and whether it may be.

Theory. Most requests are answered soon, a few take far longer for reasons of the one server they met. Asking another
server as well, once the first has taken longer than nineteen in twenty do, cuts the tail off for a few per cent more
requests (J. Dean, L. A. Barroso, "The Tail at Scale", CACM 2013). Two things make it dangerous. When everything is slow,
every request is late, and hedges would double the load just then: hence a budget. And a hedge costs a second input:
hence a limit in money.

The delay must not feed on itself. The loser of a race is cancelled, so its latency is never known; if it were left out,
the slowest twentieth would vanish from the record, its quantile would sink, and with it the delay, again and again. So
losers are recorded with the time they had taken, which is a lower bound: one that lost to its hedge had taken longer than
the delay, and a quantile does not care by how much.
"""

from __future__ import annotations

import math

from msgspec import Struct

from .quantiles import LONGEST, RELATIVE_ERROR, LatencySketch
from .window import RollingWindow

__all__ = ["HedgeBudget", "HedgeStatistics", "hedge_delay"]

_MICRO = 1_000_000


def hedge_delay(sketch: LatencySketch, *, quantile: float = 0.95, samples: int = 100) -> float | None:
    """Seconds after which a request is late enough for a hedge.

    None when fewer than `samples` have been seen, or when the quantile is off the sketch's scale, where it says
    nothing (Finagle's BackupRequestFilter does not send any then, either).
    """
    if sketch.count < samples:
        return None
    delay = sketch.quantile(quantile)
    return None if delay is None or delay >= LONGEST * (1 - 2 * RELATIVE_ERROR) else delay


class HedgeStatistics(Struct, frozen=True):
    """Requests and hedges within the budget's window, and the dollars that hedges may have cost in the last hour."""

    requests: int
    hedges: int
    dollars: float


class HedgeBudget:
    """At most `share` of the requests of the last `window` seconds, and `floor` besides; at most `dollars` an hour.

    A share of 0 allows none.

    Money is counted in whole millionths of a dollar, rounded up.
    """

    __slots__ = ("_money", "_window", "dollars", "floor", "share")

    def __init__(
        self, share: float = 0.02, dollars: float = math.inf, *, floor: float = 1.0, window: float = 300.0
    ) -> None:
        if not 0 <= share <= 1 or not dollars >= 0 or not 0 <= floor < math.inf:
            raise ValueError(f"a hedge budget cannot be so: share={share}, dollars={dollars}, floor={floor}")
        self.share = share
        self.dollars = dollars
        self.floor = floor
        self._window = RollingWindow(window, 10, ("requests", "hedges"))
        self._money = RollingWindow(3600.0, 60, ("micros",))

    def request(self, now: float) -> None:
        """A request was accepted. Hedges are none."""
        self._window.add("requests", now)

    def allow(self, now: float, cost: float | None) -> bool:
        """Spend one hedge that may cost so many dollars; False, and nothing spent, if that is more than is left.

        `cost` is None where the price is unknown: such a hedge is only allowed where no sum is set.
        """
        if cost is not None and not 0 <= cost < math.inf:
            raise ValueError(f"a cost in dollars is finite and not negative, got {cost}")
        # The tolerance is for shares such as 0.02, whose fiftyfold falls short of 1 by rounding.
        if self._window.count("hedges", now) + 1 > self._most(now) + 1e-9:
            return False
        if self.dollars < math.inf:
            if cost is None:
                return False
            micros = math.ceil(cost * _MICRO)
            if self._money.count("micros", now) + micros > self.dollars * _MICRO:
                return False
        if cost is not None:
            self._money.add("micros", now, math.ceil(cost * _MICRO))
        self._window.add("hedges", now)
        return True

    def _most(self, now: float) -> float:
        return self.floor + self.share * self._window.count("requests", now) if self.share else 0.0

    def balance(self, now: float) -> float:
        """Hedges left at `now`, money aside. Below zero when the requests that allowed recent ones are already forgotten."""
        return self._most(now) - self._window.count("hedges", now)

    def statistics(self, now: float) -> HedgeStatistics:
        return HedgeStatistics(
            requests=self._window.count("requests", now),
            hedges=self._window.count("hedges", now),
            dollars=self._money.count("micros", now) / _MICRO,
        )
