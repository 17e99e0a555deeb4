"""What a row of the matrix is: one client, pointed at the daemon, and how it is asked for each thing that it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct

__all__ = ["Client", "Errors", "Heard", "Lacking", "Reasons"]

Errors: TypeAlias = Mapping[int, type[Exception]]
Reasons: TypeAlias = Mapping[str, str]


class Lacking(Exception):
    """The client has no such thing; the message says why."""


class Heard(Struct, kw_only=True):
    """An answer as the client tells it. What is None the client does not tell."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = []
    """Of functions: the name, and the arguments."""
    thought: str = ""
    usage: tuple[int, int] | None = None
    """Tokens that went in and came out."""
    finish: str | None = None


class Client(ABC):
    """One client. `url` is the daemon's, without a path. `model` is a dialect's name in all methods."""

    name: ClassVar[str]
    stop: ClassVar[str | None]
    """Why an answer ended that is complete, in the client's own word."""
    called: ClassVar[str | None]
    """The same of one that calls a function."""
    lacks: ClassVar[Reasons] = {}
    """Capability -> why this client does not have it."""
    errors: ClassVar[Errors]
    """Status -> the client's own exception."""

    def __init__(self, url: str) -> None:
        self.url = url

    def close(self) -> None:
        """Nothing may be left open."""
        return

    @abstractmethod
    def plain(self, model: str, text: str) -> Heard:
        """Ask, and be told in one piece."""

    def streamed(self, model: str, text: str) -> Heard:
        """Ask, and be told piece by piece."""
        raise Lacking(model)

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """Ask with `story.WEATHER`, return `story.RESULT` to the call, and be told of that."""
        raise Lacking(model)

    def structured(self, model: str) -> object:
        """Ask for a `story.City`."""
        raise Lacking(model)

    def image(self, model: str) -> Heard:
        """Show `story.PIXEL`."""
        raise Lacking(model)

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """Ask for thoughts to be shown."""
        raise Lacking(model)

    def cancelled(self, model: str, text: str) -> None:
        """Ask for what has no end, listen to some of it, and leave."""
        raise Lacking(model)
