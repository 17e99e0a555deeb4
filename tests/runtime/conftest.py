"""The published price list is read once for all these tests, since many a configuration wants it."""

from __future__ import annotations

from functools import cache

import pytest
from llm_dispatcher.runtime.config import price_list, pricing
from llm_dispatcher.runtime.config.price_list import PriceList, read_price_list


@cache
def listed() -> PriceList:
    return read_price_list()


@pytest.fixture(autouse=True)
def _one_price_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pricing, "read_price_list", listed)
    monkeypatch.setattr(price_list, "read_price_list", listed)
