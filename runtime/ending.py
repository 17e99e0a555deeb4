"""The end of a request that may travel in parts: which of them is the one to tell the statistics of it. Pure."""

from __future__ import annotations

__all__ = ["Ending"]


class Ending:
    """Whose outcome is a request's last: of its `parts` the first that fails, or the last to succeed."""

    __slots__ = ("_open", "told")

    def __init__(self, parts: int = 1) -> None:
        self._open = parts
        self.told = False
        """Whether the statistics have been told of the request's end."""

    def reached(self, *, failed: bool) -> bool:
        """One part has come to its end; whether that is the request's, which is so once."""
        self._open -= 1
        if self.told or (self._open > 0 and not failed):
            return False
        self.told = True
        return True
