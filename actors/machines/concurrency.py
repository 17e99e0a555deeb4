"""How many calls to one deployment may be open at once.

Theory. A vendor that limits the calls open at once refuses what is beyond its limit and nothing below it; one that refuses
by chance, or because others overload it, does so whatever is open. So how many refusals there are says little, and *where*
they happen nearly everything. Additive increase and a decrease at each loss (D.-M. Chiu, R. Jain, 1989; TCP, RFC 5681) cannot
tell the two apart: where a share p of the calls is lost by chance it settles near sqrt(10/p) open ones, 14 at one in twenty, however
many the vendor would take. So here a limit is found by evidence, raised by proof, and doubted ever more seldom.

**Found.** A limit is suspected when losses are more than chance (`suspicion`): five in a row, three if they *say* that too many are
open (`named`). Then it is what the vendor held on to when it refused, at most 0.9 of what was permitted, and at least
half of what is open (RFC 5681's flight size).

**Once a round trip.** Calls that were open together fail together: a loss counts only if its call began after the limit was
last moved (RFC 6582, "recover").

**Raised.** Beyond a known limit probes are sent, one at first. They prove it wrong if one is taken on while all that began before it
are still open, if three are taken on, or if none was refused for two seconds: then so many are known to be taken, and twice as
many are tried next. When more than a quarter of them is lost the limit stands, and half as many are tried; after
the last one, none for a while, which doubles from a second to a minute. So in the long run a vendor with a true limit
refuses one call a minute, and one that refused by chance is back at its load within seconds.
"""

import math
from typing import Final

from msgspec import Struct

from .suspicion import Suspicion

_DECREASE: Final = 0.9
_TOLERATED: Final = 0.25
"""The share of probes that may be lost: more than by chance, less than at a limit."""
_ENOUGH: Final = 3
_GRACE: Final = 2.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class ConcurrencyStatistics(Struct, frozen=True):
    """The limit (infinite where none is known), the calls open, how often it was lowered, and how many more are tried."""

    limit: float
    in_flight: int
    decreases: int
    probes: int


