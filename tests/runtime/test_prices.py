"""Every token is charged once, at its own kind's price, exactly."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.config.schema import Price
from llm_dispatcher.runtime.config.units import Usd
from llm_dispatcher.runtime.prices import cost_of

PLAIN = Price(input=Usd("3"), output=Usd("15"))
KINDS = Price(
    input=Usd("3"), output=Usd("15"), cache_read=Usd("0.3"), cache_write=Usd("3.75"), cache_write_1h=Usd("6"), reasoning=Usd("20")
)  # fmt: skip


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    assert cost_of(Usage(input_tokens=5), None) is None
    assert cost_of(Usage(), PLAIN) == 0


def test_kinds_with_a_price_of_their_own_leave_the_sum() -> None:
    usage = Usage(
        input_tokens=1000,
        output_tokens=100,
        cache_read_tokens=600,
        cache_write_tokens=300,
        cache_write_1h_tokens=100,
        reasoning_tokens=40,
    )
    exact = (
        100 * Decimal(3) + 600 * Decimal("0.3") + 200 * Decimal("3.75") + 100 * Decimal(6) + 60 * 15 + 40 * 20
    )
    assert cost_of(usage, KINDS) == exact / 1_000_000
    assert cost_of(usage, PLAIN) == Decimal(1000 * 3 + 100 * 15) / 1_000_000


@given(total=st.integers(0, 10**6), parts=st.tuples(*[st.integers(0, 1000)] * 3))
def test_kinds_at_the_sums_price_change_nothing(total: int, parts: tuple[int, int, int]) -> None:
    same = Price(
        input=Usd("3"), output=Usd("15"), cache_read=Usd("3"), cache_write=Usd("3"), cache_write_1h=Usd("3")
    )
    read, short, long = parts
    usage = Usage(
        input_tokens=total + sum(parts),
        cache_read_tokens=read,
        cache_write_tokens=short + long,
        cache_write_1h_tokens=long,
    )
    assert cost_of(usage, same) == cost_of(usage, PLAIN)
