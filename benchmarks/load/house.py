"""Configurations for the dispatcher in this process, where the user brings none: simulated vendors, or scripted ones.

A run without `--config` must never read the user's own: it would spend real money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...runtime.config.problems import nearest
from ...runtime.config.schema import Faults, Simulation

__all__ = ["DEFAULT_VENDORS", "MODEL", "scripted_house", "simulated_house", "simulated_vendor"]

MODEL: Final = "bench"
"""The model that all of these vendors serve."""

DEFAULT_VENDORS: Final = (
    "first_token=150ms,tokens_per_second=200,server_error=0.02,overloaded=0.01",
    "first_token=400ms,tokens_per_second=80",
)
"""Two vendors, of which the one that is asked first is quick and now and then fails."""

_PRICES: Final = ({"input": "0.25", "output": "1.00"}, {"input": "1.00", "output": "4.00"})
"""Dollars for a million tokens; the first vendor is the cheap one, further ones cost as the last."""
_FAULTS: Final = Faults.__struct_fields__
_SETTINGS: Final = tuple(name for name in Simulation.__struct_fields__ if name not in ("faults", "seed"))
_NUMBERS: Final = ("spread", "tokens_per_second")
_REPLY_TOKENS: Final = 1_000_000
"""More than anybody asks for, so that an answer is as long as the request allows: that is what the load says."""


def simulated_vendor(text: str) -> dict[str, Any]:
    """A `[vendors.simulate]` table from `KEY=VALUE,...`: its keys, and those of its faults. Raises `ValueError`."""
    table: dict[str, Any] = {"reply_tokens": _REPLY_TOKENS}
    faults: dict[str, float] = {}
    for pair in [each.strip() for each in text.split(",") if each.strip()]:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(f"{pair!r} is not KEY=VALUE")
        if name in _FAULTS:
            faults[name] = _share(pair, value)
        elif name in _NUMBERS:
            table[name] = _number(pair, value)
        elif name in _SETTINGS:
            table[name] = value
        else:
            raise ValueError(f"{name!r} is unknown; {nearest(name, [*_SETTINGS, *_FAULTS], 'there are')}")
    return {**table, "faults": faults}


def simulated_house(vendors: Sequence[str]) -> dict[str, Any]:
    """A configuration with a simulated vendor for each text of `vendors`, in order of preference."""
    return _house(
        [(f"simulated-{n}", {"simulate": simulated_vendor(text)}) for n, text in enumerate(vendors, 1)]
    )


def scripted_house(addresses: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A configuration with a vendor for each name and base URL, in order of preference."""
    return _house([(name, {"base_url": url, "api_key": "scripted"}) for name, url in addresses])


def _house(vendors: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    tables = []
    for number, (name, table) in enumerate(vendors):
        price = _PRICES[min(number, len(_PRICES) - 1)]
        model = {"name": MODEL, "context": "2M", "price": price}
        tables.append({"name": name, "models": [model], "max_connections": 10_000, **table})
    return {"vendors": tables}


def _number(pair: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{pair!r}: {value!r} is no number") from None


def _share(pair: str, value: str) -> float:
    share = _number(pair, value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    if not 0 <= share <= 1:
        raise ValueError(f"{pair!r}: a share lies between 0 and 1")
    return share
