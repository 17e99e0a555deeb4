"""What a worker and the parent say to one another, beside the words on limits (`machines.claims`)."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from ...actors.machines.claims import Answer, Report, Terms
from ...actors.messages import Cause

__all__ = [
    "Closure",
    "Declare",
    "FromWorker",
    "Gather",
    "Gathered",
    "Image",
    "News",
    "Portrait",
    "Question",
    "Ready",
    "Reply",
    "Stop",
    "ToWorker",
    "Welcome",
]


class Closure(Struct, frozen=True, array_like=True):
    """An account or a deployment (`scope`) of `vendor` is closed for so many seconds; see `messages.Closing`."""

    vendor: str
    scope: str
    seconds: float
    cause: Cause
    day: bool = False


class News(Struct, frozen=True, tag=True):
    """What has been closed: from the worker that found it out, and from the parent to the others."""

    closures: tuple[Closure, ...]


# --- from a worker ------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag=True):
    """It serves."""


class Declare(Struct, frozen=True, tag=True):
    """Limits that are shared, by name."""

    pools: dict[str, Terms]


class Image(Struct, frozen=True, tag=True):
    """Its statistics so far (`tallies.LedgerImage`), for when it is killed. The parent need not read them before."""

    ledger: bytes


class Gather(Struct, frozen=True, tag=True):
    """Ask the others, and say what they answered. `kind`: `stats`, or an order's word; `body`: its target."""

    number: int
    kind: str
    body: str = ""


class Reply(Struct, frozen=True, tag=True):
    """The answer to the parent's `Question` of that number."""

    number: int
    body: bytes


FromWorker: TypeAlias = Ready | Declare | Report | News | Image | Gather | Reply


# --- to a worker --------------------------------------------------------------------------------


class Welcome(Struct, frozen=True, tag=True):
    """The first word. `loaded` is the pickled configuration: read once, by the parent, so that a worker that is started again
    has the same. `orders`: those in force, as (target, order)."""

    worker: int
    workers: int
    loaded: bytes
    log_level: str
    announces: bool
    orders: tuple[tuple[str, str], ...] = ()


class Stop(Struct, frozen=True, tag=True):
    """The parent was sent this signal, once more: told here, since whoever stops a service may send it to every process himself."""

    signal: int


class Question(Struct, frozen=True, tag=True):
    """Another worker asks; see `Gather`."""

    number: int
    kind: str
    body: str = ""


class Gathered(Struct, frozen=True, tag=True):
    """What the others answered, by worker; those that did not in time are `missing`, with their last `images` by worker.

    `former`: the statistics of workers that are no more.
    """

    number: int
    parts: dict[int, bytes]
    missing: tuple[int, ...] = ()
    images: tuple[bytes, ...] = ()
    former: bytes = b""


ToWorker: TypeAlias = Welcome | Stop | Answer | News | Question | Gathered


class Portrait(Struct, frozen=True):
    """A worker as it describes itself: its `GET /v1/stats` but for the statistics, as JSON, and those as `tallies.LedgerImage`."""

    standing: bytes
    ledger: bytes
