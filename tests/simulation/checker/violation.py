"""What a check finds, and what all checks need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from ..history import Attempted, Granted, History, Jumped, Settled
from ..story import JITTER, Story

__all__ = ["Leased", "Violation", "by_request", "leases", "standstill"]


_SAME_TIME: Final = 1e-6


class Violation(Struct, frozen=True):
    """A promise that was broken: which, when, about which request (0: none), and what was found."""

    promise: str
    at: float
    request: int
    found: str

    def __str__(self) -> str:
        about = f" request {self.request}:" if self.request else ""
        return f"{self.promise} at {self.at:.4f}:{about} {self.found}"


class Leased(Struct, kw_only=True):
    """One permit, from its grant to its return, and the vendor's view of what it was used for (None: never arrived)."""

    request: int
    vendor: str
    deployment: str
    granted_at: float
    start_at: float
    input: float
    output: float
    settled: Settled | None = None
    attempt: Attempted | None = None


class _OfRequest(Protocol):
    @property
    def request(self) -> int: ...


R = TypeVar("R", bound=_OfRequest)


def by_request(records: Iterable[R]) -> dict[int, list[R]]:
    """What is told of each request, in order."""
    found: dict[int, list[R]] = defaultdict(list)
    for record in records:
        found[record.request].append(record)
    return found


def standstill(history: History, begin: float, end: float) -> float:
    """Seconds for which the loop stood still between two times: nobody could do anything then."""
    jumps = [each for each in history.of(Jumped) if not each.wall and each.seconds > 0]
    return sum([each.seconds for each in jumps if begin - each.seconds <= each.at <= end])


def idle_callers(story: Story) -> set[int]:
    """Requests of a library's callers who do not ask for the next event: their deadline is minded when they do."""
    return {
        each.number for each in story.clients if each.library and each.behaviour.kind in ("stops", "slow")
    }


def price(story: Story, vendor: str) -> tuple[int, int]:
    """Dollars for a million tokens of input and output; see `world.configuration`."""
    number = int(vendor.removeprefix("v"))
    return 2 + number, 6 + number


def key_of(story: Story, deployment: str) -> str:
    """The key under which a deployment is used: they are numbered from the second on."""
    vendor = next(each for each in story.vendors if each.name == deployment.partition("/")[0])
    number = deployment.partition("#")[2]
    return vendor.keys[int(number) - 1 if number else 0]


def leases(history: History) -> list[Leased]:
    """Every lease that was granted, with its settlement and with the vendor's view of it."""
    found: dict[tuple[str, int], Leased] = {}
    for record in history.records:
        if isinstance(record, Granted):
            found[record.vendor, record.permit] = Leased(
                request=record.request,
                vendor=record.vendor,
                deployment=record.deployment,
                granted_at=record.at,
                start_at=record.start_at,
                input=record.input,
                output=record.output,
            )
        elif isinstance(record, Settled) and (record.vendor, record.permit) in found:
            lease = found[record.vendor, record.permit]
            lease.settled = lease.settled or record
    mine: dict[tuple[int, str], list[Leased]] = defaultdict(list)
    for lease in found.values():
        mine[lease.request, lease.vendor].append(lease)
    for attempt in history.of(Attempted):
        candidates = mine[attempt.request, attempt.vendor]
        # A request may lie at a vendor's that is slow to accept it when the house has given it up already.
        for late in (_SAME_TIME, JITTER):
            chosen = _lease_of(attempt, candidates, late)
            if chosen is not None:
                chosen.attempt = attempt
                break
    return list(found.values())


def _lease_of(attempt: Attempted, leased: list[Leased], late: float) -> Leased | None:
    """The lease that an attempt was made under."""
    for lease in leased:
        settled = lease.settled
        if settled is not None and not settled.sent:
            continue
        until = attempt.at if settled is None else settled.at
        if lease.attempt is None and lease.granted_at - _SAME_TIME <= attempt.at <= until + late:
            return lease
    return None
