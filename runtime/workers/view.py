"""One view of what many workers say of themselves: counts are added up, the worst state is shown, and what is missing is said to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from ...actors.messages import VendorSnapshot
from ...actors.tallies import Ledger, LedgerImage
from ..orders import OrderRefused
from .link import Link
from .protocol import Gathered, Portrait

__all__ = ["Fellows", "merged"]

Told: TypeAlias = Mapping[str, Any]

_LARGEST: Final = frozenset(
    {"closed_for", "rests_for", "oldest", "down_for", "retry_in", "stage", "open_files", "memory", "loop_lag"}
)
"""Numbers of which the largest counts, and not the sum."""
_MEANS: Final = frozenset({"weight"})
_WORST_FIRST: Final = (
    "open", "quarantined", "exhausted", "isolated", "half_open", "restarting", "slow", "forced_closed", "stopped", "closed", "alive",
)  # fmt: skip
_STATES: Final = frozenset({"circuit", "endpoint", "state"})


class Fellows:
    """The other workers, as one of them sees them."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def stats(self, own: Portrait) -> dict[str, Any]:
        """`GET /v1/stats` over all workers. `workers` says which of them are not in it, or with older figures."""
        gathered = await self._link.gather("stats") or self._nobody()
        parts = {self._link.number: own}
        for worker, body in gathered.parts.items():
            parts[worker] = msgspec.msgpack.decode(body, type=Portrait)
        ledger = Ledger()
        for part in parts.values():
            ledger.merge(_image(part.ledger))
        for image in (*gathered.images, gathered.former):
            if image:
                ledger.merge(_image(image))
        standings = [msgspec.json.decode(parts[worker].standing) for worker in sorted(parts)]
        workers = {
            "configured": self._link.workers,
            "answered": sorted(parts),
            "missing": list(gathered.missing),
            "partial": bool(gathered.missing),
        }
        return {"statistics": ledger.statistics(), **merged(standings), "workers": workers}

    async def order(self, target: str, order: str, own: VendorSnapshot) -> Any:
        """Have everybody carry out what has been carried out here; how the vendor stands then. Raises `OrderRefused`."""
        gathered = await self._link.gather(order, target) or self._nobody()
        if gathered.missing:
            listed = ", ".join([str(worker) for worker in gathered.missing])
            raise OrderRefused(
                f"the order was carried out, but worker {listed} has not said so (yet); look how {target} stands, and give it again",
                status=503,
                code="order_partial",
            )
        others = [msgspec.json.decode(body) for body in gathered.parts.values()]
        return merged([msgspec.to_builtins(own), *others])

    def _nobody(self) -> Gathered:
        others = [number for number in range(1, self._link.workers + 1) if number != self._link.number]
        return Gathered(0, parts={}, missing=tuple(others))


def merged(parts: Sequence[Told]) -> dict[str, Any]:
    """One mapping of many of the same shape."""
    names = dict.fromkeys([name for part in parts for name in part])
    return {name: _merge(name, [part[name] for part in parts if name in part]) for name in names}


def _merge(name: str, values: Sequence[Any]) -> Any:
    present = [value for value in values if value is not None]
    if not present:
        return None
    first = present[0]
    if isinstance(first, dict):
        if name == "pressures":
            return {key: max([each[key] for each in present if key in each]) for key in merged(present)}
        return _states_first(merged(present), present)
    if isinstance(first, bool):
        return any(present)
    if isinstance(first, int | float):
        if name in _LARGEST:
            return max(present)
        return sum(present) / len(present) if name in _MEANS else sum(present)
    if name in _STATES:
        return _worst(present)
    return first


def _states_first(whole: dict[str, Any], parts: Iterable[Told]) -> dict[str, Any]:
    """What explains a state is taken from the part whose state is shown."""
    state = next((name for name in ("circuit", "state") if name in whole), None)
    if state is None:
        return whole
    shown = next((part for part in parts if part.get(state) == whole[state]), None)
    if shown is not None:
        for name in ("last_transition", "last_crash"):
            if shown.get(name) is not None:
                whole[name] = shown[name]
    return whole


def _worst(states: Sequence[str]) -> str:
    known = {state: position for position, state in enumerate(_WORST_FIRST)}
    return min(states, key=lambda state: known.get(state, -1))


def _image(encoded: bytes) -> LedgerImage:
    return msgspec.msgpack.decode(encoded, type=LedgerImage)
