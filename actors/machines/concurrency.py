"""How many calls to one deployment may be open at once.

Theory. Additive increase, multiplicative decrease finds an unknown capacity and shares it fairly with strangers that
do the same (D.-M. Chiu, R. Jain, 1989; TCP congestion avoidance, RFC 5681). A loss - overload, gateway timeout, a refusal for
concurrency - multiplies the limit by 0.9; a limit's worth of successes adds 1, by 1/limit each.

Two refinements. Growth needs use: while fewer than half of the permitted calls are open, success says nothing about
the limit, and it holds (as in Netflix' concurrency-limits). And one congestion is one loss: calls that were open
together fail together, so after a decrease the limit rests for `interval` seconds, which plays the part of TCP's
"once per round trip": what returns meanwhile was sent under the old limit and says nothing about the new one. The
interval should be near a typical time to first content.
"""

import math

from msgspec import Struct


class ConcurrencyStatistics(Struct, frozen=True):
    """The limit as a real number, the calls open, how often it was lowered, and whether it rests after a decrease."""

    limit: float
    in_flight: int
    decreases: int
    resting: bool


class ConcurrencyLimit:
    """Counts open calls against a limit that learns. With `fixed` the limit stays at `initial`."""

    __slots__ = (
        "_lowered_at",
        "decrease",
        "decreases",
        "fixed",
        "in_flight",
        "interval",
        "limit",
        "maximum",
        "minimum",
    )

    def __init__(
        self,
        initial: float = 20.0,
        *,
        minimum: float = 1.0,
        maximum: float = 1000.0,
        fixed: bool = False,
        decrease: float = 0.9,
        interval: float = 1.0,
    ) -> None:
        if not 1 <= minimum <= initial <= maximum:
            raise ValueError(f"need 1 <= minimum <= initial <= maximum, got {minimum}, {initial}, {maximum}")
        if not 0 < decrease < 1:
            raise ValueError(f"a decrease is a factor between 0 and 1, got {decrease}")
        self.limit = float(initial)
        self.minimum = minimum
        self.maximum = maximum
        self.fixed = fixed
        self.decrease = decrease
        self.interval = interval
        self.in_flight = 0
        self.decreases = 0
        self._lowered_at = -math.inf

    def acquire(self) -> bool:
        """Open a call; False, and nothing opened, at the limit."""
        if self.in_flight >= int(self.limit):
            return False
        self.in_flight += 1
        return True

    def release(self) -> None:
        """Close a call, on every path exactly once. Closing more than were opened is a RuntimeError."""
        if self.in_flight <= 0:
            raise RuntimeError("a call was closed that was not open")
        self.in_flight -= 1

    def on_success(self, now: float) -> None:
        """A call succeeded. Tell it before `release`, so that the call itself counts as use."""
        if self.fixed or self._rests(now):
            return
        if self.in_flight >= self.limit / 2:
            self.limit = min(self.maximum, self.limit + 1.0 / self.limit)

    def on_loss(self, now: float) -> None:
        """A call was lost to overload. Lowers the limit once per `interval`."""
        if self.fixed or self._rests(now):
            return
        self.limit = max(self.minimum, self.limit * self.decrease)
        self.decreases += 1
        self._lowered_at = now

    def statistics(self, now: float) -> ConcurrencyStatistics:
        return ConcurrencyStatistics(
            limit=self.limit, in_flight=self.in_flight, decreases=self.decreases, resting=self._rests(now)
        )

    def _rests(self, now: float) -> bool:
        return now - self._lowered_at < self.interval
