"""Whether a hedge may be spent: a bound on how many requests are sent twice, and on what that costs.

A hedge is a gamble that costs a whole request and saves, at best, the slow tail of another (J. Dean, L. A. Barroso,
"The Tail at Scale", CACM 56(2), 2013). So hedges are tied to the requests that they are made for, like retries, and
besides to money, because the requests that are slow are often the large ones.

Bound. Within any hour at most `share * requests` hedges (one at least), and at most `dollars`.
"""

from .window import RollingWindow

_HOUR = 3600.0
_MICRO = 1e6


class HedgeBudget:
    """Grants hedges: a `share` of the requests of the last hour, for `dollars` an hour."""

    __slots__ = ("_window", "dollars", "share")

    def __init__(self, share: float = 0.02, dollars: float = 1.0) -> None:
        if not 0 <= share <= 1 or dollars < 0:
            raise ValueError(f"a hedge budget makes no sense: share={share}, dollars={dollars}")
        self.share = share
        self.dollars = dollars
        self._window = RollingWindow(_HOUR, 60, ("requests", "hedges", "microdollars"))

    def deposit(self, now: float) -> None:
        """One request was accepted."""
        self._window.add("requests", now)

    def allow(self, now: float, cost: float) -> bool:
        """Spend one hedge of `cost` dollars; False, and nothing spent, if there is none left."""
        window = self._window
        if self.share == 0 or cost > self.dollars:
            return False
        most = max(1.0, self.share * window.count("requests", now))
        spent = window.count("microdollars", now) / _MICRO
        if window.count("hedges", now) + 1 > most or spent + cost > self.dollars:
            return False
        window.add("hedges", now)
        window.add("microdollars", now, int(cost * _MICRO) + 1)
        return True
