"""What one attempt costs: a small machine from the reservation to the settlement. Pure. ::

    RESERVED --send--> SENT --settle--> SETTLED     the vendor's own final report
        |                |------------> ESTIMATED   interrupted, or never reported: what passed was counted
        |                |------------> UNKNOWN     nothing came, and the vendor may have billed all of it
        '----settle------'------------> RELEASED    nothing was sent, or it was refused by a fault known to be free

The rule that everything here serves: what was settled exactly, and the ceilings of the rest, together are never
less than what the vendors bill. So an attempt is only free when that is certain: what is refused after a status of 200
had been taken on. A retry is an attempt with a bill of its own and changes nothing about this one; what passed is
counted as it passes, because an interrupted stream often ends before its usage; and of what was reported and what
was counted the larger holds. A final report is believed as it is, zeros included.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from ..actors.faults import FaultClass, Money, consequence
from ..actors.messages import Spent, Used
from .canon import Fault, Usage
from .config.schema import Price
from .estimate import BYTES_PER_TOKEN
from .prices import cost_of, most_cost_of

__all__ = ["Bill", "BillState"]

_NOTHING: Final = Spent(cost=Decimal(0), ceiling=Decimal(0))
_OURS: Final = frozenset({FaultClass.CLIENT_GONE, FaultClass.LOCAL})
"""Who left was not the vendor: it had taken the request, and will bill the input at least."""


class BillState(enum.Enum):
    """See the module's docstring."""

    RESERVED = "reserved"
    SENT = "sent"
    SETTLED = "settled"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"
    RELEASED = "released"


# Looking a member up costs more than comparing it.
_RESERVED, _SENT, _SETTLED = BillState.RESERVED, BillState.SENT, BillState.SETTLED
_RELEASED, _UNKNOWN = BillState.RELEASED, BillState.UNKNOWN


class Bill:
    """One attempt's. `input_tokens` is an estimate; `most` the largest usage that can be billed, worked out if needed."""

    __slots__ = (
        "_accepted", "_characters", "_final", "_input_tokens", "_most", "_open_choices", "_pieces", "_price", "spent", "state",
        "usage",
    )  # fmt: skip

    def __init__(
        self, price: Price | None, input_tokens: int, most: Callable[[], Usage], choices: int = 1
    ) -> None:
        self.state = _RESERVED
        self.usage: Usage | None = None
        """The vendor's last report."""
        self.spent = Spent()
        """What it came to, once settled."""
        self._price = price
        self._input_tokens = input_tokens
        self._most = most
        self._open_choices = choices
        self._pieces = 0
        self._characters = 0
        self._final = False
        self._accepted = False

    def send(self) -> None:
        """It was sent: the vendor may bill."""
        self.state = _SENT

    def accept(self) -> None:
        """The vendor has taken the request on: whatever it says after that, it may bill the input at least."""
        self._accepted = True

    def unpriced(self) -> None:
        """What it costs cannot be known, and is never told as nothing."""
        self._price = None

    def count(self, pieces: int, characters: int) -> None:
        """So much content has passed."""
        self._pieces += pieces
        self._characters += characters

    def finish(self) -> None:
        """A choice is complete: once all are, a report is the final one."""
        self._open_choices -= 1

    def report(self, usage: Usage) -> None:
        """The vendor says what was used so far; each report replaces the one before it."""
        self.usage = usage
        self._final = self._open_choices <= 0

    @property
    def counted(self) -> int:
        """Output tokens that were seen to pass: at least one a piece."""
        return max(self._pieces, math.ceil(self._characters / BYTES_PER_TOKEN))

    @property
    def seen(self) -> bool:
        """Whether the vendor demonstrably began to work."""
        return self._pieces > 0 or self.usage is not None

    def settle(self, fault: Fault | None, *, complete: bool) -> Spent:
        """The end, once. `complete`: the vendor ended its answer, whatever became of the caller."""
        if self.state is _SENT:
            self.state = self._ending(fault, complete=complete)
        elif self.state is _RESERVED:
            self.state = _RELEASED
        else:
            raise RuntimeError(f"the bill was settled before: {self.state}")
        self.spent = self._settled()
        return self.spent

    def _ending(self, fault: Fault | None, *, complete: bool) -> BillState:
        if self.usage is not None and (complete or self._final):
            return _SETTLED
        if fault is None or complete or self.seen or fault.kind in _OURS:
            return BillState.ESTIMATED
        money = consequence(fault.kind, fault.status).money
        if money is Money.NONE:
            return BillState.ESTIMATED if self._accepted else _RELEASED
        return BillState.ESTIMATED if money is Money.BILLED else _UNKNOWN

    def _settled(self) -> Spent:
        if self.state is _RELEASED:
            return _NOTHING
        exact = self.state is _SETTLED
        usage = self.usage if exact and self.usage is not None else self._guess()
        cost = cost_of(usage, self._price)
        ceiling = cost if exact or cost is None else max(cost, most_cost_of(self._most(), self._price))
        return Spent(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost=cost,
            estimated=not exact,
            ceiling=ceiling,
        )

    def _guess(self) -> Usage:
        """The input, and the output that was seen; what was reported so far is the least of it."""
        reported = self.usage or Usage()
        return msgspec.structs.replace(
            reported,
            input_tokens=reported.input_tokens or self._input_tokens,
            output_tokens=max(reported.output_tokens, self.counted),
        )

    def used(self) -> Used | None:
        """What the vendor's limits are charged, once settled. None where nothing is known: the reservation stays."""
        if self.state is _UNKNOWN:
            return None
        spent = self.spent
        return Used(
            spent.input_tokens,
            spent.cache_read_tokens,
            spent.output_tokens,
            0.0 if spent.cost is None else float(spent.cost),
        )
