"""Numbers with units, as people write them in a configuration: `"250ms"`, `"16MiB"`, `"200k"`.

Each unit is a subclass of the number it stands for, so that the rest of the program just calculates;
`decode` is the hook by which msgspec turns what was written into one of them.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

__all__ = ["ByteCount", "Seconds", "TokenCount", "Usd", "decode"]


class Seconds(float):
    """A duration in seconds, at least 0: `3`, `"3s"`, `"250ms"`, `"1m30s"`, `"2h"`, `"1d"`."""


class ByteCount(int):
    """A size in bytes, at least 0: `65536`, `"64KiB"`, `"16MiB"`, `"10MB"`."""


class TokenCount(int):
    """A number of tokens or requests, at least 0: `8192`, `"128k"`, `"2M"`."""


class Usd(Decimal):
    """Dollars, at least 0, exact: `0.15`, `"0.15"`."""


_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_COUNTS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

_LARGEST: Final = 2**63 - 1
_DEAREST: Final = 10**9
"""Dollars; sums of such prices keep within the 28 digits in which they are exact."""
_LONGEST: Final = 100
"""Characters of a number; whoever writes more has made a mistake, or wants the parser to be busy."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def _seconds(raw: Any) -> Seconds:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        try:
            value = float(raw)
        except OverflowError:
            value = math.inf
    else:
        text = _text(raw).replace(" ", "")
        pieces = list(_DURATION.finditer(text))
        if not pieces or "".join(piece.group() for piece in pieces) != text:
            raise ValueError(
                f"{_shown(raw)} is not a duration; write it like 3, '250ms', '3s', '1m30s' or '2h'"
            )
        value = sum(float(piece[1]) * _MILLISECONDS[piece[2]] for piece in pieces) / 1000
    if not 0 <= value < math.inf:
        raise ValueError(f"a duration is at least 0 and finite, not {_shown(raw)}")
    return Seconds(value)


def _quantity(raw: Any, scale: dict[str, int], what: str, examples: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        value = raw
    else:
        match = _QUANTITY.fullmatch(_text(raw).strip().replace("_", ""))
        if match is None or match[2].lower() not in scale:
            raise ValueError(f"{_shown(raw)} is not {what}; write it like {examples}")
        exact = Decimal(match[1]) * scale[match[2].lower()]
        if exact != exact.to_integral_value():
            raise ValueError(f"{_shown(raw)} is not a whole number")
        value = int(exact)
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"{what} is at least 0 and at most {_LARGEST}, not {_shown(raw)}")
    return value


def _usd(raw: Any) -> Usd:
    try:
        # By way of text: 0.15 in TOML is meant as written, not as its nearest binary fraction.
        value = Usd(_text(raw).strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{_shown(raw)} is not a price; write dollars like 0.15 or '0.15'") from None
    if isinstance(raw, bool) or not value.is_finite() or not 0 <= value <= _DEAREST:
        raise ValueError(f"a price is at least 0 and at most {_DEAREST}, not {_shown(raw)}")
    return value


def _text(raw: Any) -> str:
    """What was written, as text; nothing where it is too long to be a number, which keeps its parsing short."""
    text = str(raw)
    return text if len(text) <= _LONGEST else ""


def _shown(raw: Any) -> str:
    """What was written, for a message."""
    shown = repr(raw)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def decode(kind: type, raw: Any) -> Any:
    """msgspec's `dec_hook` for the units. Raises `ValueError` that says how it is written."""
    if kind is Seconds:
        return _seconds(raw)
    if kind is ByteCount:
        return ByteCount(_quantity(raw, _SIZES, "a size", "65536, '64KiB' or '16MiB'"))
    if kind is TokenCount:
        return TokenCount(_quantity(raw, _COUNTS, "a count", "8192, '128k' or '2M'"))
    if kind is Usd:
        return _usd(raw)
    raise TypeError(f"no unit called {kind.__name__}")
