"""Are these refusals more than chance?

Theory. Vendors refuse a call now and then for no reason that concerns the caller, one in a hundred, in bad hours one in ten. A
limit that was reached refuses most of what is sent. Which of the two it is shows in the cumulative sum (E. S. Page, 1954) of
the logarithm of how much likelier each call's end is where half of all calls are refused than where a tenth is: ln 5/9 for a call that
was taken on, ln 5 for one that was refused, and never below zero. When the sum reaches `ALARM`, refusals are no chance. That takes
five in a row, and more if calls between them were taken on; where fewer than a quarter are refused it hardly ever happens. By chance alone a tenth of refusals raises the alarm less than once in e**7 calls (Wald's bound), a twentieth less than
once in a hundred thousand.

A call counts as taken on when it begins, and a refusal takes that back: refusals come at once and answers late, so that counted
by their ends the calls under way would be missing from the sum.
"""

import math
from typing import Final

__all__ = ["ALARM", "Suspicion"]

ALARM: Final = 8.6
_TAKEN: Final = math.log((1 - 0.5) / (1 - 0.1))
_NAMED: Final = math.log(0.5 / 0.1)
_REFUSED: Final = _NAMED - _TAKEN
_AFTER: Final = 1.0


class Suspicion:
    """The sum, which lies between 0 and `ALARM`."""

    __slots__ = ("level",)

    def __init__(self) -> None:
        self.level = 0.0

    def begun(self) -> None:
        """A call has begun."""
        level = self.level + _TAKEN
        self.level = level if level > 0 else 0.0

    def refused(self, *, named: bool = False) -> bool:
        """One was refused; `named`: with a word that speaks for a limit, which weighs double. True if that is no chance.

        Nor is the next one then, unless a few calls have been taken on in between.
        """
        self.level += _REFUSED + _NAMED if named else _REFUSED
        if self.level < ALARM:
            return False
        self.level = ALARM - _AFTER
        return True

    def clear(self) -> None:
        """Begin anew: what was suspected has been acted upon."""
        self.level = 0.0

    def is_sound(self) -> bool:
        """Could this have come about?"""
        return 0 <= self.level < ALARM
