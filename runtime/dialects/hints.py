"""When a vendor says to come back, in every spelling that vendors use.

A hint is a number of seconds from the arrival of the answer. The vendor's explicit word
(`retry-after-ms`, `retry-after`) counts before what can be concluded from its limit headers, and those only
say something when nothing remains. A date is taken relative to the answer's own `Date`, since our clock may
be wrong; ours only where the answer has none. What is negative means "now"; what is not a number means nothing.
A number too large to be a duration is a point in time, in seconds or milliseconds since the epoch; a reset in
the distant past (some vendors send the year 1970) is an empty field, and means nothing.

Where no header says anything, the body may (`in_words`): Google's `RetryInfo`, or a sentence for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .base import Answer

__all__ = [
    "EPOCH_MILLISECONDS",
    "EPOCH_SECONDS",
    "LONGEST",
    "duration",
    "in_words",
    "named_reset",
    "now_of",
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
"""A number that large is a point in time, in seconds or in milliseconds since the epoch, and not a duration."""

_SENTENCE = re.compile(
    r"\b(?:again|retry|retrying|wait)(?: in| after| for)? ([0-9][0-9a-zµ.]*)(?: (second|minute|hour|day)s?\b)?",
    re.IGNORECASE,
)
_UNIT_WORDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_FIELDS: Final = ("retry_after", "retry_after_seconds", "estimated_time")
"""Fields of an error object that hold seconds (Hugging Face's is the time that a model still needs to load)."""


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
    """Seconds from the arrival of `answer` that its headers ask for, at least 0; None if they do not say."""
    headers = answer.headers
    milliseconds = [
        wait
        for name in ("retry-after-ms", "x-ms-retry-after-ms")
        if (value := _number(headers.get(name))) is not None
        if (wait := _wait(value / 1000, answer)) is not None
    ]
    # Azure AI sends `retry-after: 1` beside `retry-after-ms: 0`: the longer word is the safe one.
    explicit = [*milliseconds, *_explicit(headers.get("retry-after"), answer)]
    if explicit:
        return _bounded(max(explicit))
    return named_reset(answer)


def named_reset(answer: Answer) -> float | None:
    """Seconds to the longest reset among the limits of which nothing remains; None if no header names one."""
    waits = [
        wait
        for name, value in answer.headers.items()
        if "remaining" in name and "ratelimit" in name and _number(value) == 0
        if (wait := _reset(name, answer)) is not None
    ]
    return _bounded(max(waits)) if waits else None


def in_words(message: str, body: Mapping[str, Any] | None = None) -> float | None:
    """Seconds to wait that an error's body names, at least 0; the longest if there are several, None if none.

    `message` is the error's text and `body` its object.
    """
    fields: list[Any] = [] if body is None else [body.get(name) for name in _FIELDS]
    details = None if body is None else body.get("details")
    if isinstance(details, list):
        fields += [detail.get("retryDelay") for detail in details if isinstance(detail, dict)]
    waits = [duration(str(each)) for each in fields if isinstance(each, str | int | float)]
    waits += [_spoken(found[1], found[2]) for found in _SENTENCE.finditer(message)]
    return max((wait for wait in waits if wait is not None), default=None)


def _spoken(number: str, unit: str | None) -> float | None:
    """The wait in a sentence: `5.23s`, `1m2s`, or `30` before the word for its unit."""
    number = number.rstrip(".")
    if unit is not None:
        value = _number(number)
        return None if value is None else _bounded(value * _UNIT_WORDS[unit.lower()])
    # A bare number may be anything: only one with a unit is believed.
    return None if _NUMBER.fullmatch(number) else duration(number)


def should_retry(answer: Answer) -> bool | None:
    """The vendor's own word on whether a retry makes sense (`x-should-retry`); None if it does not say."""
    return {"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").strip().lower())


def _explicit(text: str | None, answer: Answer) -> list[float]:
    if text is None:
        return []
    value = _number(text)
    if value is None:
        value = duration(text)
    seconds = _wait(value, answer) if value is not None else _until(text, answer)
    return [] if seconds is None else [seconds]


def _reset(remaining: str, answer: Answer) -> float | None:
    """The wait that belongs to a `...-remaining-...` header, from its `...-reset-...` sibling."""
    text = answer.headers.get(remaining.replace("remaining", "reset"))
    if text is None:
        return None
    # A plain number first: as a point in time it is larger than any duration that is believed.
    value = _number(text)
    if value is None:
        value = duration(text)
    return _wait(value, answer) if value is not None else _until(text, answer)


def _wait(value: float, answer: Answer) -> float | None:
    """A number of seconds as a wait: itself, or what is left until it when it is a point in time."""
    if value < EPOCH_SECONDS or value == math.inf:
        return value
    seconds = value / 1000 if value >= EPOCH_MILLISECONDS else value
    now = now_of(answer)
    return None if now is None else seconds - now


def _until(text: str, answer: Answer) -> float | None:
    """What is left until a date."""
    when, now = point_in_time(text), now_of(answer)
    return None if when is None or now is None or when < EPOCH_SECONDS else when - now


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


def now_of(answer: Answer) -> float | None:
    """The time of `answer` in seconds since the epoch: its own `Date`, else ours; None where there is neither."""
    date = answer.headers.get("date")
    theirs = None if date is None else point_in_time(date)
    return answer.wall_now if theirs is None else theirs


def _number(text: str | None) -> float | None:
    number = "" if text is None or len(text) > 64 else text.strip()
    if not _NUMBER.fullmatch(number):
        return None
    value = float(number)
    return value if not math.isnan(value) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST)
