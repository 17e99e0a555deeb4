"""Whether it is our own network that is down.

Theory. When several vendors that have nothing in common cannot be reached within the same few seconds, and none has been
reached in between, the common cause is on this side: no cable, no DNS, a dead proxy. Then no failure is evidence against
any vendor, and opening every circuit would only prolong the outage after its end. So three different vendors (all, if there
are but two) that fail within five seconds mean "down". One contact, whatever it answers, means "up".

With a single vendor the two cannot be told apart, and the verdict is never passed.

While down, one probe at a time finds out: after a second, then two, four, eight, and every ten seconds from there.
The rest is told when to come back, so that nobody storms the vendors when the cable is in again.
"""

import math

from msgspec import Struct

_AT_LEAST = 2
_AT_MOST = 3


class NetworkStatistics(Struct, frozen=True):
    """Whether the network is down and since when (None: up), when the next probe may go, and how often it has been down."""

    down_since: float | None
    retry_at: float
    outages: int


class LocalNetwork:
    """Tells our own outage from the vendors'. `vendors`: how many there are. Times in seconds."""

    __slots__ = (
        "_down_since",
        "_failed_at",
        "_interval",
        "first",
        "longest",
        "needed",
        "outages",
        "restored",
        "retry_at",
        "within",
    )

    def __init__(
        self, vendors: int, *, within: float = 5.0, first: float = 1.0, longest: float = 10.0
    ) -> None:
        if vendors < 0 or not (within > 0 and 0 < first <= longest):
            raise ValueError(
                f"need within > 0 and 0 < first <= longest, got {vendors}, {within}, {first}, {longest}"
            )
        self.needed = max(_AT_LEAST, min(_AT_MOST, vendors))
        self.within = within
        self.first = first
        self.longest = longest
        self.outages = 0
        self.retry_at = -math.inf
        """While down, when the next probe may go."""
        self.restored: tuple[str, float] | None = None
        """Which vendor's contact ended the latest outage, and when."""
        self._failed_at: dict[str, float] = {}
        self._down_since: float | None = None
        self._interval = first

    @property
    def down(self) -> bool:
        """Is it our network that is down?"""
        return self._down_since is not None

    def failed(self, vendor: str, now: float) -> bool:
        """A vendor could not be reached. True if that was what showed our network to be down."""
        if self.down:
            return False
        failed_at = self._failed_at
        failed_at[vendor] = now
        for name in [name for name, at in failed_at.items() if now - at > self.within]:
            del failed_at[name]
        if len(failed_at) < self.needed:
            return False
        failed_at.clear()
        self._down_since = now
        self._interval = self.first
        self.retry_at = now + self.first
        self.outages += 1
        return True

    def reached(self, vendor: str, now: float) -> bool:
        """A vendor was reached, whatever it answered. True if that was what showed our network to be up again."""
        self._failed_at.clear()
        if not self.down:
            return False
        self._down_since = None
        self.retry_at = -math.inf
        self.restored = (vendor, now)
        return True

    def admit(self, now: float) -> bool:
        """May a request go out? While down only one in each interval may, and this takes its turn."""
        if not self.down:
            return True
        if now < self.retry_at:
            return False
        self._interval = min(self.longest, 2 * self._interval)
        self.retry_at = now + self._interval
        return True

    def statistics(self) -> NetworkStatistics:
        return NetworkStatistics(self._down_since, self.retry_at, self.outages)
