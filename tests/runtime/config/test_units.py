"""Numbers with units mean what people mean by them, and nothing else is taken for one."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.config.units import ByteCount, Seconds, TokenCount, Usd, decode

from tests.fuzz.guard import cpu_limit

UNITS = (ByteCount, Seconds, TokenCount, Usd)


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        (Seconds, 3, 3.0),
        (Seconds, 0.25, 0.25),
        (Seconds, "250ms", 0.25),
        (Seconds, "1m30s", 90.0),
        (Seconds, "1m 30s", 90.0),
        (Seconds, "2h", 7200.0),
        (Seconds, "1d", 86400.0),
        (ByteCount, 65536, 65536),
        (ByteCount, "64KiB", 65536),
        (ByteCount, "10MB", 10_000_000),
        (ByteCount, "1.5 kib", 1536),
        (TokenCount, "128k", 128_000),
        (TokenCount, "1.05M", 1_050_000),
        (TokenCount, "8_192", 8192),
        (Usd, 0.15, Decimal("0.15")),
        (Usd, "$3", Decimal(3)),
    ],
)
def test_it_is_read_as_it_is_meant(kind: type, written: Any, meant: Any) -> None:
    value = decode(kind, written)
    assert value == pytest.approx(meant)
    assert type(value) is kind


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Seconds, "3 parsecs"),
        (Seconds, ""),
        (Seconds, "3"),
        (Seconds, -1),
        (Seconds, math.inf),
        (Seconds, math.nan),
        (Seconds, 10**400),
        (Seconds, True),
        (ByteCount, "1.5"),
        (ByteCount, "16 stone"),
        (ByteCount, -1),
        (TokenCount, "-1"),
        (TokenCount, True),
        (TokenCount, 0.5),
        (Usd, "a lot"),
        (Usd, -1),
        (Usd, "NaN"),
        (Usd, "inf"),
        (Usd, True),
        (Usd, "1e99"),
        (ByteCount, "9" * 30),
        (TokenCount, 10**400),
        (Seconds, "9" * 400),
    ],
)
def test_what_is_no_such_number_is_refused(kind: type, written: Any) -> None:
    with pytest.raises(ValueError, match=r"not|at least"):
        decode(kind, written)


@given(st.sampled_from(UNITS), st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_whatever_is_written_is_a_number_of_that_kind_or_a_value_error(kind: type, written: Any) -> None:
    try:
        value = decode(kind, written)
    except ValueError:
        return
    assert isinstance(value, ByteCount | Seconds | TokenCount | Usd)
    assert type(value) is kind
    assert 0 <= value < math.inf


@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize("unit", ["1", "1.", "1.5", "1m", "m", " ", "_"])
def test_a_number_that_is_written_without_end_is_refused_at_once_and_not_repeated(
    kind: type, unit: str
) -> None:
    # Durations come from clients too, in a header.
    written = unit * (65_536 // len(unit)) + "x"
    with cpu_limit(1.0), pytest.raises(ValueError, match="not") as caught:
        decode(kind, written)
    assert len(str(caught.value)) < 300


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(minutes: int, seconds: int, milliseconds: int) -> None:
    written = f"{minutes}m{seconds}s{milliseconds}ms"
    assert decode(Seconds, written) == pytest.approx(minutes * 60 + seconds + milliseconds / 1000)


def test_a_duration_in_milliseconds_is_the_same_as_in_seconds() -> None:
    assert [decode(Seconds, f"{n}ms") for n in range(2000)] == [
        decode(Seconds, n / 1000) for n in range(2000)
    ]


@given(st.decimals(0, 10_000, places=6))
def test_dollars_are_exact(amount: Decimal) -> None:
    assert decode(Usd, str(amount)) == amount


def test_an_unknown_unit_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="no unit called complex"):
        decode(complex, 1)
