"""Whether a retry may be spent: a bound on how much a fault is amplified.

Theory. When a vendor fails, each layer that retries multiplies its load just when it can bear least. A budget ties
retries to the traffic that pays for them: each request deposits a fraction, each retry withdraws one, and an empty
budget means failing now instead of waiting. What is deposited or withdrawn is forgotten after `life` seconds,
so a quiet hour saves up nothing for the next outage, and a small reserve keeps retries possible at low traffic
(Finagle's RetryBudget; the tenth of the traffic is the figure of the SRE book, "Handling Overload").

What makes an outage worse are the retries that come to nothing. One that brought an answer replaced a request that had
failed; so while more of them help than come to nothing, only the latter are counted (botocore's standard mode gives
back what a successful retry cost, to the same end). That is needed because models fail late: when one of two vendors
times out after half a minute, half a minute's requests are under way there and want the other vendor, all of them
rightly, which is far more than a tenth. As long as nobody knows whether retries help, each counts when it is sent.

`life` is a minute for the same reason: the first of them have to last until the first answer shows that they help, and
a tenth of a minute's traffic is six seconds' worth. Finagle's ten seconds are for calls that answer in milliseconds.

Bound. Within any `life` seconds at most `floor * life + share * requests` retries come to nothing, besides those that
were under way when they ceased to help. Where none helps there is no "besides", and upstream attempts stay under
`requests * (1 + share) + floor * seconds`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from .window import RollingWindow

LIFE: Final = 60.0
"""Seconds for which deposits and withdrawals are remembered if nothing else is said."""
_ROUNDING: Final = 1e-9
"""For shares such as 0.3, whose tenfold falls short of 3."""


class BudgetStatistics(Struct, frozen=True):
    """What was deposited and withdrawn within the budget's memory, what came of it, and how many retries are left."""

    balance: float
    deposits: int
    withdrawals: int
    helped: int
    in_vain: int


class RetryBudget:
    """Grants retries: `share` of each request, and `floor` a second besides, remembered for `life` seconds."""

    __slots__ = ("_window", "floor", "life", "share")

    def __init__(self, share: float = 0.1, floor: float = 1.0, life: float = LIFE) -> None:
        if share < 0 or floor < 0:
            raise ValueError(f"a retry budget cannot be negative, got share={share}, floor={floor}")
        self.share = share
        self.floor = floor
        self.life = life
        self._window = RollingWindow(life, 10, ("deposits", "withdrawals", "helped", "in_vain"))

    def deposit(self, now: float) -> None:
        """One request was accepted. Its retries do not deposit."""
        self._window.add("deposits", now)

    def withdraw(self, now: float) -> bool:
        """Spend one retry; False, and nothing spent, if there is none. Hedges spend here too."""
        if self.balance(now) < 1.0 - _ROUNDING:
            return False
        self._window.add("withdrawals", now)
        return True

    def learn(self, helped: bool, now: float) -> None:
        """A retry that was withdrawn has brought an answer, or the beginning of one (`helped`), or has failed. To be told
        once of each; not of one whose caller left, nor of hedges, which replace nothing that had failed."""
        self._window.add("helped" if helped else "in_vain", now)

    def balance(self, now: float) -> float:
        """Retries left at `now`. Below zero when the deposits that paid for recent retries are already forgotten, or when
        retries have ceased to help."""
        return self.statistics(now).balance

    def statistics(self, now: float) -> BudgetStatistics:
        return _balanced(self._window.counts(now), self.floor * self.life, self.share)


def _balanced(counts: Mapping[str, int], reserve: float, share: float) -> BudgetStatistics:
    deposits, withdrawals = counts["deposits"], counts["withdrawals"]
    helped, in_vain = counts["helped"], counts["in_vain"]
    spent = in_vain if helped > in_vain else withdrawals
    return BudgetStatistics(reserve + share * deposits - spent, deposits, withdrawals, helped, in_vain)


class ClassedBudget:
    """One budget for all requests, and one for each class of them: a retry has to be granted by both.

    So no class can spend what the others' requests deposited, and all together stay within the bound above.
    """

    __slots__ = ("_classes", "_floor", "_share")

    def __init__(
        self, classes: Iterable[str], share: float = 0.1, floor: float = 1.0, life: float = LIFE
    ) -> None:
        self._share = share
        self._floor = floor * life
        self._classes = {name: RetryBudget(share, floor, life) for name in classes}

    def deposit(self, name: str, now: float) -> None:
        """One request of the class was accepted. A class that the budget was not made with is a KeyError."""
        self._classes[name].deposit(now)

    def balance(self, name: str, now: float) -> float:
        """Retries that the class has left at `now`."""
        return min(self._whole(now).balance, self._classes[name].balance(now))

    def withdraw(self, name: str, now: float) -> bool:
        """Spend one retry of both; False, and nothing spent, if either has none."""
        return self._whole(now).balance >= 1.0 - _ROUNDING and self._classes[name].withdraw(now)

    def learn(self, name: str, helped: bool, now: float) -> None:
        """What came of a retry of the class; see `RetryBudget.learn`."""
        self._classes[name].learn(helped, now)

    def _whole(self, now: float) -> BudgetStatistics:
        """The budget for all together: nothing is counted twice for it, since retries are rarer than requests."""
        classes = [budget.statistics(now) for budget in self._classes.values()]
        counts = {
            "deposits": sum([each.deposits for each in classes]),
            "withdrawals": sum([each.withdrawals for each in classes]),
            "helped": sum([each.helped for each in classes]),
            "in_vain": sum([each.in_vain for each in classes]),
        }
        return _balanced(counts, self._floor, self._share)

    def statistics(self, now: float) -> dict[str, BudgetStatistics]:
        """By class; the one for all together under an empty name."""
        return {"": self._whole(now)} | {
            name: budget.statistics(now) for name, budget in self._classes.items()
        }
