"""The front door: how badly a request is needed, and whether it is taken in while the process is overloaded.

The decision is the machine's (`actors.machines.overload`), the readings behind it are the monitor's (`runtime.overload`).
Here a request is only asked for its class, before a byte of its body is read: refusing has to cost next to nothing.
"""

from __future__ import annotations

import random
from typing import Final

from msgspec import Struct

from ...actors.faults import FaultClass
from ...actors.machines.overload import CRITICALITIES, Criticality, Overload
from ..errors import RequestRejected, Shed
from .http import Exchange

__all__ = ["HEADER", "Admission", "AdmissionStatistics"]

HEADER: Final = b"x-dispatch-criticality"
_SOONEST, _LATEST = 2.0, 8.0
"""Seconds after which a refused request may come again; spread, so that not all of them do at the same time."""


class AdmissionStatistics(Struct, frozen=True):
    """The stage of overload (0 to 3), the pressures behind it, and how many requests were shed, by class."""

    stage: int
    pressures: dict[str, float]
    shed: dict[Criticality, int]


class Admission:
    """Lets requests in or refuses them. `default` is the class of those that do not say."""

    def __init__(
        self,
        overload: Overload | None = None,
        *,
        default: Criticality = "critical",
        rng: random.Random | None = None,
    ) -> None:
        self._overload = overload or Overload()
        self._default = default
        self._rng = rng or random.Random()
        self._shed = dict.fromkeys(CRITICALITIES, 0)

    def admit(self, exchange: Exchange) -> None:
        """Note the request's class in `exchange`. Raises `Shed`, or `RequestRejected` for a class that does not exist."""
        said = exchange.headers.get(HEADER)
        if said is not None:
            exchange.criticality = _criticality(said)
        else:
            exchange.criticality = self._default
        if self._overload.stage and not self._overload.admits(exchange.criticality):
            raise self._refusal(exchange.criticality)

    def _refusal(self, criticality: Criticality) -> Shed:
        self._shed[criticality] += 1
        short_of = self._overload.statistics().greatest
        return Shed(
            f"the dispatcher is overloaded ({short_of}): requests of the class {criticality!r} are refused for now",
            code="overloaded",
            retry_after=self._rng.uniform(_SOONEST, _LATEST),
        )

    def statistics(self) -> AdmissionStatistics:
        """What stands in `GET /v1/stats`."""
        told = self._overload.statistics()
        pressures = {name: round(pressure, 4) for name, pressure in told.pressures.items()}
        return AdmissionStatistics(told.stage, pressures, dict(self._shed))


def _criticality(said: bytes) -> Criticality:
    name = said.decode("latin-1").lower()
    if name not in CRITICALITIES:
        known = ", ".join(CRITICALITIES)
        raise RequestRejected(
            f"x-dispatch-criticality: there is no class {name!r}; there are {known}",
            kind=FaultClass.BAD_REQUEST,
            code="invalid_request",
            param="x-dispatch-criticality",
        )
    return name
