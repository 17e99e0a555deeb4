"""The vendor's own books: what each attempt cost, counted here and nowhere else.

The rule of tokens, simple so that anybody can count along:

- input: all characters of the request's texts, divided by four and rounded up;
- output: one token for every event with content, and in an answer that is not streamed, for every piece of about
  four characters that would have been one.

A token is *generated* when its time has come, and *sent* when its event has been written whole. The vendor reports
in usage what it has generated, and charges by `script.Billing`. Nothing here uses the dispatcher's code.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Literal, TypeAlias

import trio
from msgspec import Struct

from .script import Bill, Billing

__all__ = ["CHARACTERS_PER_TOKEN", "Attempt", "Meter", "Outcome", "Totals", "input_tokens", "masked"]

CHARACTERS_PER_TOKEN = 4

_MOST_ACCOUNTS = 10_000
"""Keys and models that have a total of their own; further ones are summed up under `(others)`."""

Outcome: TypeAlias = Literal["complete", "refused", "unanswered", "broken", "client_closed"]
"""How an attempt ended. `complete`: a whole, sound answer was written. `refused`: a whole error was. `unanswered`: the
script had the request met with silence, or with the connection's end. `broken`: the script spoilt the answer or broke
it off. `client_closed`: the client left before the answer's end, whatever it was to be."""


def input_tokens(characters: int) -> int:
    """Tokens of a request whose texts have so many characters."""
    return -(-characters // CHARACTERS_PER_TOKEN)


class Attempt(Struct, kw_only=True):
    """One request as the vendor saw it. Times are on trio's clock, in seconds."""

    number: int
    """Counts from 1; the answer's id and its `x-request-id` end with it."""
    connection: int
    at: float
    """When the request had been read."""
    format: str
    model: str
    key: str
    """As sent, or masked if it is long enough to be a real one."""
    stream: bool
    digest: str
    """Of the request's body: equal bodies have equal digests."""
    step: str
    """What the script had in store."""
    input_tokens: int
    planned_tokens: int = 0
    generated_tokens: int = 0
    sent_tokens: int = 0
    status: int | None = None
    """None when no head was written."""
    bytes_sent: int = 0
    """Of the answer, head and framing included."""
    delivered: bool = False
    """Whether all that was to be sent was written while the client was there; what lies beyond, no server can know."""
    client_closed_at: float | None = None
    """When the vendor noticed that the client had left before the answer's end."""
    finished_at: float | None = None
    outcome: Outcome | None = None
    """None while it is under way."""
    billed_input: int = 0
    billed_output: int = 0


class Totals(Struct):
    """Sums over attempts that have ended."""

    attempts: int = 0
    complete: int = 0
    refused: int = 0
    unanswered: int = 0
    broken: int = 0
    client_closed: int = 0
    input_tokens: int = 0
    """Billed; so are the output tokens."""
    output_tokens: int = 0

    def add(self, attempt: Attempt, outcome: Outcome) -> None:
        """Count an attempt that has ended."""
        self.attempts += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.input_tokens += attempt.billed_input
        self.output_tokens += attempt.billed_output


class Meter:
    """Bills attempts, sums them up, and remembers the last `most` of them; sums are never forgotten."""

    def __init__(self, billing: Billing, most: int) -> None:
        self.billing = billing
        self.total = Totals()
        self.by_key: dict[str, Totals] = {}
        self.by_model: dict[str, Totals] = {}
        self.begun = 0
        self.under_way: dict[int, Attempt] = {}
        self._history: deque[Attempt] = deque(maxlen=most)
        self._idle = trio.lowlevel.ParkingLot()

    @property
    def history(self) -> list[Attempt]:
        """The attempts that are remembered, in order of arrival, those under way included."""
        return list(self._history)

    def last(self, count: int) -> list[Attempt]:
        """The last `count` of the history."""
        return list(islice(self._history, max(0, len(self._history) - count), None))

    async def wait_idle(self) -> None:
        """Return when no attempt is under way."""
        await trio.lowlevel.checkpoint()
        while self.under_way:
            await self._idle.park()

    def begin(self, attempt: Attempt) -> None:
        """Take an attempt into the books."""
        self.begun += 1
        self.under_way[attempt.number] = attempt
        self._history.append(attempt)

    def end(self, attempt: Attempt, outcome: Outcome, bill: Bill | None, now: float) -> None:
        """Bill an attempt, by `bill` or else by its outcome. Once an attempt."""
        del self.under_way[attempt.number]
        attempt.outcome = outcome
        attempt.finished_at = now
        rule: Bill = bill or getattr(self.billing, outcome)
        if rule != "nothing":
            attempt.billed_input = attempt.input_tokens
        if rule == "generated":
            hidden = outcome == "refused"
            attempt.billed_output = attempt.planned_tokens if hidden else attempt.generated_tokens
        self.total.add(attempt, outcome)
        for accounts, name in ((self.by_key, attempt.key), (self.by_model, attempt.model)):
            if name not in accounts and len(accounts) >= _MOST_ACCOUNTS:
                name = "(others)"
            accounts.setdefault(name, Totals()).add(attempt, outcome)
        if not self.under_way:
            self._idle.unpark_all()


def masked(key: str) -> str:
    """A key as it may be shown: short ones, which tests use, as they are, and of others the two ends."""
    return key if len(key) <= 16 else f"{key[:4]}...{key[-4:]}"
