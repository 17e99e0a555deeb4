"""What the dispatcher gives back: the vendor's completion, and how it came about."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from .canon import Completion, ToolCall, Usage
from .vectors import Embeddings

__all__ = ["AttemptRecord", "Delivery", "EmbeddingsReply", "Reply", "cost_of_attempts"]


class AttemptRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt: who was asked, how it ended, how long it took, and what it cost.

    `fault` is None for success. Times are seconds; `cost` is in dollars and None where it is not known.
    """

    vendor: str
    deployment: str
    fault: str | None = None
    message: str | None = None
    seconds: float = 0.0
    first_token: float | None = None
    usage: Usage | None = None
    cost: Decimal | None = None
    bill: str = "settled"
    """What `cost` rests on: `settled` on the vendor's report, `estimated` on the house's own count, `unknown` on a
    guess (nothing came back), `released`: it is certain that nothing is billed."""
    ceiling: Decimal | None = None
    """The most that the vendor may bill for it; `cost` where that is settled."""
    superseded: bool = False
    """It lost a race against a hedge, or as one, and was cancelled."""


def cost_of_attempts(attempts: Iterable[AttemptRecord]) -> Decimal | None:
    """What they cost together, in dollars; None if any part of it is not known."""
    cost = Decimal(0)
    for attempt in attempts:
        if attempt.cost is None:
            return None
        cost += attempt.cost
    return cost


class Delivery(Struct, frozen=True, kw_only=True):
    """How an answer came about. `cost` covers every attempt that was made for it; None if any part of it is not known."""

    request_id: str
    vendor: str
    deployment: str
    model: str
    """The deployment's model as the configuration names it."""
    attempts: tuple[AttemptRecord, ...]
    cost: Decimal | None
    seconds: float
    dropped: tuple[str, ...] = ()
    """Wishes that the vendor's interface cannot express and that were left out (`on_unsupported = "drop"`)."""
    panic: bool = False
    """Nobody in good health was left: it was served by a deployment whose circuit was open."""


class EmbeddingsReply(Delivery, frozen=True, kw_only=True):
    """The vectors. Where the request was sent in several calls `vendor` and `deployment` are those of the first."""

    embeddings: Embeddings

    @property
    def vectors(self) -> list[list[float]]:
        """One list of numbers for each input, in their order. Made anew at each call."""
        return self.embeddings.floats()

    @property
    def usage(self) -> Usage | None:
        """What the vendors reported, summed; None if any of the calls came without."""
        return self.embeddings.usage


class Reply(Delivery, frozen=True, kw_only=True):
    """An answer."""

    completion: Completion
    first_token: float | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        choices = self.completion.choices
        return choices[0].text if choices else ""

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls of the first choice."""
        choices = self.completion.choices
        return choices[0].tool_calls if choices else []

    @property
    def usage(self) -> Usage | None:
        """What the vendor reported for the answer, or None."""
        return self.completion.usage
