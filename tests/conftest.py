"""The published price list is read once for all tests, since many a configuration wants it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from llm_dispatcher.runtime.config import price_list, pricing
from llm_dispatcher.runtime.config.price_list import PriceList, read_price_list


@cache
def listed() -> PriceList:
    return read_price_list()


@pytest.fixture(scope="session", autouse=True)
def _one_price_list() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pricing, "read_price_list", listed)
        patch.setattr(price_list, "read_price_list", listed)
        yield
