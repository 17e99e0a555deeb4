"""What a vendor's dialect puts on every request: its key above all. Learned from a sample that the dialect is asked to build."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

import httpx
from msgspec import Struct

from ..canon import Message, Request
from ..dialects.base import Dialect, Unsupported
from ..vectors import Embed
from .headers import Fields, is_credential

__all__ = ["with_own_fields"]

_FRAMING: Final = frozenset(
    {b"host", b"content-type", b"content-length", b"accept", b"accept-encoding", b"connection"}
)


class _Own(Struct, frozen=True):
    """`always`: whatever the client sends; `unless_said`: unless it says so itself, as of a version."""

    always: Fields
    unless_said: Fields


_known: Final[WeakKeyDictionary[Dialect, _Own]] = WeakKeyDictionary()


def with_own_fields(dialect: Dialect, fields: Fields) -> list[tuple[bytes, bytes]]:
    """A request's header fields: the client's that may go on, and the vendor's own."""
    own = _known.get(dialect)
    if own is None:
        own = _known[dialect] = _own_fields(dialect)
    always = {name for name, _ in own.always}
    kept = [each for each in fields if each[0] not in always]
    said = {name for name, _ in kept}
    return [*kept, *own.always, *[each for each in own.unless_said if each[0] not in said]]


def _own_fields(dialect: Dialect) -> _Own:
    target = dialect.target
    configured = {name.lower().encode() for name in target.headers}
    key = (target.key or "").encode()
    fields = [(name.lower(), value) for name, value in _sample(dialect).headers.raw]
    own = [each for each in fields if each[0] not in _FRAMING or each[0] in configured]
    always = [
        each for each in own if each[0] in configured or is_credential(each[0]) or (key and key in each[1])
    ]
    return _Own(always, [each for each in own if each not in always])


def _sample(dialect: Dialect) -> httpx.Request:
    try:
        return dialect.build(Request(model="m", messages=[Message("user", "x")]), stream=False).request
    except Unsupported:
        if dialect.embedder is None:
            raise
        return dialect.embedder.build(Embed(model="m", inputs=["x"])).request
