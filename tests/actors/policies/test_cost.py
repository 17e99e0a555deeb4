"""The cheapest first: by what this very request would cost."""

from __future__ import annotations

import math

from llm_dispatcher.actors.policies.cost import cheapest, expected_dollars

from .views import candidate, names, view

FLAT = candidate("f", input_price=2.0, output_price=2.0)
STEP = candidate("s", input_price=1.0, output_price=1.0, long_prices=((1000, 3.0, 3.0), (5000, 9.0, 9.0)))
UNKNOWN = candidate("u", input_price=1.0)


def test_a_price_that_nobody_knows_comes_last() -> None:
    assert names(cheapest([UNKNOWN, FLAT], view(input_tokens=10))) == "fu"
    assert expected_dollars([UNKNOWN], view(input_tokens=10)) == [math.inf]


def test_a_long_request_is_compared_by_the_prices_of_long_requests() -> None:
    assert names(cheapest([FLAT, STEP], view(input_tokens=1000))) == "sf"
    assert names(cheapest([FLAT, STEP], view(input_tokens=1001))) == "fs"
    assert expected_dollars([STEP], view(input_tokens=6000, output_tokens=100)) == [6100 * 9.0 / 1e6]
