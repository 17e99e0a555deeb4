"""I3: what the house booked against what the vendors charge, attempt by attempt.

An attempt at a vendor and its entry in the books belong together if they are of the same request and key, and the
vendor read the request between the entry's begin and its end: one request asks a vendor once at a time.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from ..history import Attempted, Booked, History
from ..story import JITTER, Story
from .violation import Violation, by_request, key_of, price

__all__ = ["booked"]

_MILLION: Final = 1_000_000
_SAME_TIME: Final = 1e-6


def booked(story: Story, history: History) -> list[Violation]:
    """Every attempt is booked; exactly, where the vendor said what it used, and else with a ceiling that holds."""
    found = []
    books = by_request([each for each in history.of(Booked) if each.deployment is not None])
    for request, attempts in by_request(history.of(Attempted)).items():
        entries = list(books.get(request, []))
        for attempt in attempts:
            entry = _entry_of(story, attempt, entries)
            if entry is None:
                said = f"{attempt.vendor}'s attempt {attempt.number} ({attempt.step}) is not in the books"
                found.append(Violation("I3", attempt.at, request, said))
                continue
            entries.remove(entry)
            found += _compare(story, entry, attempt)
        books[request] = entries
    found += [
        Violation("I3", each.at, request, f"{each.deployment} was booked {each.cost} that nobody charges")
        for request, left in books.items()
        for each in left
        if each.exact and each.cost
    ]
    return found


def _entry_of(story: Story, attempt: Attempted, entries: list[Booked]) -> Booked | None:
    """The entry for an attempt."""
    # A request may lie at a vendor's that is slow to accept it when the house has given it up already.
    for late in (_SAME_TIME, JITTER):
        for entry in entries:
            if _of_deployment(story, entry, attempt) and within(entry.begun, attempt.at, entry.at, late):
                return entry
    return None


def _of_deployment(story: Story, entry: Booked, attempt: Attempted) -> bool:
    """Whether an entry is for the vendor, key and model of an attempt, and for something that can have arrived there."""
    deployment = entry.deployment or ""
    vendor, _, model = deployment.partition("#")[0].partition("/")
    if (vendor, model) != (attempt.vendor, attempt.model) or not entry.sent:
        return False
    return key_of(story, deployment) == attempt.key


def within(begin: float, at: float, end: float, late: float) -> bool:
    """Whether a time lies between two others, give or take rounding, or at most `late` seconds after them."""
    return begin - _SAME_TIME <= at <= end + late


def _compare(story: Story, entry: Booked, attempt: Attempted) -> list[Violation]:
    input_price, output_price = price(story, attempt.vendor)
    charged = Decimal(attempt.billed_input * input_price + attempt.billed_output * output_price) / _MILLION
    name = f"{attempt.vendor}'s attempt {attempt.number} ({attempt.step}, {attempt.outcome})"
    found = []
    if entry.exact:
        theirs = (attempt.billed_input, attempt.billed_output)
        if (entry.input, entry.output) != theirs or entry.cost != charged:
            found.append(
                f"{name}: settled as {entry.input}+{entry.output} ({entry.cost}), charged {theirs} ({charged})"
            )
    elif entry.ceiling is None or entry.ceiling < charged:
        found.append(f"{name}: at most {entry.ceiling} was expected, charged {charged}")
    if not entry.exact and entry.fault is None and attempt.outcome == "complete" and attempt.told:
        found.append(f"{name}: the vendor said what it used, and it was estimated all the same")
    return [Violation("I3", entry.at, entry.request, each) for each in found]
