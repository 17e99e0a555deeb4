"""Whether a retry may be spent: a bound on how much a fault is amplified.

Theory. When a vendor fails, each layer that retries multiplies its load just when it can bear least. A budget ties
retries to the traffic that pays for them: each request deposits a fraction, each retry withdraws one, and an empty
budget means failing now instead of waiting. What is deposited or withdrawn is forgotten after `life` seconds,
so a quiet hour saves up nothing for the next outage, and a small reserve keeps retries possible at low traffic
(Finagle's RetryBudget; the tenth of the traffic is the figure of the SRE book, "Handling Overload").

Bound. Within any `life` seconds at most `floor * life + share * requests` retries. So over a long time upstream
attempts stay under `requests * (1 + share) + floor * seconds`.
"""

from collections.abc import Iterable

from msgspec import Struct

from .window import RollingWindow


class BudgetStatistics(Struct, frozen=True):
    """What was deposited and withdrawn within the budget's memory, and how many retries are left."""

    balance: float
    deposits: int
    withdrawals: int


class RetryBudget:
    """Grants retries: `share` of each request, and `floor` a second besides, remembered for `life` seconds."""

    __slots__ = ("_window", "floor", "life", "share")

    def __init__(self, share: float = 0.1, floor: float = 1.0, life: float = 10.0) -> None:
        if share < 0 or floor < 0:
            raise ValueError(f"a retry budget cannot be negative, got share={share}, floor={floor}")
        self.share = share
        self.floor = floor
        self.life = life
        self._window = RollingWindow(life, 10, ("deposits", "withdrawals"))

    def deposit(self, now: float) -> None:
        """One request was accepted. Its retries do not deposit."""
        self._window.add("deposits", now)

    def withdraw(self, now: float) -> bool:
        """Spend one retry; False, and nothing spent, if there is none. Hedges spend here too."""
        # The tolerance is for shares such as 0.3, whose tenfold falls short of 3 by rounding.
        if self.balance(now) < 1.0 - 1e-9:
            return False
        self._window.add("withdrawals", now)
        return True

    def balance(self, now: float) -> float:
        """Retries left at `now`. Below zero when the deposits that paid for recent retries are already forgotten."""
        window = self._window
        earned = self.floor * self.life + self.share * window.count("deposits", now)
        return earned - window.count("withdrawals", now)

    def statistics(self, now: float) -> BudgetStatistics:
        window = self._window
        return BudgetStatistics(
            balance=self.balance(now),
            deposits=window.count("deposits", now),
            withdrawals=window.count("withdrawals", now),
        )


class ClassedBudget:
    """One budget for all requests, and one for each class of them: a retry has to be granted by both.

    So no class can spend what the others' requests deposited, and all together stay within the bound above.
    """

    __slots__ = ("_classes", "_floor", "_share")

    def __init__(
        self, classes: Iterable[str], share: float = 0.1, floor: float = 1.0, life: float = 10.0
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
        return self._whole(now).balance >= 1.0 - 1e-9 and self._classes[name].withdraw(now)

    def _whole(self, now: float) -> BudgetStatistics:
        """The budget for all together: nothing is counted twice for it, since retries are rarer than requests."""
        classes = [budget.statistics(now) for budget in self._classes.values()]
        deposits = sum([each.deposits for each in classes])
        withdrawals = sum([each.withdrawals for each in classes])
        return BudgetStatistics(self._floor + self._share * deposits - withdrawals, deposits, withdrawals)

    def statistics(self, now: float) -> dict[str, BudgetStatistics]:
        """By class; the one for all together under an empty name."""
        return {"": self._whole(now)} | {
            name: budget.statistics(now) for name, budget in self._classes.items()
        }
