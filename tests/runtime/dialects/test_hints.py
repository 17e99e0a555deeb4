"""When to come back: every spelling that vendors use."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.dialects import Answer
from llm_dispatcher.runtime.dialects.hints import LONGEST, duration, in_words, retry_after, should_retry

DATE = "Tue, 24 Nov 2026 10:00:00 GMT"


def after(wall_now: float | None = None, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_after(Answer(429, named, b"", wall_now))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20", 20), ("1.5", 1.5), ("36s", 36), ("12ms", 0.012), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("-3", 0), ("1e400", LONGEST)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "nan", "inf", "soon", "1x", "s", "1m banana"])
def test_what_is_no_duration_says_nothing(text: str) -> None:
    assert duration(text) is None


def test_the_explicit_word_counts() -> None:
    assert after(retry_after="7") == 7
    assert after(retry_after_ms="1500") == 1.5
    assert after(x_ms_retry_after_ms="250") == 0.25
    assert after(retry_after="1", retry_after_ms="0") == 1
    assert after(retry_after="soon") is None
    assert after() is None


def test_a_date_is_relative_to_the_answers_own() -> None:
    later = "Tue, 24 Nov 2026 10:00:09 GMT"
    for wrong_clock in (0.0, 4e9):
        assert after(wrong_clock, retry_after=later, date=DATE) == 9
    assert after(retry_after=DATE, date=later) == 0
    assert after(1795514400.0, retry_after=later) == 9
    assert after(retry_after=later) is None


def test_limits_speak_only_when_nothing_remains() -> None:
    assert after(x_ratelimit_remaining_requests="1", x_ratelimit_reset_requests="6m0s") is None
    assert after(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="6m0s") == 360
    anthropic: Any = {
        "anthropic_ratelimit_tokens_remaining": "0",
        "anthropic_ratelimit_tokens_reset": "2026-11-24T10:00:30Z",
    }
    assert after(date=DATE, **anthropic) == 30
    assert after(date=DATE, x_ratelimit_remaining="0", x_ratelimit_reset="1795514460000") == 60


def test_the_vendors_word_on_retrying() -> None:
    assert should_retry(Answer(500, {"x-should-retry": "false"}, b"")) is False
    assert should_retry(Answer(500, {"x-should-retry": "true"}, b"")) is True
    assert should_retry(Answer(500, {}, b"")) is None


@given(value=st.text(max_size=40) | st.floats().map(str) | st.integers().map(str), date=st.text(max_size=30))
def test_a_hint_is_never_negative_never_endless_and_never_a_crash(value: str, date: str) -> None:
    seconds = after(0.0, retry_after=value, date=date, x_ratelimit_remaining="0", x_ratelimit_reset=value)
    assert seconds is None or (0 <= seconds <= LONGEST and math.isfinite(seconds))


# --- what bodies say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 5.23s. Need more tokens?", 5.23),
        ("Please try again in 7m12s.", 432),
        ("Please try again in 120ms.", 0.12),
        ("Please retry in 48.9s.", 48.9),
        ("Please retry after 7 seconds.", 7),
        ("Please wait 2 minutes before retrying.", 120),
        ("Try again in 3 hours.", 10_800),
        ("Please try again in 20.", None),
        ("Please try again later.", None),
        ("Limit 3, Used 3, Requested 1.", None),
    ],
)
def test_a_sentence_may_say_when(message: str, seconds: float | None) -> None:
    assert in_words(message) == (None if seconds is None else pytest.approx(seconds))


def test_a_body_may_say_when_in_a_field_of_its_own() -> None:
    assert in_words("", {"details": [{"retryDelay": "18s"}, 3, {"other": 1}]}) == 18
    assert in_words("Please retry in 18.5s.", {"details": [{"retryDelay": "18s"}]}) == 18.5
    assert in_words("", {"estimated_time": 20.0}) == 20
    assert in_words("", {"estimated_time": "soon", "details": {"retryDelay": "3s"}}) is None


def test_a_reset_in_the_distant_past_is_an_empty_field() -> None:
    anthropic: Any = {
        "anthropic_ratelimit_tokens_remaining": "0",
        "anthropic_ratelimit_tokens_reset": "1970-01-01T00:00:00Z",
    }
    assert after(date=DATE, **anthropic) is None


def test_a_number_that_is_a_point_in_time_is_not_taken_for_a_duration() -> None:
    assert after(date=DATE, retry_after="1795514460") == 60
    assert after(date=DATE, retry_after_ms="1795514460000") == 60
    assert after(retry_after="1795514460") is None


# --- every spelling, against an oracle that only knows the answer -------------------------------

NOW = 1_795_514_400
"""`DATE` in seconds since the epoch."""

WAITS = st.integers(0, 10**9).map(lambda thousandths: Fraction(thousandths, 1000)) | st.sampled_from(
    [
        Fraction(0),
        Fraction(1, 1000),
        Fraction(1),
        Fraction(59),
        Fraction(60),
        Fraction(3600),
        Fraction(86_400),
    ]
)


def decimal(value: Fraction) -> str:
    """Exact to three places."""
    whole, rest = divmod(value.numerator * 1000 // value.denominator, 1000)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


def go(value: Fraction) -> str:
    """As Go prints a duration: the largest units first, those of nothing at the front left out."""
    hours, rest = divmod(value, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return f"{text}{decimal(seconds)}s"


def at(value: Fraction) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int((NOW + value) * 1000))


def whole(value: Fraction) -> Fraction:
    return Fraction(int(value))


SPELLINGS: dict[str, Any] = {
    "seconds": lambda wait: ({"retry-after": str(int(wait))}, whole(wait)),
    "float": lambda wait: ({"retry-after": decimal(wait)}, wait),
    "milliseconds": lambda wait: ({"retry-after-ms": str(int(wait * 1000))}, wait),
    "azure's": lambda wait: ({"x-ms-retry-after-ms": str(int(wait * 1000)), "retry-after": "0"}, wait),
    "date": lambda wait: ({"retry-after": format_datetime(at(whole(wait)), usegmt=True)}, whole(wait)),
    "epoch": lambda wait: ({"retry-after": str(NOW + int(wait))}, whole(wait)),
    "go": lambda wait: ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": go(wait)}, wait),
    "epoch milliseconds": lambda wait: (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int((NOW + wait) * 1000))},
        wait,
    ),
    "rfc 3339": lambda wait: (
        {
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": at(wait).isoformat().replace("+00:00", "Z"),
        },
        wait,
    ),
}


@given(spelling=st.sampled_from(sorted(SPELLINGS)), wait=WAITS, clock=st.floats(0, 4e9))
def test_every_spelling_of_a_wait_is_read_exactly_whatever_our_clock_says(
    spelling: str, wait: Fraction, clock: float
) -> None:
    headers, expected = SPELLINGS[spelling](wait)
    found = retry_after(Answer(429, {**headers, "date": DATE}, b"", clock))
    assert found == pytest.approx(float(expected), abs=1e-3), headers


@given(waits=st.lists(st.tuples(st.sampled_from(sorted(SPELLINGS)), WAITS), min_size=2, max_size=5))
def test_of_several_explicit_words_the_longest_counts_and_they_count_before_limits(
    waits: list[tuple[str, Fraction]],
) -> None:
    headers: dict[str, str] = {"date": DATE}
    for spelling, wait in waits:
        headers |= SPELLINGS[spelling](wait)[0]
    alone = {
        name: after(None, **{"date": DATE, name: value}) for name, value in headers.items() if name != "date"
    }
    explicit = [wait for name, wait in alone.items() if "retry-after" in name and wait is not None]
    found = retry_after(Answer(429, headers, b""))
    if explicit:
        assert found == max(explicit)
    else:
        assert found is not None


@given(
    number=st.floats().map(str)
    | st.integers().map(str)
    | st.sampled_from(["1e999", "-1e999", "nan", "inf", "-0"]),
    field=st.sampled_from(["retry-after", "retry-after-ms", "x-ms-retry-after-ms"]),
)
def test_a_number_means_its_seconds_or_nothing_and_an_absurd_one_for_ever(number: str, field: str) -> None:
    value = float(number)
    found = retry_after(Answer(429, {field: number}, b""))
    unit = 1000 if field.endswith("ms") else 1
    if number in ("nan", "inf", "-inf") or (math.isfinite(value) and value / unit >= 1e9):
        # Words are no numbers; and a point in time says nothing where no clock is known.
        assert found is None
    else:
        assert found == pytest.approx(min(max(0.0, value / unit), LONGEST))
