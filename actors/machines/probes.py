"""Whose turn it is to try a deployment that may have recovered.

A breaker half open lets a few calls through and learns from their answers. The turns must be counted exactly: one too
many and a sick vendor is stormed, one lost and the breaker stays half open for ever. So every turn has a number and an
expiry. A turn that is never returned (its holder died) is given to another once it has lapsed; that is no verdict, since nothing was
seen. Should the lapsed probe's answer arrive after all, it is still evidence of the present epoch, and counts once.
"""

LAPSED_KEPT = 16
"""How many lapsed probes can still answer; older ones are forgotten, which bounds the memory of a dead vendor."""


class ProbeTurns:
    """The probes of one half-open spell: those out, and those lapsed but perhaps still to answer."""

    __slots__ = ("_lapsed", "_out", "lapses", "timeout")

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.lapses = 0
        self._out: dict[int, float] = {}
        self._lapsed: dict[int, None] = {}

    def begin(self, number: int, now: float) -> None:
        """Hand out a turn under `number`."""
        self._out[number] = now + self.timeout

    def end(self, number: int) -> bool:
        """Take a turn back; False if it was not out, or answered before."""
        if self._out.pop(number, None) is not None:
            return True
        if number in self._lapsed:
            del self._lapsed[number]
            return True
        return False

    def out(self, now: float) -> int:
        """How many turns are out and have not lapsed."""
        return sum(1 for expiry in self._out.values() if now < expiry)

    def lapse(self, now: float) -> None:
        """Free the turns whose time is over."""
        for number in [number for number, expiry in self._out.items() if now >= expiry]:
            del self._out[number]
            self._lapsed[number] = None
            self.lapses += 1
        while len(self._lapsed) > LAPSED_KEPT:
            del self._lapsed[next(iter(self._lapsed))]

    def clear(self) -> None:
        """Forget all turns: the spell is over."""
        self._out.clear()
        self._lapsed.clear()