class ConcurrencyLimit:
    """Counts open calls against a limit that learns, between `minimum` and `maximum`. With `fixed` it stays at `maximum`.

    Calls are numbered from 1 as they begin: after `acquire` a call's number is `begun`.
    """

    __slots__ = (
        "_first_probe", "_height", "_lost", "_moved", "_pause", "_probe_at", "_probed_at", "_suspicion", "_taken", "_tries",
        "begun", "decreases", "fixed", "in_flight", "known", "maximum", "minimum", "probes",
    )  # fmt: skip

    def __init__(self, maximum: float = math.inf, *, minimum: float = 1.0, fixed: bool = False) -> None:
        if not 1 <= minimum <= maximum:
            raise ValueError(f"need 1 <= minimum <= maximum, got {minimum}, {maximum}")
        self.minimum = minimum
        self.maximum = maximum
        self.fixed = fixed
        self.known = maximum
        """So many are known to be taken; `maximum` as long as nothing speaks against it."""
        self.probes = 0
        """So many more may be tried."""
        self.in_flight = 0
        self.begun = 0
        self.decreases = 0
        self._suspicion = Suspicion()
        self._moved = 0
        self._pause = _FIRST_PAUSE
        self._probe_at = math.inf
        self._try_anew()

    @property
    def limit(self) -> float:
        """How many may be open, probes among them."""
        return min(self.maximum, self.known + self.probes)

    def full(self, now: float) -> bool:
        """Is there no room for one more?"""
        if self.in_flight < self.known:
            return False
        if self.known < self.maximum:
            self._look(now)
        return self.in_flight >= self.limit

    def acquire(self, now: float) -> bool:
        """Open a call; False, and nothing opened, at the limit."""
        if self.full(now):
            return False
        self.in_flight += 1
        self.begun += 1
        self._suspicion.begun()
        if self.in_flight > self.known:
            self._tried(now)
        return True

    def release(self) -> None:
        """Close a call, on every path exactly once. Closing more than were opened is a RuntimeError."""
        if self.in_flight <= 0:
            raise RuntimeError("a call was closed that was not open")
        self.in_flight -= 1

    def on_taken(self, number: int, now: float) -> None:
        """The vendor has taken a call on: its answer has begun, or has come whole. Once a call, and before its `release`."""
        if self.fixed or self.known >= self.maximum:
            return
        together = self._together(number)
        if together > self.known:
            self._proved(together)
        elif self._first_probe <= number and self.in_flight > self.known:
            self._taken += 1
            if self._taken >= _ENOUGH:
                self._proved(self._height)
        self._look(now)

    def on_loss(self, number: int, now: float, *, named: bool = False) -> None:
        """A call was lost to overload, or (`named`) refused because too many were open. Tell it before `release`."""
        if self.fixed or number <= self._moved:
            return
        if self._first_probe <= number:
            # Which the limit as it is known explains: it is not suspected of being lower.
            self._lost += 1
            if self._lost > _TOLERATED * self._tries:
                self._refuted(now)
        elif self._suspicion.refused(named=named):
            self._lower(self._together(number) - 1, now)

    def reset(self, in_flight: int, now: float) -> None:
        """Start again from the fewest: so many are open, and what the vendor takes is to be found out."""
        self.in_flight = in_flight
        self.begun = max(self.begun, in_flight)
        self._moved = self.begun
        self._suspicion.clear()
        self.known = self.maximum
        if not self.fixed:
            self.known = self.minimum
            self._rest(_FIRST_PAUSE, now)

    def is_sound(self, in_flight: int) -> bool:
        """Can these numbers have come about, with so many calls open?"""
        return (
            self.in_flight == in_flight <= self.begun
            and self.minimum <= self.known <= self.maximum
            and 0 <= self.probes < math.inf
            and self._suspicion.is_sound()
            and _FIRST_PAUSE <= self._pause <= _LONGEST_PAUSE
        )

    def statistics(self) -> ConcurrencyStatistics:
        """How it stands."""
        return ConcurrencyStatistics(self.limit, self.in_flight, self.decreases, self.probes)

    # --- inside -----------------------------------------------------------------------------

    def _together(self, number: int) -> int:
        """At least so many calls have been open since this one began, which is one of them: all but those that began later."""
        return self.in_flight - (self.begun - number)

    def _lower(self, standing: int, now: float) -> None:
        permitted = _DECREASE * min(self.known, self.in_flight)
        held = max(min(permitted, standing), self.in_flight / 2)
        self.known = max(self.minimum, min(self.known, float(math.floor(held))))
        self.decreases += 1
        self._moved = self.begun
        self._suspicion.clear()
        self._rest(_FIRST_PAUSE, now)

    def _rest(self, pause: float, now: float) -> None:
        """No probes for so long."""
        self.probes = 0
        self._pause = pause
        self._probe_at = now + pause
        self._try_anew()

    def _try_anew(self) -> None:
        self._first_probe = self._probed_at = math.inf
        self._height = self._tries = self._taken = self._lost = 0

    def _tried(self, now: float) -> None:
        """A call has begun beyond what is known."""
        self._tries += 1
        if self._first_probe == math.inf:
            self._first_probe, self._probed_at, self._height = self.begun, now, self.in_flight
        elif now - self._probed_at < _GRACE / 2:
            self._height = max(self._height, self.in_flight)

    def _look(self, now: float) -> None:
        """What time has brought: probes that were not refused, or the end of a rest."""
        if now - self._probed_at >= _GRACE:
            self._proved(self._height)
        if not self.probes and now >= self._probe_at:
            self.probes = 1

    def _proved(self, number: int) -> None:
        """So many are taken."""
        self.known = min(self.maximum, max(self.known, float(number)))
        self.probes = max(1, min(2 * self.probes, int(self.known)))
        self._pause = _FIRST_PAUSE
        self._try_anew()

    def _refuted(self, now: float) -> None:
        """The limit stands."""
        self._moved = self.begun
        self.probes //= 2
        self._try_anew()
        if not self.probes:
            self._rest(min(2 * self._pause, _LONGEST_PAUSE), now)
