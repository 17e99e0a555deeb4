"""I4 and I10: the vendors' limits in every window, and what is remembered of them through crashes.

The vendors count by code of their own (`benchmarks.vendor.limits`); here their books are counted once more, in windows of
several lengths, against what a bucket of the configured rate and burst lets pass.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from ..history import Attempted, Audited, Crashed, Granted, History, Settled
from ..story import Format, Story, VendorPlan, most_requests
from .violation import Leased, Violation, key_of, leases

__all__ = ["limited", "remembered"]

_WINDOWS: Final = (1.0, 10.0, 60.0)
_SAME: Final = 1e-6
_HINTED: Final = frozenset({"rate_limited", "ramp_limited", "concurrency_limited"})
_ACCOUNT_CLOSES: Final = {"auth": 300.0, "quota_exhausted": 900.0}
_DEPLOYMENT_CLOSES: Final = {"no_model": 600.0, "daily_limit": 900.0}
"""For how many seconds at least; see `actors.faults`."""
_OPEN: Final = (0.0, 0.0, "")


def limited(story: Story, history: History) -> list[Violation]:
    """No vendor had to refuse what was beyond a limit that the house was told of, and none was exceeded unseen."""
    found = [
        Violation(
            "I4",
            each.at,
            each.request,
            f"{each.vendor} refused attempt {each.number} of {each.key}: {each.step}",
        )
        for each in history.of(Attempted)
        if each.limited
    ]
    arrived: dict[tuple[str, str], list[Leased]] = defaultdict(list)
    for lease in leases(history):
        if lease.attempt is not None:
            arrived[lease.vendor, lease.attempt.key].append(lease)
    plans = {each.name: each for each in story.vendors}
    for (vendor, key), group in sorted(arrived.items()):
        group.sort(key=_arrival)
        found += _count_requests(plans[vendor], key, group, story.jitter)
        found += _count_tokens(plans[vendor], key, group, story.jitter)
    return found


def _arrival(lease: Leased) -> float:
    return 0.0 if lease.attempt is None else lease.attempt.at


def _count_requests(plan: VendorPlan, key: str, group: list[Leased], jitter: float) -> list[Violation]:
    if plan.limits.requests is None:
        return []
    times = [_arrival(lease) for lease in group]
    for window in _WINDOWS:
        most, first = most_requests(plan.limits, window), 0
        for last, at in enumerate(times):
            while times[first] <= at - (window - jitter):
                first += 1
            if last - first + 1 > most:
                said = f"{last - first + 1} requests with {key} in {window:g} s, at most {most} may pass"
                return [Violation("I4", at, group[last].request, said)]
    return []


def _count_tokens(plan: VendorPlan, key: str, group: list[Leased], jitter: float) -> list[Violation]:
    """Tokens in a window may exceed what the bucket lets pass by as much as they had been under-estimated, and no more."""
    if plan.limits.tokens is None:
        return []
    for window in _WINDOWS:
        most = plan.limits.tokens * (1 + window / 60.0)
        first, total, excused = 0, 0.0, 0.0
        for lease in group:
            used, known = _tokens(lease, plan.format)
            total, excused = total + used, excused + max(0.0, used - known)
            while _arrival(group[first]) <= _arrival(lease) - (window - jitter):
                gone, thought = _tokens(group[first], plan.format)
                total, excused = total - gone, excused - max(0.0, gone - thought)
                first += 1
            if total > most + excused + _SAME:
                said = f"{total:.0f} tokens with {key} in {window:g} s, at most {most:.0f} + {excused:.0f} may pass"
                return [Violation("I4", _arrival(lease), lease.request, said)]
    return []


def _tokens(lease: Leased, format: Format) -> tuple[float, float]:
    """What was used, and the least that the house thought it was, before or after. Gemini counts only the input."""
    attempt, settled = lease.attempt, lease.settled
    if attempt is None:
        return 0.0, 0.0
    outputs = 0 if format == "gemini" else 1
    known = lease.input + outputs * lease.output
    if settled is not None and settled.input is not None and settled.output is not None:
        known = min(known, settled.input + outputs * settled.output)
    elif settled is not None and settled.fault is not None and not attempt.input:
        known = 0.0
    return float(attempt.input + outputs * attempt.output), known


# --- memory -------------------------------------------------------------------------------------


def remembered(story: Story, history: History) -> list[Violation]:
    """No crash reopens anything or refills a bucket, and nothing is asked before the time that it was closed for."""
    return _audits(history) + _closings(story, history)


def _audits(history: History) -> list[Violation]:
    return [
        Violation("I10", audit.at, 0, f"{audit.vendor}: {gauge}: {what}: {said}")
        for audit in history.of(Audited)
        for gauge, before in audit.before.items()
        for what, value in before.items()
        if (said := _lost(what, value, audit.after[gauge][what], audit))
    ]


def _lost(what: str, before: float, after: float, audit: Audited) -> str | None:
    """What is wrong with a gauge after a crash; None if nothing is."""
    if what.startswith("closed"):
        forgotten = after < before - _SAME and before > audit.at
        return f"closed until {before:.3f}, and only until {after:.3f} after the crash" if forgotten else None
    slack = audit.slack.get("requests" if "requests" in what else "tokens", 0.0)
    refilled = after > before + slack + _SAME
    return f"{before:.3f}, and {after:.3f} after the crash" if refilled else None


def _closings(story: Story, history: History) -> list[Violation]:
    found = []
    # The message over which an actor crashed is not handled again.
    lost = {(each.actor, each.permit) for each in history.of(Crashed) if each.message == "Settle"}
    closed: dict[str, tuple[float, float, str]] = {}
    for record in history.records:
        if isinstance(record, Settled) and (f"vendor {record.vendor}", record.permit) not in lost:
            place, until = _closing(story, record)
            if until > closed.get(place, _OPEN)[1]:
                closed[place] = (record.at, until, f"{record.deployment}: {record.fault}")
        elif isinstance(record, Granted):
            for place in (record.deployment, f"{record.vendor} {key_of(story, record.deployment)}"):
                since, until, why = closed.get(place, _OPEN)
                # What was under way at that very moment is not called back.
                if record.at > since and record.start_at < until - _SAME:
                    said = f"{record.deployment} was leased from {record.start_at:.3f} on, closed until {until:.3f} by {why}"
                    found.append(Violation("I10", record.at, record.request, said))
    return found


def _closing(story: Story, record: Settled) -> tuple[str, float]:
    """What a fault closes, and until when."""
    fault = record.fault or ""
    if fault in _ACCOUNT_CLOSES:
        return f"{record.vendor} {key_of(story, record.deployment)}", record.at + _ACCOUNT_CLOSES[fault]
    if fault in _DEPLOYMENT_CLOSES:
        return record.deployment, record.at + _DEPLOYMENT_CLOSES[fault]
    if fault in _HINTED and record.retry_at is not None:
        return record.deployment, record.retry_at
    return record.deployment, 0.0
