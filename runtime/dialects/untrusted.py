"""What strangers send, within bounds: JSON nested at most so deep, with one exception for all flaws, and counts.

A JSON value that has been read is walked, written and printed elsewhere, by recursion and further down the stack, where it
would be too deep at last. So the bound is kept here, at the door, and well below Python's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

__all__ = ["DEEPEST", "MOST_OUTPUT", "MOST_TOKENS", "Unreadable", "read_json", "reader_of", "token_count"]

T = TypeVar("T")

DEEPEST: Final = 128
"""Arrays and objects within one another, as in serde_json; requests and answers need a dozen."""

MOST_TOKENS: Final = 10**12
"""No answer counts as many; a larger number is a mistake, and would be one in budgets and accounts."""

MOST_OUTPUT: Final = 10**9
"""Tokens that a request may ask for; far more than any model's longest answer, and few enough to be reserved and priced."""

_SHORT: Final = 512
"""Bytes of a text that cannot be nested so deeply that it does harm; nearly every event of a stream is one."""

_decode: Final = msgspec.json.Decoder().decode


class Unreadable(ValueError):
    """The bytes are no JSON, or none that is taken."""


def read_json(data: bytes) -> Any:
    """The value of a JSON text. Raises `Unreadable`."""
    try:
        value = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(value):
        raise Unreadable(f"nested deeper than {DEEPEST}")
    return value


def reader_of(kind: type[T]) -> Callable[[bytes], T]:
    """A function that reads one kind of value, and raises `Unreadable` for any other.

    It is made for the many events of a stream, and lets those of 512 bytes be nested as deeply as they can.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> T:
        if len(data) > _SHORT and data.count(b"[") + data.count(b"{") > DEEPEST:
            read_json(data)
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreadable(str(error)) from error

    return read


def token_count(value: Any) -> int:
    """A number of tokens as a vendor states it; 0 for anything that is none."""
    return int(value) if type(value) in (int, float) and 0 < value <= MOST_TOKENS else 0


def _is_deep(value: Any) -> bool:
    layer: list[Any] = [value] if type(value) is dict or type(value) is list else []
    for _ in range(DEEPEST):
        if not layer:
            return False
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    return bool(layer)
