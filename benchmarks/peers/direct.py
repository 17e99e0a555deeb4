"""No gateway: the load generator talks to the first vendor. What it shows is subtracted from the others' latencies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..load.targets import Address
from .peer import MODEL, Command, Peer

__all__ = ["Direct"]


class Direct(Peer):
    """See the module's text."""

    name = "direct"
    resilience = "none"

    def install(self, folder: Path) -> str:
        """Nothing."""
        del folder
        return "no gateway"

    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """Nothing."""
        del folder, work, port, vendors
        return None

    def address(self, port: int, vendors: Sequence[str]) -> Address:
        """The first vendor's."""
        del port
        return Address(base=vendors[0], model=MODEL, key="k")
