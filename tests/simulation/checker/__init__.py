"""What must hold in every history, whatever the story: the ten promises, one function each. Pure.

A *violation* names the promise that was broken, the request (or what else) it was about, when, and what was found:

- **I1** every request has exactly one end, in time; **I2** nothing incomplete is shown as complete; **I6** there is no retry
  once content has been delivered (`endings`);
- **I3** what was booked is never less than what the vendors bill, and equal where they said it (`money`);
- **I4** the vendors' limits hold in every window, and **I10** through every crash (`rates`);
- **I5** retries are bounded; **I7** so is everything that waits; **I8** nothing is left behind, and **I9** permits come
  back exactly once (`upkeep`);
- **alive** once the faults have stopped the house serves again (only in liveness stories), and **sound**: it crashes
  only where it is made to, and meets nothing that it did not expect (`upkeep`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ..history import History
from ..story import Story
from .endings import committed, complete, ended
from .money import booked
from .rates import limited, remembered
from .upkeep import alive, amplified, bounded, left_behind, permits, sound
from .violation import Violation

__all__ = ["CHECKS", "Violation", "check"]

CHECKS: Final[Mapping[str, Callable[[Story, History], list[Violation]]]] = MappingProxyType(
    {
        "I1": ended,
        "I2": complete,
        "I3": booked,
        "I4": limited,
        "I5": amplified,
        "I6": committed,
        "I7": bounded,
        "I8": left_behind,
        "I9": permits,
        "I10": remembered,
        "alive": alive,
        "sound": sound,
    }
)


def check(story: Story, history: History) -> list[Violation]:
    """Everything that is wrong with a history, in the order of the promises."""
    return [violation for find in CHECKS.values() for violation in find(story, history)]
