"""What a request asks for and a format cannot say: refused at once, or noted where dropping is allowed."""

from __future__ import annotations

from .base import Unsupported

__all__ = ["Wishes"]


class Wishes:
    """Collects the names of what is `dropped` while one request is written."""

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self.dropped: list[str] = []

    def cannot(self, feature: str, remedy: str = "") -> None:
        """`feature` cannot be said. Raises `Unsupported` unless lenient."""
        if not self._lenient:
            raise Unsupported(feature, remedy)
        self.dropped.append(feature)
