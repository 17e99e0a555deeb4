"""How a limit that lasts the day is sat out without trusting the name too far.

Theory. "Per day" is read from an error's text, and texts mislead: vendors call things daily that last a minute, and
days begin at midnight in somebody's time zone. Sleeping for a day because of one word would be a long outage; trying at
the usual pace would hammer a vendor that means it. So while the rest lasts one call at a time is let through as a trial:
the first after a quarter of an hour, then at twice the distance, at most six hours apart. One success ends the rest.

A trial that was cancelled proves nothing and gives its turn back. One whose holder never answers lapses, and the
turn is given again; should its success be reported after all, it counts.
"""

import math


class DailyRest:
    """Closed until the day ends, single trials aside. `first`, `longest`: seconds between trials; `timeout`: of one."""

    __slots__ = ("_expires_at", "_next", "_number", "_since", "_wait", "first", "longest", "timeout", "until")

    def __init__(self, first: float = 900.0, longest: float = 6 * 3600.0, timeout: float = 900.0) -> None:
        if not 0 < first <= longest or not timeout > 0:
            raise ValueError(
                f"a rest needs 0 < first <= longest and a timeout, got {first}, {longest}, {timeout}"
            )
        self.first = first
        self.longest = longest
        self.timeout = timeout
        self.until = -math.inf
        self._wait = first
        self._next = math.inf
        self._number = 0
        self._since = 1
        self._expires_at = -math.inf

    def begin(self, until: float, now: float) -> None:
        """The day's limit is reached: rest until then. Told again meanwhile it only ever extends the rest."""
        if not math.isfinite(until):
            raise ValueError(f"a day needs a finite end, got {until}")
        if not self.holds(now):
            self._wait = self.first
            self._next = now + self.first
            self._since = self._number + 1
            self._expires_at = -math.inf
        self.until = max(self.until, until)

    def holds(self, now: float) -> bool:
        """Is the day still going on?"""
        return now < self.until

    def may_try(self, now: float) -> bool:
        """Is a trial due, and none out?"""
        return self._next <= now < self.until and now >= self._expires_at

    @property
    def retry_at(self) -> float:
        """When the next trial, or the end of the day, lets somebody through, as far as is known."""
        return min(self.until, max(self._next, self._expires_at))

    def try_now(self, now: float) -> int:
        """Hand out the turn, which `may_try` has offered; returns its number."""
        self._number += 1
        self._expires_at = now + self.timeout
        return self._number

    def end_trial(self, number: int, passed: bool | None, now: float) -> None:
        """A trial is over: it succeeded, failed, or (None) proved nothing, which gives the turn back."""
        if number < self._since or not self.holds(now):
            return
        if passed:
            self.lift()
        elif number == self._number and self._expires_at > -math.inf:
            self._expires_at = -math.inf
            if passed is False:
                self._wait = min(self.longest, 2 * self._wait)
                self._next = now + self._wait

    def lift(self) -> None:
        """The rest is over before its time."""
        self.until = -math.inf
        self._expires_at = -math.inf

    def is_sound(self, now: float, horizon: float) -> bool:
        """Could these numbers have come about? `horizon`: seconds from now within which every rest ends."""
        return self.until <= now + horizon and self._next > -math.inf and self._expires_at <= now + horizon
