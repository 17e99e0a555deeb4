"""What a request asks for, in any format."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Asked", "Malformed", "Tool", "require"]


class Malformed(Exception):
    """The request is not as the vendor's interface has it; the message says where."""


class Tool(Struct):
    """A function that may be called, and the JSON schema of its arguments."""

    name: str
    schema: dict[str, Any]


class Asked(Struct, kw_only=True):
    """As far as it changes what is answered."""

    stream: bool
    text: str
    """What the user said last."""
    tools: list[Tool] = []
    result: str | None = None
    """What a tool has returned, where nothing was said since."""
    schema: dict[str, Any] | None = None
    """Of the answer, which then is JSON."""
    images: int = 0
    thinks: bool = False
    """Whether thoughts are to be shown."""


def require(condition: object, complaint: str) -> None:
    """Raises `Malformed` unless `condition` holds."""
    if not condition:
        raise Malformed(complaint)
