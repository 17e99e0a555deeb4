"""I1, I2 and I6: how requests end, as their clients see it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from ..history import Attempted, Booked, Ended, Granted, History, Started
from ..story import Story
from .violation import Violation, by_request, idle_callers, standstill

__all__ = ["committed", "complete", "ended"]

_GRACE: Final = 0.25


def ended(story: Story, history: History) -> list[Violation]:
    """Each request has one end for its client, and one in the books, both by its deadline."""
    found = []
    ends, books = by_request(history.of(Ended)), by_request(history.of(Booked))
    idle = idle_callers(story)
    for start in history.of(Started):
        request = start.request
        mine = ends.get(request, [])
        if len(mine) != 1:
            found.append(Violation("I1", start.at, request, f"has {len(mine)} ends"))
            continue
        end = mine[0]
        latest = start.deadline + _GRACE + standstill(history, start.at, start.deadline + _GRACE)
        if end.prompt and end.how != "left" and end.at > latest:
            late = f"its end came {end.at - start.deadline:.3f} s after its deadline"
            found.append(Violation("I1", end.at, request, late))
        if end.prompt and end.how == "cut":
            found.append(Violation("I1", end.at, request, "was cut without a word"))
        last = [book for book in books.get(request, []) if book.last]
        if len(last) > 1 or (not last and end.how != "left"):
            found.append(Violation("I1", end.at, request, f"has {len(last)} last entries in the books"))
        found += [
            Violation(
                "I1", book.at, request, f"was booked {book.at - start.deadline:.3f} s after its deadline"
            )
            for book in last
            if book.at > latest and request not in idle
        ]
    return found


def complete(story: Story, history: History) -> list[Violation]:
    """What is shown as whole is one whole answer of one vendor; what is shown at all is the beginning of one.

    Where a client wished that others go on, that holds for each part.
    """
    found = []
    attempts = by_request(history.of(Attempted))
    for end in history.of(Ended):
        mine = attempts.get(end.request, [])
        *before, last = _parts(end)
        if end.how == "complete" and not any(
            each.outcome == "complete" and _is(last, each.text, bool(before)) for each in mine
        ):
            tried = ", ".join([f"{each.vendor} {each.step!r}: {each.outcome}" for each in mine]) or "nobody"
            found.append(Violation("I2", end.at, end.request, f"is shown as complete; of {tried}"))
        if end.how != "complete":
            before.append(last)
        for number, part in enumerate(before):
            if part and not any(_begins(part, each.text, bool(number)) for each in mine):
                said = f"shows {part[-40:]!r} at its end, which is the beginning of no answer"
                found.append(Violation("I2", end.at, end.request, said))
    return found


def _parts(end: Ended) -> list[str]:
    """The text, cut at its seams."""
    places = [0, *end.seams, len(end.text)]
    return [end.text[first:last] for first, last in pairwise(places)]


def _is(part: str, text: str, sewn: bool) -> bool:
    """Whether a part is a whole text; at a seam blanks may be missing that were there before."""
    return part == text or (sewn and part.lstrip() == text.lstrip())


def _begins(part: str, text: str, sewn: bool) -> bool:
    return text.startswith(part) or (sewn and text.lstrip().startswith(part.lstrip()))


def committed(story: Story, history: History) -> list[Violation]:
    """After the client has seen the first content of a stream nobody else is asked, unless it wished so."""
    willing = {each.number for each in story.clients if each.midstream in ("continue", "restart")}
    streams = {each.request for each in history.of(Started) if each.stream} - willing
    begun = {each.request: each.first_at for each in history.of(Ended) if each.first_at is not None}
    return [
        Violation("I6", each.at, each.request, f"got a lease of {each.deployment} after its answer had begun")
        for each in history.of(Granted)
        if each.request in streams and each.at > begun.get(each.request, math.inf)
    ]
