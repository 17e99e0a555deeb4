"""What an attempt costs: usage times price, in exact decimal dollars."""

from __future__ import annotations

from decimal import Decimal

from .canon import Usage
from .config.schema import Price

__all__ = ["cost_of", "most_cost_of"]

_MILLION = Decimal(1_000_000)


def cost_of(usage: Usage, price: Price | None) -> Decimal | None:
    """Dollars for `usage`; None if the price is not known.

    Every token is charged once: the kinds with a price of their own are taken out of the sum that they
    are part of (`canon.Usage`), and the rest is charged at the sum's price.
    """
    if price is None:
        return None
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
    inputs = (price.input, price.cache_read, price.cache_write, price.cache_write_1h, price.audio_input)
    outputs = (price.output, price.reasoning, price.audio_output)
    dearest_input = max([each for each in inputs if each is not None])
    dearest_output = max([each for each in outputs if each is not None])
    return (dearest_input * usage.input_tokens + dearest_output * usage.output_tokens) / _MILLION


def _charge(tokens: int, price: Decimal, kinds: tuple[tuple[int, Decimal | None], ...]) -> Decimal:
    total = Decimal(0)
    for count, own_price in kinds:
        if count and own_price is not None:
            total += own_price * count
            tokens -= count
    return total + price * max(tokens, 0)
