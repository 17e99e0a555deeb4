"""What the headers of an answer say of the vendor's limits, in every spelling that vendors use.

| spelling | of |
|---|---|
| `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` | OpenAI, Azure, Groq, xAI, Hugging Face |
| the same with `-minute`, `-day`; `req` for `requests` | Cerebras, Mistral |
| `x-ratelimit-{limit,remaining,reset}`, without saying of what | Together, OpenRouter |
| `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | Anthropic |

Limits are read as those of a minute unless the name says otherwise, or the arithmetic does: OpenAI and Groq send a day's
requests under the same name, but their reset is the time until the limit is full, and so says how long a limit takes to fill.
Where a bare spelling is present the unit of its limits is not known (Together's are of a second), so only what
remains is taken. Hours and months are left out: nothing is limited by them here.

What cannot be true is left out: limits of 0 or less (Azure sends 0 and -1), more remaining than the limit, dates long past.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from ...actors.messages import Headroom, Remaining
from .hints import EPOCH_MILLISECONDS, EPOCH_SECONDS, LONGEST, duration, point_in_time

__all__ = ["headroom"]

_LIMIT, _REMAINING, _RESET, _PERIOD = range(4)
_BARE: Final = "bare"
_LONGEST_VALUE: Final = 64
_DAY_PERIODS: Final = (40_000.0, 130_000.0)
"""Seconds: a limit that takes about this long to fill is a day's, however its reset was rounded."""
_LONG_PAST: Final = -3600.0
"""A reset so many seconds before the answer is no clock's error but a fault (some are of 1970)."""

_Row = list[bytes | None]


def _places() -> dict[bytes, tuple[str, int]]:
    """Every header's name, and the dimension and field that it tells of."""
    fields = {"limit": _LIMIT, "remaining": _REMAINING, "reset": _RESET}
    kinds = {
        "requests": "requests",
        "tokens": "tokens",
        "requests-minute": "requests",
        "tokens-minute": "tokens",
        "requests-day": "requests_per_day",
        "req-minute": "requests",
        "req-60-second": "requests",
    }
    anthropic = ("requests", "tokens", "input-tokens", "output-tokens")
    found = {f"x-ratelimit-{field}": (_BARE, at) for field, at in fields.items()}
    for kind, dimension in kinds.items():
        found |= {f"x-ratelimit-{field}-{kind}": (dimension, at) for field, at in fields.items()}
    for kind in ("requests", "tokens"):
        found[f"x-ratelimit-renewalperiod-{kind}"] = (kind, _PERIOD)
    for kind in anthropic:
        dimension = kind.replace("-", "_")
        found |= {f"anthropic-ratelimit-{kind}-{field}": (dimension, at) for field, at in fields.items()}
    return {name.encode(): place for name, place in found.items()}


_PLACES: Final = _places()


def headroom(headers: Iterable[tuple[bytes, bytes]], wall_now: float | None = None) -> Headroom | None:
    """What `headers` say of the limits; None if they say nothing. Never raises, whatever they hold.

    `wall_now`: the local time in seconds since the epoch, for resets given as a date when the answer has no `Date`.
    """
    rows: dict[str, _Row] = {}
    date: bytes | None = None
    for name, value in headers:
        low = name.lower()
        place = _PLACES.get(low)
        if place is not None:
            dimension, field = place
            row = rows.get(dimension)
            if row is None:
                row = rows[dimension] = [None, None, None, None]
            row[field] = value
        elif low == b"date":
            date = value
    if not rows:
        return None
    return _told(rows, date, wall_now)


def _told(rows: dict[str, _Row], date: bytes | None, wall_now: float | None) -> Headroom | None:
    bare = rows.pop(_BARE, None)
    if bare is not None:
        # A bare limit's unit is not known, nor that of limits beside it.
        for row in rows.values():
            row[_LIMIT] = None
        rows.setdefault("requests", [None, bare[_REMAINING], bare[_RESET], None])
    dimensions: dict[str, Remaining] = {}
    for dimension, row in rows.items():
        said = _remaining(row, date, wall_now)
        if said is None:
            continue
        if dimension == "requests" and row[_PERIOD] is None and _is_of_a_day(said):
            dimension = "requests_per_day"
        dimensions[dimension] = said
    return Headroom(dimensions) if dimensions else None


def _remaining(row: _Row, date: bytes | None, wall_now: float | None) -> Remaining | None:
    limit, remaining = _number(row[_LIMIT]), _number(row[_REMAINING])
    if limit is not None and limit <= 0:
        return None
    if remaining is not None and not 0 <= remaining <= (math.inf if limit is None else limit):
        remaining = None
    if limit is None and remaining is None:
        return None
    written = row[_RESET]
    reset = None if written is None else _reset(written, date, wall_now)
    if reset is not None and row[_PERIOD] is not None:
        period = _number(row[_PERIOD])
        # Azure sends milliseconds in some places and seconds in others, both without a unit.
        if period is not None and reset > period > 0:
            reset /= 1000
    return Remaining(limit, remaining, reset)


def _is_of_a_day(said: Remaining) -> bool:
    """Does the reset, as the time until the limit is full, make it a day's limit?"""
    if said.limit is None or said.remaining is None or said.reset is None or said.remaining >= said.limit:
        return False
    shortest, longest = _DAY_PERIODS
    return shortest <= said.reset * said.limit / (said.limit - said.remaining) <= longest


def _number(value: bytes | None) -> float | None:
    if value is None or len(value) > _LONGEST_VALUE:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _reset(value: bytes, date: bytes | None, wall_now: float | None) -> float | None:
    """Seconds from the answer on; None if it makes no sense."""
    if len(value) > _LONGEST_VALUE:
        return None
    if value[4:5] == b"-":
        return _until(_instant(value.decode("latin-1")), date, wall_now)
    seconds = _plain_seconds(value)
    if seconds is None:
        text = value.decode("latin-1")
        seconds = duration(text)
        if seconds is None:
            return _until(_instant(text), date, wall_now)
    if seconds < EPOCH_SECONDS:
        return min(max(0.0, seconds), LONGEST)
    return _until(seconds / 1000 if seconds >= EPOCH_MILLISECONDS else seconds, date, wall_now)


def _plain_seconds(value: bytes) -> float | None:
    """The forms that nearly all resets have, without a regular expression: `12ms`, `8.64s`, `59`."""
    if value.endswith(b"ms"):
        number = _number(value[:-2])
        return None if number is None else number / 1000
    return _number(value[:-1] if value.endswith(b"s") else value)


def _until(when: float | None, date: bytes | None, wall_now: float | None) -> float | None:
    now = wall_now if date is None else _date(date[:_LONGEST_VALUE])
    if when is None or now is None:
        return None
    seconds = when - now
    return None if seconds < _LONG_PAST else min(max(0.0, seconds), LONGEST)


def _instant(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, or of anything else that `hints` reads as one."""
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return point_in_time(text)


@lru_cache(maxsize=16)
def _date(value: bytes) -> float | None:
    """An answer's `Date`, of which all that arrive within a second have the same."""
    return point_in_time(value.decode("latin-1"))
