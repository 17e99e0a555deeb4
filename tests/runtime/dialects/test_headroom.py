"""What headers say of limits: every spelling, and every answer that was recorded."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.actors.messages import Remaining
from llm_dispatcher.runtime.dialects.headroom import _PLACES, headroom

from tests.corpus import folder, needs_corpus

DATE = "Tue, 24 Nov 2026 10:00:00 GMT"
DATED = {"date": DATE}
FOLDERS = ("openai-chat", "azure-openai-chat", "anthropic-messages", "groq-chat", "mistral-chat", "cerebras-chat",
           "together-chat", "openrouter-chat", "xai-chat", "huggingface-chat", "azure-ai-chat", "gemini-generate",
           "cohere-chat", "deepseek-chat")  # fmt: skip
DIMENSIONS = {"requests", "requests_per_day", "tokens", "input_tokens", "output_tokens"}


def told(*headers: dict[str, str], wall_now: float | None = None) -> dict[str, Remaining]:
    raw = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for each in headers
        for name, value in each.items()
    ]
    found = headroom(raw, wall_now)
    return {} if found is None else found.dimensions


def pair(limit: str, remaining: str, reset: str | None = None, kind: str = "requests") -> dict[str, str]:
    found = {f"x_ratelimit_limit_{kind}": limit, f"x_ratelimit_remaining_{kind}": remaining}
    return found if reset is None else {**found, f"x_ratelimit_reset_{kind}": reset}


def test_openai_names_requests_and_tokens() -> None:
    assert told(pair("10000", "9999", "6ms"), pair("200000", "150000", "15s", "tokens")) == {
        "requests": Remaining(10_000, 9_999, 0.006),
        "tokens": Remaining(200_000, 150_000, 15),
    }


def test_anthropic_names_input_and_output_with_dates() -> None:
    said = {
        f"anthropic_ratelimit_{kind}_{field}": value
        for kind in ("requests", "input_tokens", "output_tokens")
        for field, value in (("limit", "4000"), ("remaining", "3000"), ("reset", "2026-11-24T10:00:07Z"))
    }
    expected = Remaining(4000, 3000, 7)
    assert told(said, DATED) == dict.fromkeys(("requests", "input_tokens", "output_tokens"), expected)
    assert told(said, wall_now=1795514400.0)["requests"] == expected
    assert told(said)["requests"] == Remaining(4000, 3000, None)


@pytest.mark.parametrize("reset", ["1970-01-01T00:00:00Z", "soon", "", "nan", "2026-99-99T00:00:00Z"])
def test_a_reset_that_makes_no_sense_is_left_out(reset: str) -> None:
    said = {
        "anthropic_ratelimit_requests_limit": "5",
        "anthropic_ratelimit_requests_remaining": "1",
        "anthropic_ratelimit_requests_reset": reset,
    }
    assert told(said, DATED)["requests"] == Remaining(5, 1, None)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset"),
    [("10000", "9999", "8.64s"), ("14400", "14390", "1m0s"), ("500000", "499999", "172.799999ms"), ("100", "99", "14m24s")],
)  # fmt: skip
def test_requests_whose_limit_takes_a_day_to_fill_are_a_days(limit: str, remaining: str, reset: str) -> None:
    assert list(told(pair(limit, remaining, reset))) == ["requests_per_day"]


@pytest.mark.parametrize(
    ("limit", "remaining", "reset"),
    [
        ("600", "599", "1s"),
        ("10000", "9999", "6ms"),
        ("60", "60", "0s"),
        ("3", "1", "40s"),
        ("60", "59", None),
    ],
)
def test_others_are_of_a_minute(limit: str, remaining: str, reset: str | None) -> None:
    assert list(told(pair(limit, remaining, reset))) == ["requests"]


def test_names_that_say_of_what_time_they_are_believed() -> None:
    said = {
        **pair("1000", "991", kind="requests-minute"),
        **pair("60000", "59991", kind="requests-hour"),
        **pair("1440000", "1439991", kind="requests-day"),
        **pair("500000", "499708", kind="tokens-minute"),
        **pair("1000000000", "999951071", kind="tokens-month"),
    }
    assert told(said) == {
        "requests": Remaining(1000, 991, None),
        "requests_per_day": Remaining(1_440_000, 1_439_991, None),
        "tokens": Remaining(500_000, 499_708, None),
    }
    assert told(pair("60", "55", kind="req-minute"))["requests"] == Remaining(60, 55, None)


def test_of_a_bare_spelling_only_what_remains_is_taken() -> None:
    together = {"x_ratelimit_limit": "6", "x_ratelimit_remaining": "5", "x_ratelimit_reset": "2"}
    assert told(together, pair("1000", "900", kind="tokens")) == {
        "requests": Remaining(None, 5, 2),
        "tokens": Remaining(None, 900, None),
    }
    openrouter = {"x_ratelimit_limit": "20", "x_ratelimit_remaining": "0"}
    assert told(openrouter, {"x_ratelimit_reset": "1795514460000"}, DATED) == {
        "requests": Remaining(None, 0, 60)
    }


def test_azures_resets_may_be_milliseconds_without_saying_so() -> None:
    said = {**pair("120", "119", "500"), "x_ratelimit_renewalperiod_requests": "60"}
    assert told(said) == {"requests": Remaining(120, 119, 0.5)}


@pytest.mark.parametrize(("limit", "remaining"), [("-1", "-1"), ("0", "0"), ("-1", "0"), ("", ""), ("many", "few"), ("inf", "nan")])  # fmt: skip
def test_nonsense_says_nothing(limit: str, remaining: str) -> None:
    assert told(pair(limit, remaining)) == {}


@pytest.mark.parametrize("remaining", ["-1", "101", "", "few"])
def test_a_limit_is_believed_even_where_what_remains_makes_no_sense(remaining: str) -> None:
    assert told(pair("100", remaining)) == {"requests": Remaining(100, None, None)}


def test_names_are_read_whatever_their_case() -> None:
    raw = [(b"X-RateLimit-Limit-Requests", b"60"), (b"X-Ratelimit-Remaining-Requests", b"59")]
    found = headroom(raw)
    assert found is not None
    assert found.dimensions == {"requests": Remaining(60, 59, None)}


def test_without_such_headers_nothing_is_said() -> None:
    assert headroom([(b"content-type", b"application/json"), (b"date", DATE.encode())]) is None


VALUES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b"1e999", b"-0", b"1_0", b"\xff", b"9" * 100, b"6m0s", b"0001-01-01T00:00:00+23:59", b"1e300d"]
    ),
    st.integers().map(lambda number: str(number).encode()),
)


@given(
    headers=st.lists(st.tuples(st.sampled_from([*_PLACES, b"date", b"X-Other"]), VALUES), max_size=12),
    wall_now=st.sampled_from([None, 0.0, 1.8e9]),
)
def test_whatever_they_hold_what_is_told_makes_sense(
    headers: list[tuple[bytes, bytes]], wall_now: float | None
) -> None:
    found = headroom(headers, wall_now)
    for said in {} if found is None else found.dimensions.values():
        assert said.limit is None or 0 < said.limit < math.inf
        assert said.remaining is None or 0 <= said.remaining <= (said.limit or math.inf)
        assert said.remaining != math.inf
        assert said.reset is None or 0 <= said.reset < math.inf


SPELLINGS = re.compile(
    r"x-ratelimit-(?P<field>limit|remaining)-(requests|tokens|req|requests-minute|req-minute|req-60-second|tokens-minute|requests-day)"
    r"|anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-(?P<other>limit|remaining)"
)


@needs_corpus
@pytest.mark.slow
def test_every_recorded_answer_is_understood() -> None:
    understood = 0
    for recording in [recording for name in FOLDERS for recording in folder(name)]:
        raw = [(name.encode(), value.encode()) for name, value in recording.headers.items()]
        found = headroom(raw, 1.8e9)
        written: dict[str, set[float]] = {"limit": set(), "remaining": set()}
        for name, value in recording.headers.items():
            if match := SPELLINGS.fullmatch(name):
                written[match["field"] or match["other"]].add(float(value))
        if found is None:
            assert not written["limit"], recording.name
            continue
        understood += 1
        said = found.dimensions
        assert said.keys() <= DIMENSIONS
        if "x-ratelimit-limit" not in recording.headers:
            assert {each.limit for each in said.values()} - {None} == written["limit"], recording.name
            assert {each.remaining for each in said.values()} - {None} == written["remaining"], recording.name
        for name, each in said.items():
            longest = 86_400 if name == "requests_per_day" else 3600
            assert each.reset is None or each.reset <= longest, (recording.name, each)
    assert understood > 300
