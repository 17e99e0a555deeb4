"""Whether a JSON object that comes in pieces has come whole: a scanner that keeps three numbers, whatever the object's size.

It counts brackets outside of strings. That is not whether the JSON is valid, which is for whoever reads it to find out.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Wholeness"]

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')


class Wholeness:
    """Takes the pieces of one object or array in order. Takes time linear in their length."""

    __slots__ = ("_depth", "_in_string", "_skip", "whole")

    def __init__(self) -> None:
        self.whole = False
        """Whether what was opened is closed again, and something was."""
        self._depth = 0
        self._in_string = False
        self._skip = False
        """The last piece ended in a backslash: the next character means nothing."""

    def add(self, piece: str) -> None:
        """The next piece."""
        at = int(self._skip and bool(piece))
        self._skip = self._skip and not piece
        while (found := (_INSIDE if self._in_string else _OUTSIDE).search(piece, at)) is not None:
            at = found.end()
            match found[0]:
                case "\\":
                    self._skip = at == len(piece)
                    at += 1
                case '"':
                    self._in_string = not self._in_string
                case "{" | "[":
                    self._depth += 1
                    self.whole = False
                case _:
                    self._depth -= 1
                    self.whole = self._depth == 0
