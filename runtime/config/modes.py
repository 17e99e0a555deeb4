"""The modes that exist without being written: what a caller may name when any good model will do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .schema import Config, Mode

__all__ = ["BUILT_IN_MODES", "modes"]

BUILT_IN_MODES: Final[Mapping[str, Mode]] = MappingProxyType(
    {
        "fast": Mode(policy="fastest"),
        "sophisticated": Mode(policy="best"),
        "cost_saving": Mode(policy="cheapest"),
        "auto": Mode(policy="balanced"),
    }
)


def modes(config: Config) -> dict[str, Mode]:
    """Every mode by name: the built-in ones, each replaced if the configuration says so, then its own."""
    return {**BUILT_IN_MODES, **config.modes}
