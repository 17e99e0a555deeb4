"""Faults that only an operator can end, and that nothing else in the log would name.

A refused key or spent credit shows as a quarantine, and failures as an open circuit (`chronicle`). A certificate that is
not trusted opens a circuit too, but the circuit's line does not say that waiting will not help: hence a line of its own, an
error, with TLS's own reason. Once an hour for each vendor, however many requests meet it; so what is kept is bounded by
the configuration.
"""

from __future__ import annotations

import math
from typing import Final

from ..actors.faults import FaultClass
from ..actors.log import Log
from .canon import Fault

__all__ = ["Alerts"]

log = Log("llm_dispatcher.alerts")

_AGAIN: Final = 3600.0
_REMEDIES: Final = {
    FaultClass.TLS: "renew the vendor's certificate, or mend this machine's clock or trusted roots",
}


class Alerts:
    """What operators have been told, and when; on the event loop's clock."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, FaultClass], float] = {}

    def note(self, vendor: str, fault: Fault | None, now: float) -> None:
        """An attempt at `vendor` has ended, by `fault` if it was one."""
        remedy = None if fault is None else _REMEDIES.get(fault.kind)
        if fault is None or remedy is None:
            return
        key = (vendor, fault.kind)
        if now - self._told.get(key, -math.inf) >= _AGAIN:
            self._told[key] = now
            log.error(
                "the operator must act",
                vendor=vendor,
                fault=fault.kind.value,
                reason=fault.message,
                remedy=remedy,
            )
