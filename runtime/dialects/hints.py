"""When a vendor says to come back, in every spelling that vendors use.

A hint is a number of seconds from the arrival of the answer. The vendor's explicit word
(`retry-after-ms`, `retry-after`) counts before what can be concluded from its limit headers, and those only
say something when nothing remains. A date is taken relative to the answer's own `Date`, since our clock may
be wrong; ours only where the answer has none. What is negative means "now"; what is not a number means nothing.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from .base import Answer

__all__ = [
    "EPOCH_MILLISECONDS",
    "EPOCH_SECONDS",
    "LONGEST",
    "duration",
    "point_in_time",
    "retry_after",
    "should_retry",
]

LONGEST: Final = 10.0 * 365 * 86_400
"""Seconds to which an absurdly long hint is cut: it is as good as for ever, and still a finite number."""

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_GO_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
EPOCH_SECONDS: Final = 1e9
EPOCH_MILLISECONDS: Final = 1e12
"""A reset that large is a point in time, in seconds or in milliseconds since the epoch, and not a duration."""


def duration(text: str) -> float | None:
    """Seconds of a duration as vendors write it: `20`, `1.5`, `36s`, `12ms`, `6m0s`, `1h2m3.5s`. None if it is none."""
    text = text.strip()
    if len(text) > 64:
        return None
    if _NUMBER.fullmatch(text):
        return _bounded(float(text))
    pieces = _GO_PIECE.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        return None
    return _bounded(sum(float(number) * _UNITS[unit] for number, unit in pieces))


def retry_after(answer: Answer) -> float | None:
    """Seconds from the arrival of `answer` that the vendor asks for, at least 0; None if it does not say."""
    headers = answer.headers
    milliseconds = [
        value / 1000
        for name in ("retry-after-ms", "x-ms-retry-after-ms")
        if (value := _number(headers.get(name))) is not None
    ]
    # Azure AI sends `retry-after: 1` beside `retry-after-ms: 0`: the longer word is the safe one.
    explicit = [*milliseconds, *_explicit(headers.get("retry-after"), answer)]
    if explicit:
        return _bounded(max(explicit))
    return _from_limits(answer)


def should_retry(answer: Answer) -> bool | None:
    """The vendor's own word on whether a retry makes sense (`x-should-retry`); None if it does not say."""
    return {"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").strip().lower())


def _explicit(text: str | None, answer: Answer) -> list[float]:
    if text is None:
        return []
    seconds = duration(text)
    if seconds is None:
        when = point_in_time(text)
        now = _now(answer)
        seconds = None if when is None or now is None else when - now
    return [] if seconds is None else [seconds]


def _from_limits(answer: Answer) -> float | None:
    """The longest reset among the limits of which nothing remains."""
    waits = [
        wait
        for name, value in answer.headers.items()
        if "remaining" in name and "ratelimit" in name and _number(value) == 0
        if (wait := _reset(name, answer)) is not None
    ]
    return _bounded(max(waits)) if waits else None


def _reset(remaining: str, answer: Answer) -> float | None:
    """The wait that belongs to a `...-remaining-...` header, from its `...-reset-...` sibling."""
    text = answer.headers.get(remaining.replace("remaining", "reset"))
    if text is None:
        return None
    now = _now(answer)
    # A plain number first: as a point in time it is larger than any duration that is believed.
    value = _number(text)
    if value is None:
        value = duration(text)
    if value is None:
        value = point_in_time(text)
        return None if value is None or now is None else value - now
    if value < EPOCH_SECONDS:
        return value
    seconds = value / 1000 if value >= EPOCH_MILLISECONDS else value
    return None if now is None else seconds - now


def point_in_time(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date or an RFC 3339 time."""
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        try:
            when = datetime.fromisoformat(text.strip())
        except (ValueError, OverflowError):
            return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        return when.timestamp()
    except (ValueError, OverflowError):
        return None


def _now(answer: Answer) -> float | None:
    date = answer.headers.get("date")
    theirs = None if date is None else point_in_time(date)
    return answer.wall_now if theirs is None else theirs


def _number(text: str | None) -> float | None:
    if text is None or len(text) > 64 or not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if not math.isnan(value) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST)
