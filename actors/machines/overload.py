"""Which classes of requests are served while the process itself is short of something.

Theory. A process that takes every request in while it has no time or memory left serves none of them well, so it has
to refuse some, cheaply, and those first that their senders can best do without. The four classes are those of the
SRE book ("Handling Overload", Criticality), highest first; the stages are those of an overload manager that acts on the
greatest of several *pressures*, each a reading divided by its limit (Envoy's `overload_manager`):

| stage | from a pressure of | served |
|---|---|---|
| 0 | | all classes |
| 1 | 0.85 | all but `sheddable`; idle connections are kept for a shorter time |
| 2 | 0.90 | `critical_plus` and `critical` |
| 3 | 0.95 | `critical_plus` |

A stage is entered at once. It is left when the pressure has stayed below its threshold by a `margin` for `calm` seconds,
so that it does not flap: what is refused lowers the pressure, and without the pause it would be let in again at once,
raise it again, and so on. Each threshold is a latch of its own, and the stage is the number of latches that are set.

Only what comes in is judged. A request that has been admitted is never shed.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

Criticality: TypeAlias = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]
"""How badly a request is needed: `critical_plus` where its failure is an outage that people notice, `critical` the
default for interactive use, `sheddable_plus` for batch work that is tried again, `sheddable` where nobody waits."""

CRITICALITIES: Final[tuple[Criticality, ...]] = get_args(Criticality)
"""Most critical first."""

STAGES: Final = (0.85, 0.90, 0.95)
"""From which pressure each stage applies. The first and the last are Envoy's usual ones; between them the better half
of the sheddable requests goes."""

_RANK: Final = {criticality: rank for rank, criticality in enumerate(CRITICALITIES)}


class OverloadStatistics(Struct, frozen=True):
    """The stage, the pressures it was last judged by, and which of them was the greatest ('' if there were none)."""

    stage: int
    pressures: dict[str, float]
    greatest: str


class Overload:
    """Keeps the stage. See the module's text."""

    __slots__ = ("_below_since", "_calm", "_margin", "_pressures", "_stages", "stage")

    def __init__(
        self, stages: tuple[float, float, float] = STAGES, *, margin: float = 0.05, calm: float = 2.0
    ) -> None:
        if not margin <= stages[0] <= stages[1] <= stages[2] or margin < 0 or calm < 0:
            raise ValueError(f"stages rise and lie above the margin, got {stages}, {margin=}, {calm=}")
        self.stage = 0
        self._stages = stages
        self._margin = margin
        self._calm = calm
        self._below_since: list[float | None] = [None, None, None]
        """For each latch that is set: since when the pressure has been low enough to leave it."""
        self._pressures: dict[str, float] = {}

    def observe(self, pressures: Mapping[str, float], now: float) -> int:
        """Take readings of every signal, each 0 (idle) to 1 (its limit) or more; returns the stage from now on.

        A signal that is left out does not count. Times must not go backwards.
        """
        self._pressures = dict(pressures)
        greatest = max(pressures.values(), default=0.0)
        set_latches = 0
        for index, threshold in enumerate(self._stages):
            is_set = index < self.stage
            if greatest >= threshold:
                self._below_since[index] = None
                set_latches += 1
            elif is_set and not self._has_been_calm(index, greatest, now):
                set_latches += 1
        self.stage = set_latches
        return set_latches

    def _has_been_calm(self, index: int, greatest: float, now: float) -> bool:
        if greatest >= self._stages[index] - self._margin:
            self._below_since[index] = None
            return False
        since = self._below_since[index]
        if since is None:
            since = self._below_since[index] = now
        return now - since >= self._calm

    def admits(self, criticality: Criticality) -> bool:
        """Whether a request of that class is served at present."""
        return _RANK[criticality] + self.stage < len(CRITICALITIES)

    def statistics(self) -> OverloadStatistics:
        pressures = self._pressures
        return OverloadStatistics(
            self.stage, pressures, max(pressures, key=pressures.__getitem__, default="")
        )
