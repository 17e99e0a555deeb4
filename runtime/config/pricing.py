"""Prices and context windows that are not written: from the published lists, for models of vendors that are served.

What is written in the configuration always counts, key by key: a model with a `price` keeps it as a whole, and one
with a `context` keeps that. Whose list is meant is the vendor's `prices`, else its row in the catalogue, else its address.
A model is looked for by its `id`, which is what the vendor calls it, then by its `name`. What is found nowhere stays
unknown. The list is only read if something is missing, since reading it takes a while.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Final

import msgspec

from ..clock import wall_now
from .addresses import is_nearby
from .catalogue import catalogue
from .price_list import PACKAGE, Known, PriceList, Unavailable, read_price_list
from .schema import Config, Model, Vendor
from .units import TokenCount

__all__ = ["NOBODY", "WRITTEN", "known_of", "priced", "today"]

NOBODY: Final = "none"
"""As a vendor's `prices`: no list counts."""
WRITTEN: Final = "the configuration"


def priced(config: Config, served: Collection[str]) -> tuple[Config, Mapping[str, str]]:
    """`config` with what the lists know, and where each price comes from: `vendor/model` -> in words.

    `served`: the names of the vendors that matter. Others are completed only where a limit in dollars needs a price.
    """
    sources = {
        f"{vendor.name}/{model.name}": WRITTEN
        for vendor in config.vendors
        for model in vendor.models
        if model.price is not None
    }
    wanting = [each for each in config.vendors if _lacks(each, each.name in served)]
    if not wanting:
        return config, sources
    try:
        prices = read_price_list()
    except Unavailable as absence:
        for vendor in wanting:
            sources.update(
                {
                    f"{vendor.name}/{model.name}": str(absence)
                    for model in vendor.models
                    if model.price is None
                }
            )
        return config, sources
    day = today()
    vendors = [_completed(each, prices, day, sources) if each in wanting else each for each in config.vendors]
    return msgspec.structs.replace(config, vendors=vendors), sources


def today() -> date:
    """By this machine's clock, in UTC, as the lists count."""
    return datetime.fromtimestamp(wall_now(), UTC).date()


def known_of(vendor: Vendor, model: Model, prices: PriceList, day: date) -> Known | None:
    """What the lists know of one model at one vendor."""
    provider = _provider(vendor, prices)
    if provider is None:
        return None
    names = [model.id, model.name] if model.id else [model.name]
    for name in names:
        known = prices.find(provider, name, day)
        if known is not None:
            return known
    return None


def _lacks(vendor: Vendor, served: bool) -> bool:
    if vendor.simulate is not None or vendor.prices == NOBODY or (vendor.program and not vendor.prices):
        return False
    if is_nearby(vendor.base_url) and vendor.prices is None and _row(vendor) is None:
        return False
    if served:
        return any(model.price is None or model.context is None for model in vendor.models)
    return any(
        model.price is None and (vendor.limits.dollars_per_hour or model.limits.dollars_per_hour)
        for model in vendor.models
    )


def _provider(vendor: Vendor, prices: PriceList) -> str | None:
    return vendor.prices or _row(vendor) or prices.whose(vendor.base_url)


def _row(vendor: Vendor) -> str | None:
    """Whose list the vendor's row in the catalogue names."""
    entry = catalogue().get(vendor.catalogue or vendor.name)
    return (
        None
        if entry is None or (vendor.catalogue is None and entry.dialect != vendor.dialect)
        else entry.prices
    )


def _completed(vendor: Vendor, prices: PriceList, day: date, sources: dict[str, str]) -> Vendor:
    models = []
    for model in vendor.models:
        known = known_of(vendor, model, prices, day)
        if known is not None:
            context = None if known.context is None else TokenCount(known.context)
            if model.price is None and known.price is not None:
                sources[f"{vendor.name}/{model.name}"] = (
                    f"{PACKAGE} {prices.version}: {known.provider}/{known.model}"
                )
            model = msgspec.structs.replace(
                model,
                price=known.price if model.price is None else model.price,
                context=context if model.context is None else model.context,
            )
        models.append(model)
    return msgspec.structs.replace(vendor, models=models)
