"""Splits the JSON array in which Google streams when it is not asked for server-sent events.

Works on bytes cut anywhere: it follows brackets and strings only, which are the same in every cut of
UTF-8, and leaves the meaning (and the mistakes) of an element to the JSON decoder. Values that follow
one another without an array around them are split as well.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ElementSplitter"]

_OUTSIDE: Final = re.compile(rb'["{}\[\]]')
_INSIDE: Final = re.compile(rb'["\\]')


class ElementSplitter:
    """The elements of a top-level array, one by one.

    `limit` is the longest that is held, in bytes; after one that is longer, `oversized` is set and
    nothing more comes out.
    """

    __slots__ = ("_depth", "_element", "_in_array", "_in_string", "_limit", "_skip", "ended", "oversized")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._element = bytearray()
        self._depth = 0
        self._in_array = False
        self._in_string = False
        self._skip = False
        self.ended = False
        """Whether the array was closed."""
        self.oversized = False

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that end in `data`."""
        elements: list[bytes] = []
        position = start = 0
        if self._skip and data:
            self._skip = False
            position = 1
        while not (self.ended or self.oversized):
            found = (_INSIDE if self._in_string else _OUTSIDE).search(data, position)
            if found is None:
                break
            at = found.start()
            position = at + 1
            mark = data[at]
            if mark == 0x5C:  # a backslash: the next byte is not a mark, wherever it arrives
                self._skip = position == len(data)
                position += 1
            elif mark == 0x22:
                self._in_string = not self._in_string
            elif mark in b"{[":
                start = self._open(mark, at, start)
            elif self._shut(mark) and self._hold(data[start:position]):
                elements.append(bytes(self._element))
                self._element.clear()
                start = position
        if self._depth:
            self._hold(data[start:])
        return elements

    def close(self) -> bool:
        """Call at the end of the stream: True if it ended within an element, or before its array was closed."""
        return self._depth > 0 or (self._in_array and not self.ended)

    def _open(self, mark: int, at: int, start: int) -> int:
        if not self._depth and mark == 0x5B and not self._in_array:
            self._in_array = True
            return at + 1
        self._depth += 1
        return at if self._depth == 1 else start

    def _shut(self, mark: int) -> bool:
        if self._depth:
            self._depth -= 1
            return self._depth == 0
        self.ended = mark == 0x5D
        return False

    def _hold(self, data: bytes) -> bool:
        if self.oversized or len(self._element) + len(data) > self._limit:
            self.oversized = True
            self._element.clear()
        else:
            self._element += data
        return not self.oversized
