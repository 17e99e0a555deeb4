"""What a request asks for and this format cannot say: refused, or left out and named."""

from __future__ import annotations

from ...base import Unsupported

__all__ = ["Drops"]


class Drops:
    """What could not be said: an exception at once, or with `lenient` a list of names."""

    __slots__ = ("lenient", "names")

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.names: list[str] = []

    def refuse(self, feature: str, remedy: str = "") -> None:
        """Raise `Unsupported`, or note that `feature` is left out."""
        if not self.lenient:
            raise Unsupported(feature, remedy)
        self.drop(feature)

    def drop(self, feature: str) -> None:
        """Note that `feature` is left out, as it always may be."""
        if feature not in self.names:
            self.names.append(feature)
