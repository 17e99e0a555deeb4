"""Numbers as people read and write them."""

from __future__ import annotations

from typing import Any

from ...runtime.config.units import Seconds, decode

__all__ = ["dollars", "duration", "number", "seconds_of", "share"]


def duration(seconds: float | None) -> str:
    """Three digits and a unit: `85 µs`, `4.21 ms`, `1.24 s`, `2 min 5 s`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds >= 119.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size * 0.9995:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def number(value: Any) -> str:
    """A count with its thousands set apart; `-` for what is none."""
    return f"{value:,}" if isinstance(value, int) else "-"


def share(value: float) -> str:
    """Per cent, with as many digits as tell it from none and from all."""
    text = f"{value:.1%}"
    return f"{value:.3%}" if 0 < value < 1 and text in ("0.0%", "100.0%") else text


def dollars(value: float) -> str:
    """Money; below a dollar to a millionth of one."""
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.6f}"


def seconds_of(text: str) -> float:
    """A duration as it is written: `10`, `0.5`, `250ms`, `1m30s`. Raises `ValueError`."""
    return float(decode(Seconds, float(text) if text.replace(".", "", 1).isdigit() else text))
