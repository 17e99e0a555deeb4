"""I5, I7, I8, I9, and whether the house is well: bounds, leaks, permits, crashes, recovery."""

from __future__ import annotations

from collections import Counter
from typing import Final

from ..history import (
    Attempted,
    Census,
    Crashed,
    Ended,
    Granted,
    History,
    Logged,
    Peak,
    Settled,
    Started,
)
from ..story import Story
from .violation import Leased, Violation, by_request, idle_callers, leases, standstill

__all__ = ["alive", "amplified", "bounded", "left_behind", "permits", "sound"]

_MOST_ATTEMPTS: Final = 3
_BUDGET_LIFE: Final = 60.0
_FREE: Final = frozenset({"stale_connection", "not_processed"})
_ORPHAN: Final = 1.0
"""Seconds after a request's end that a vendor may still be busy with it."""
_ALERT: Final = "the operator must act"
_ALIVE: Final = 0.999


def amplified(story: Story, history: History) -> list[Violation]:
    """At most three attempts a request, and over all of them no more than the retry budget grants: of those that come to
    nothing, when others have helped, and besides those that were under way."""
    found = []
    retries: list[Leased] = []
    for request, mine in by_request(leases(history)).items():
        counted = _counted(mine)
        retries += counted[1:]
        if len(counted) > _MOST_ATTEMPTS:
            found.append(
                Violation("I5", counted[-1].granted_at, request, f"{len(counted)} attempts were made")
            )
        arrived = [each for each in mine if each.attempt is not None]
        if len(arrived) > _MOST_ATTEMPTS + 1:
            said = f"{len(arrived)} attempts arrived, free ones included"
            found.append(Violation("I5", arrived[-1].granted_at, request, said))
    requests = len(history.of(Started))
    granted = story.retries * requests + story.floor * (story.seconds + story.total + _BUDGET_LIFE)
    in_vain = [each for each in retries if not _helped(each)]
    if len(in_vain) < len(retries):
        granted += _most_at_once(retries)
    if len(in_vain) > granted:
        said = f"{len(in_vain)} retries in vain for {requests} requests, the budget grants {granted:.1f}"
        found.append(Violation("I5", story.seconds, 0, said))
    return found


def _helped(retry: Leased) -> bool:
    """Whether it brought the answer, or the beginning of one."""
    settled = retry.settled
    return settled is not None and (settled.fault is None or settled.committed)


def _most_at_once(retries: list[Leased]) -> int:
    """The most of them that were under way at one time."""
    changes = [(each.granted_at, 1) for each in retries]
    changes += [(each.settled.at, -1) for each in retries if each.settled is not None]
    out = most = 0
    for _, change in sorted(changes):
        out += change
        most = max(most, out)
    return most


def _counted(mine: list[Leased]) -> list[Leased]:
    """Those that cost a retry, or the request itself: where the vendor was asked, but for one that it did not begin on."""
    asked = [each for each in mine if each.settled is None or not _unasked(each.settled)]
    first = next((each for each in asked if each.settled is not None and each.settled.fault in _FREE), None)
    return [each for each in asked if each is not first]


def _unasked(settled: Settled) -> bool:
    return not settled.sent and settled.fault in ("bad_request", "client_gone", "local")


def bounded(story: Story, history: History) -> list[Violation]:
    """Nothing that waits was ever more than it may be."""
    return [
        Violation("I7", each.at, 0, f"{each.what}: {each.most:g}, and {each.bound:g} is the most")
        for each in history.of(Peak)
        if each.most > each.bound
    ]


def left_behind(story: Story, history: History) -> list[Violation]:
    """At rest everything is as before; and no vendor goes on for a request that is over."""
    found = [
        Violation("I8", each.at, 0, f"{each.what}: {each.found:g} instead of {each.expected:g}")
        for each in history.of(Census)
        if each.found != each.expected
    ]
    ends = {each.request: each for each in history.of(Ended)}
    deadlines = {each.request: each.deadline for each in history.of(Started)}
    drains = {each.name for each in story.vendors if each.drains}
    idle = idle_callers(story)
    for attempt in history.of(Attempted):
        end = ends.get(attempt.request)
        if end is None or attempt.request in idle:
            continue
        # A client that does not read does not know of its end; and one may be answered although the client has left.
        over = deadlines[attempt.request]
        if end.prompt and attempt.vendor not in drains:
            over = min(over, end.at)
        over += standstill(history, over - _ORPHAN, over + _ORPHAN)
        if attempt.finished_at > over + _ORPHAN:
            said = (
                f"{attempt.vendor} was kept busy until {attempt.finished_at:.3f}, its end was at {over:.3f}"
            )
            found.append(Violation("I8", attempt.finished_at, attempt.request, said))
    return found


def permits(story: Story, history: History) -> list[Violation]:
    """Every permit came back, once."""
    granted = {(each.vendor, each.permit): each for each in history.of(Granted)}
    returned = Counter([(each.vendor, each.permit) for each in history.of(Settled)])
    found = [
        Violation(
            "I9", each.at, each.request, f"permit {each.permit} of {each.deployment} came back {times} times"
        )
        for name, each in granted.items()
        if (times := returned[name]) != 1
    ]
    return found + [
        Violation("I9", each.at, each.request, f"permit {each.permit} of {each.deployment} was never granted")
        for each in history.of(Settled)
        if (each.vendor, each.permit) not in granted
    ]


def alive(story: Story, history: History) -> list[Violation]:
    """From `well_at` on requests are served."""
    if story.well_at is None:
        return []
    clients = {each.number: each for each in story.clients}
    served, failed = 0, []
    for end in history.of(Ended):
        client = clients[end.request]
        if client.at < story.well_at or client.behaviour.kind != "stays":
            continue
        if end.how == "complete":
            served += 1
        else:
            failed.append(end)
    if not failed or served / (served + len(failed)) >= _ALIVE:
        return []
    return [
        Violation("alive", each.at, each.request, f"was not served: {each.how}, {each.code}")
        for each in failed
    ]


def sound(story: Story, history: History) -> list[Violation]:
    """No actor crashes by itself, and no error is logged but those that are the vendors'."""
    crashes = [
        Violation("sound", each.at, 0, f"{each.actor} crashed over {each.message}: {each.what}")
        for each in history.of(Crashed)
        if not each.injected
    ]
    return crashes + [
        Violation("sound", each.at, 0, f"{each.event}: {each.detail}")
        for each in history.of(Logged)
        if each.event != _ALERT
    ]
