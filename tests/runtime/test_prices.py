"""Every token is charged once, at its own kind's price, exactly."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from llm_dispatcher.runtime.canon import Usage
from llm_dispatcher.runtime.config.schema import Price, PriceTier
from llm_dispatcher.runtime.config.units import TokenCount, Usd
from llm_dispatcher.runtime.prices import cost_of, most_cost_of

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


STEPS = Price(
    input=Usd("3"), output=Usd("15"), cache_read=Usd("0.3"), requests=Usd("5"),
    tiers=[
        PriceTier(above=TokenCount(1000), input=Usd("6"), output=Usd("20"), cache_read=Usd("0.6")),
        PriceTier(above=TokenCount(5000), input=Usd("1"), output=Usd("2")),
    ],
)  # fmt: skip


def test_a_long_request_costs_what_long_requests_do_from_its_first_token_on() -> None:
    def cost(input_tokens: int, **more: int) -> Decimal | None:
        return cost_of(Usage(input_tokens=input_tokens, **more), STEPS)

    fee = Decimal("0.005")
    assert cost(1000, output_tokens=10) == fee + Decimal(3000 + 150) / 1_000_000
    assert cost(1001, output_tokens=10) == fee + Decimal(6006 + 200) / 1_000_000
    assert cost(1001, cache_read_tokens=1000) == fee + Decimal(6 + 600) / 1_000_000
    # A tier without a price for what was cached charges it as input.
    assert cost(5001, cache_read_tokens=1000) == fee + Decimal(5001) / 1_000_000


@given(input_tokens=st.integers(0, 9000), read=st.integers(0, 9000), output=st.integers(0, 100))
def test_no_request_costs_more_than_the_most_that_it_may(input_tokens: int, read: int, output: int) -> None:
    usage = Usage(input_tokens, output, cache_read_tokens=min(read, input_tokens))
    for price in (PLAIN, KINDS, STEPS):
        assert (cost_of(usage, price) or 0) <= most_cost_of(Usage(9000, 100), price)
