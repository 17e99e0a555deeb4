"""When to come back: every spelling that vendors use."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.dialects import Answer
from llm_dispatcher.runtime.dialects.hints import LONGEST, duration, retry_after, should_retry

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
