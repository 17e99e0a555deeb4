"""What happened in one world, as records in the order in which it happened: all that the checker goes by.

Times are seconds on trio's clock. A request is known by its number in the story, an attempt at the vendor by the vendor's
own number, a permit by its vendor and number. The history of a seed is the same in every run of it, down to the last byte:
`digest` says so in one line.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

__all__ = [
    "Attempted",
    "Audited",
    "Booked",
    "Census",
    "Content",
    "Crashed",
    "Ended",
    "Granted",
    "History",
    "Jumped",
    "Logged",
    "Peak",
    "Record",
    "Refused",
    "Settled",
    "Started",
]


class Record(Struct, frozen=True, kw_only=True, tag=True):
    """Anything that happened."""

    at: float


class Started(Record, frozen=True, kw_only=True):
    """A client has sent its request. It is to have an end by `deadline`."""

    request: int
    deadline: float
    stream: bool


class Granted(Record, frozen=True, kw_only=True):
    """The house leased a deployment to a request; `input` and `output` are the tokens that it reserved."""

    request: int
    vendor: str
    deployment: str
    permit: int
    start_at: float
    probe: bool = False
    desperate: bool = False
    input: float = 0.0
    output: float = 0.0


class Refused(Record, frozen=True, kw_only=True):
    """The house had nobody for a request, for these causes."""

    request: int
    causes: list[str]


class Content(Record, frozen=True, kw_only=True):
    """The house told a vendor's actor that content has begun."""

    request: int
    vendor: str
    permit: int


class Settled(Record, frozen=True, kw_only=True):
    """The house gave a permit back."""

    request: int
    vendor: str
    deployment: str
    permit: int
    fault: str | None = None
    sent: bool = True
    committed: bool = False
    retry_at: float | None = None
    input: int | None = None
    output: int | None = None


class Booked(Record, frozen=True, kw_only=True):
    """The house told its statistics of an attempt, or (without a deployment) of a request's end without one.

    `cost` is what it booked and `ceiling` the most that it says the vendor may bill, in dollars; `exact`: by the vendor's
    own report. `sent`: False if provably nothing was.
    """

    request: int
    deployment: str | None
    sent: bool = True
    fault: str | None = None
    last: bool = False
    begun: float = 0.0
    exact: bool = True
    input: int = 0
    output: int = 0
    cost: Decimal | None = None
    ceiling: Decimal | None = None


class Attempted(Record, frozen=True, kw_only=True):
    """One attempt as its vendor saw it, from its books; `at` is when the request had been read.

    `text` is what the whole answer would say; `told`: whether its end reports usage. `cooldown`: until when the
    vendor asked to be left alone.
    """

    request: int
    vendor: str
    number: int
    key: str
    model: str
    stream: bool
    step: str
    outcome: str
    status: int | None
    finished_at: float
    text: str
    told: bool
    input: int
    output: int
    """Tokens that count for the limits: generated."""
    billed_input: int
    billed_output: int
    bytes: int = 0
    limited: bool = False
    """Refused by the vendor's own limits, and not by its script."""
    cooldown: float | None = None


End: TypeAlias = Literal["complete", "error", "broken", "cut", "left"]


class Ended(Record, frozen=True, kw_only=True):
    """How a request ended, as its client saw it.

    `complete`: a whole answer with its proper end. `error`: refused with a status, or a library's exception, before any content.
    `broken`: an error after content. `cut`: the connection ended without a word. `left`: the client went away by itself.
    `prompt`: whether it read whatever came without delay. `first_at`: when it saw the first content. `seams`: where in
    the text another vendor went on with it, as the client had wished.
    """

    request: int
    how: End
    status: int | None = None
    code: str | None = None
    text: str = ""
    events: int = 0
    prompt: bool = True
    first_at: float | None = None
    seams: list[int] = []


class Crashed(Record, frozen=True, kw_only=True):
    """An actor's life ended over a message (`permit`: which it was about); `injected`: the story made it so."""

    actor: str
    injected: bool
    message: str
    what: str = ""
    permit: int = 0


class Audited(Record, frozen=True, kw_only=True):
    """A vendor's vault before the message that its actor crashed over, and after the audit that followed.

    Each gauge has the time until which it is closed, and what is available in each of its buckets.
    `slack`: what the message itself may have given back.
    """

    vendor: str
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    slack: dict[str, float]


class Jumped(Record, frozen=True, kw_only=True):
    """The event loop stood still for so many seconds; or (`wall`) the wall clock jumped."""

    seconds: float
    wall: bool = False


class Logged(Record, frozen=True, kw_only=True):
    """The house logged an error."""

    event: str
    detail: str = ""


class Peak(Record, frozen=True, kw_only=True):
    """The most that something bounded has held, and its bound."""

    what: str
    most: float
    bound: float


class Census(Record, frozen=True, kw_only=True):
    """Everything that there is of something that should have come back to where it was, and what it should be."""

    what: str
    found: float
    expected: float


R = TypeVar("R", bound=Record)


class History:
    """The records of one run."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, record: Record) -> None:
        """It has happened."""
        self.records.append(record)

    def of(self, kind: type[R]) -> list[R]:
        """All records of one kind, in order."""
        return [each for each in self.records if type(each) is kind]

    def about(self, request: int) -> list[Record]:
        """All records of one request, in order."""
        return [each for each in self.records if getattr(each, "request", None) == request]

    def digest(self) -> str:
        """A hash of everything."""
        found = hashlib.sha256()
        for record in self.records:
            found.update(msgspec.json.encode(record))
        return found.hexdigest()[:16]


def line(record: Record) -> str:
    """One record in one line, for people."""
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    at = fields.pop("at")
    said = " ".join(
        [
            f"{name}={str(value)[:60]!s}"
            for name, value in fields.items()
            if value not in (None, "", [], False)
        ]
    )
    return f"{at:10.4f}  {type(record).__name__.lower():<9}  {said}"
