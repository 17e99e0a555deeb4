"""What has been closed here, and the others have not been told: by comparison with the last look, as the chronicle does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from ...actors.gauge import Gauge
from ...actors.messages import Cause
from ...actors.vault import VendorState
from .protocol import Closure

__all__ = ["Closures"]

_SLACK: Final = 0.05
"""Seconds by which an end has to be later to be another: what comes back from another process is not quite as it went."""


class Closures:
    """Looks through the vaults of the vendors, which are given by name."""

    def __init__(self, vaults: Mapping[str, VendorState]) -> None:
        self._vaults = vaults
        self._known: dict[tuple[str, bool], float] = {}

    def heard(self, closure: Closure, now: float) -> None:
        """Another process has told this, so it need not be told."""
        key = closure.scope, closure.day
        self._known[key] = max(self._known.get(key, -math.inf), now + closure.seconds)

    def news(self, now: float) -> tuple[Closure, ...]:
        """What is closed and was not told, once."""
        found: list[Closure] = []
        for vendor, vault in self._vaults.items():
            for scope, gauge in vault.scopes().items():
                for until, cause, day in _ends(gauge):
                    if until > max(now, self._known.get((scope, day), -math.inf) + _SLACK):
                        self._known[scope, day] = until
                        found.append(Closure(vendor, scope, until - now, cause, day))
        return tuple(found)


def _ends(gauge: Gauge) -> Iterator[tuple[float, Cause, bool]]:
    yield gauge.closed_until, gauge.cause, False
    yield gauge.day.until, Cause.QUARANTINED, True
