"""Which share of calls to withhold from a deployment that refuses many.

Theory. Refusing costs a server too, so a client that sees refusals should stop sending some calls on its own. With
`sent` and `accepted` counted over two minutes, a call is withheld with probability

    max(0, (sent - K * accepted) / (sent + 1))

which is zero until fewer than 1/K of the calls are accepted, and rises smoothly from there ("adaptive throttling", SRE book,
"Handling Overload"). A cap under 1 keeps enough calls going to notice a recovery. It is the soft stage before the
circuit breaker: a rate, not a verdict.
"""

import random

from msgspec import Struct

from .window import RollingWindow


class ThrottleStatistics(Struct, frozen=True):
    """Calls sent and accepted within the window, and the probability of withholding the next."""

    sent: int
    accepted: int
    reject_probability: float


class AdaptiveThrottle:
    """Withholds calls from a deployment that accepts fewer than one in `k`, at most a share of `cap`."""

    __slots__ = ("_window", "cap", "k")

    def __init__(self, k: float = 2.0, window: float = 120.0, cap: float = 0.75) -> None:
        if k < 1 or not 0 <= cap < 1:
            raise ValueError(f"a throttle needs k >= 1 and 0 <= cap < 1, got k={k}, cap={cap}")
        self.k = k
        self.cap = cap
        self._window = RollingWindow(window, 24, ("sent", "accepted"))

    def sent(self, now: float) -> None:
        """A call leaves for the deployment. Calls withheld are not counted."""
        self._window.add("sent", now)

    def accepted(self, now: float) -> None:
        """The first byte of an answer that is not a refusal has come."""
        self._window.add("accepted", now)

    def reject_probability(self, now: float) -> float:
        """The probability with which to withhold a call at `now`, 0 to `cap`."""
        sent = self._window.count("sent", now)
        accepted = self._window.count("accepted", now)
        return min(self.cap, max(0.0, (sent - self.k * accepted) / (sent + 1)))

    def rejects(self, now: float, rng: random.Random) -> bool:
        """Draw: withhold this call?"""
        return rng.random() < self.reject_probability(now)

    def statistics(self, now: float) -> ThrottleStatistics:
        return ThrottleStatistics(
            sent=self._window.count("sent", now),
            accepted=self._window.count("accepted", now),
            reject_probability=self.reject_probability(now),
        )
