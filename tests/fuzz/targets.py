"""The table of what is fuzzed: `TARGETS` by name."""

from __future__ import annotations

from typing import Final

from . import targets_config, targets_dialects, targets_operations, targets_passing, targets_wire
from .target import Target

__all__ = ["TARGETS"]

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (targets_wire, targets_dialects, targets_operations, targets_config, targets_passing)
    for target in module.targets()
}
