"""What an attempt costs: usage times price, in exact decimal dollars.

A price with tiers is a cliff: the tier that a request's whole input reaches is the price of all its tokens, as vendors
bill it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from .canon import Usage
from .config.schema import Price, Rates

__all__ = ["cost_of", "most_cost_of", "rates_for"]

_MILLION = Decimal(1_000_000)
_THOUSAND = Decimal(1_000)


def cost_of(usage: Usage, price: Price | None) -> Decimal | None:
    """Dollars for `usage`; None if the price is not known.

    Every token is charged once: the kinds with a price of their own are taken out of the sum that they
    are part of (`canon.Usage`), and the rest is charged at the sum's price.
    """
    if price is None:
        return None
    rates = rates_for(price, usage.input_tokens) if price.tiers else price
    cost = _tokens_at(usage, rates)
    return cost if price.requests is None else cost + price.requests / _THOUSAND


def rates_for(price: Price, input_tokens: int) -> Rates:
    """What counts for a request with so many tokens of input."""
    return next((tier for tier in reversed(price.tiers) if input_tokens > tier.above), price)


def _tokens_at(usage: Usage, price: Rates) -> Decimal:
    if not (
        usage.cache_read_tokens
        or usage.cache_write_tokens
        or usage.reasoning_tokens
        or usage.audio_input_tokens
        or usage.audio_output_tokens
    ):
        # What most requests come to, in a quarter of the time.
        return (price.input * usage.input_tokens + price.output * usage.output_tokens) / _MILLION
    short_writes = usage.cache_write_tokens - usage.cache_write_1h_tokens
    write_price = price.cache_write if price.cache_write is not None else price.input
    inputs = (
        (usage.cache_read_tokens, price.cache_read),
        (short_writes, price.cache_write),
        (
            usage.cache_write_1h_tokens,
            price.cache_write_1h if price.cache_write_1h is not None else write_price,
        ),
        (usage.audio_input_tokens, price.audio_input),
    )
    outputs = (
        (usage.reasoning_tokens, price.reasoning),
        (usage.audio_output_tokens, price.audio_output),
    )
    total = _charge(usage.input_tokens, price.input, inputs) + _charge(
        usage.output_tokens, price.output, outputs
    )
    return total / _MILLION


def most_cost_of(usage: Usage, price: Price | None) -> Decimal:
    """The most that so many tokens can cost, of whatever kind they turn out to be; 0 if the price is not known."""
    if price is None:
        return Decimal(0)
    # All that it may come to: a long input need not be the dearest.
    reached = [price, *(tier for tier in price.tiers if usage.input_tokens > tier.above)]
    dearest_input = max(_present(rate for each in reached for rate in _inputs(each)))
    dearest_output = max(_present(rate for each in reached for rate in _outputs(each)))
    cost = (dearest_input * usage.input_tokens + dearest_output * usage.output_tokens) / _MILLION
    return cost if price.requests is None else cost + price.requests / _THOUSAND


def _inputs(rates: Rates) -> tuple[Decimal | None, ...]:
    return rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h, rates.audio_input


def _outputs(rates: Rates) -> tuple[Decimal | None, ...]:
    return rates.output, rates.reasoning, rates.audio_output


def _present(rates: Iterable[Decimal | None]) -> Iterator[Decimal]:
    return (rate for rate in rates if rate is not None)


def _charge(tokens: int, price: Decimal, kinds: tuple[tuple[int, Decimal | None], ...]) -> Decimal:
    total = Decimal(0)
    for count, own_price in kinds:
        if count and own_price is not None:
            total += own_price * count
            tokens -= count
    return total + price * max(tokens, 0)
