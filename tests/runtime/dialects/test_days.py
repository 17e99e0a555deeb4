"""When a vendor's day ends, against the time zone database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.dialects.days import until_midnight

try:
    PACIFIC = ZoneInfo("America/Los_Angeles")
except ZoneInfoNotFoundError:  # pragma: no cover
    pytest.skip("this system has no time zone database to compare with", allow_module_level=True)


def oracle(now: datetime, zone: ZoneInfo) -> float:
    """Midnight after midnight: the day after the local date, at 0:00 local time."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    midnight = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)
    return (midnight.astimezone(UTC) - now).total_seconds()


MOMENTS = st.datetimes(datetime(2007, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


@given(MOMENTS)
def test_googles_day_ends_at_pacific_midnight(now: datetime) -> None:
    assert until_midnight(now.timestamp(), "Pacific") == pytest.approx(oracle(now, PACIFIC), abs=1e-3)


@given(MOMENTS)
def test_the_other_days_end_at_midnight_utc(now: datetime) -> None:
    assert until_midnight(now.timestamp(), "UTC") == pytest.approx(oracle(now, ZoneInfo("UTC")), abs=1e-3)


@pytest.mark.parametrize("year", range(2007, 2040))
@pytest.mark.parametrize(("month", "first", "last"), [(3, 7, 15), (11, 1, 8)])
def test_the_days_on_which_the_clocks_change_are_23_and_25_hours_long(
    year: int, month: int, first: int, last: int
) -> None:
    for day in range(first, last + 1):
        for hour in range(24):
            now = datetime(year, month, day, hour, 30, tzinfo=UTC)
            assert until_midnight(now.timestamp(), "Pacific") == oracle(now, PACIFIC), now


@given(st.floats(allow_nan=False, allow_infinity=True))
def test_no_clock_is_too_wrong_for_an_answer(now: float) -> None:
    assert 0 < until_midnight(now, "UTC") <= 24 * 3600
    assert 0 < until_midnight(now, "Pacific") <= 25 * 3600
