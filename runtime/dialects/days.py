"""When a vendor's day ends: its daily limits are lifted at its own midnight.

Google counts days in Pacific time. The rule for its summer time (in force since 2007: from the second Sunday of March,
2:00, to the first Sunday of November, 2:00) is written out here, since a table of time zones is a file that small
systems do not have.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

__all__ = ["Day", "until_midnight"]

Day: TypeAlias = Literal["UTC", "Pacific"]

_STANDARD: Final = timedelta(hours=-8)
_SUMMER: Final = timedelta(hours=-7)
_FIRST: Final = 0.0
_LAST: Final = 253_370_764_800.0
"""The beginning of the year 9999, in seconds since the epoch: as far as there are dates."""


def until_midnight(now: float, day: Day) -> float:
    """Seconds from `now` (since the epoch) to the next midnight of that day; above 0, at most 25 hours."""
    moment = datetime.fromtimestamp(min(max(now, _FIRST), _LAST), UTC)
    if day == "UTC":
        local = moment.replace(tzinfo=None)
        return (_next_midnight(local) - local).total_seconds()
    midnight = _next_midnight((moment + _offset(moment)).replace(tzinfo=None))
    # The clocks change at two in the morning: at midnight it is still as it was the evening before.
    ends = midnight.replace(tzinfo=UTC) - _offset_at_midnight(midnight)
    return (ends - moment).total_seconds()


def _next_midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _offset(moment: datetime) -> timedelta:
    begins = (_sunday(moment.year, 3, 2) + timedelta(hours=2)).replace(tzinfo=UTC) - _STANDARD
    ends = (_sunday(moment.year, 11, 1) + timedelta(hours=2)).replace(tzinfo=UTC) - _SUMMER
    return _SUMMER if begins <= moment < ends else _STANDARD


def _offset_at_midnight(midnight: datetime) -> timedelta:
    begins, ends = _sunday(midnight.year, 3, 2), _sunday(midnight.year, 11, 1)
    return _SUMMER if begins < midnight <= ends else _STANDARD


def _sunday(year: int, month: int, number: int) -> datetime:
    """Midnight at the beginning of the month's `number`th Sunday."""
    first = datetime(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (number - 1))
