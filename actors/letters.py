"""Messages and the letters they travel in: the two kinds of message, and the three things a handler may do with one.

An **ask** is answered, a **tell** is not. A handler returns the answer, or hands the letter on (`Forward`), or keeps
its asker waiting (`Park`) until it can say more.
"""

from __future__ import annotations

from collections.abc import Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from msgspec import Struct

from .sleep import Asker

if TYPE_CHECKING:
    from .mailbox import Mailbox

__all__ = ["Ask", "Departed", "Forward", "Letter", "Park", "Tell"]

R = TypeVar("R")


class Ask(Struct, Generic[R], frozen=True):
    """A message that is answered with an `R`."""

    def fingerprint(self) -> Hashable:
        """What makes two such messages the same to whoever handles them: all but times and numbers of their own.

        A message that crashes actors is known again by it; see `mailbox.Mailbox`.
        """
        return type(self).__name__, repr(self)


class Tell(Struct, frozen=True):
    """A message that is not answered."""


class Letter:
    """A message on its way, with the asker if it is to be answered.

    As a context manager it is one handling: the asker of a letter left unanswered at its end learns that nobody will.
    """

    __slots__ = ("asker", "message")

    def __init__(self, message: Any, asker: Asker[Any] | None = None) -> None:
        self.message = message
        self.asker = asker
        """None for a tell, and once the letter has been dealt with."""

    @property
    def asks(self) -> bool:
        """Whether somebody is to be answered."""
        return self.asker is not None

    @property
    def forsaken(self) -> bool:
        """Whether the asker no longer waits. A tell is never forsaken."""
        asker = self.asker
        return asker is not None and not asker.asleep

    def answer(self, value: object) -> None:
        """Give the asker its answer. For a tell, or an asker that has left, there is nothing to do."""
        asker, self.asker = self.asker, None
        if asker is not None:
            asker.give(value)

    def forward(self, where: Forward) -> None:
        """Hand the letter on, with its asker: the next addressee answers, or forwards in turn."""
        where.to.deliver(self.taken(where.message))

    def taken(self, message: Any = None) -> Letter:
        """The asker in a new letter: this one has been dealt with."""
        asker, self.asker = self.asker, None
        return Letter(self.message if message is None else message, asker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asker, self.asker = self.asker, None
        if asker is not None:
            asker.wake()


class Forward(Struct, frozen=True):
    """What a handler returns to hand the letter on: to whom, and saying what."""

    to: Mailbox[Any]
    message: Any


class Park(Struct, frozen=True, gc=False):
    """What a handler returns to keep the asker waiting: `ticket` names the letter until `Waker.wake` deals with it.

    Should the asker leave before that, the actor is told (`Departed`).
    """

    ticket: int


class Departed(Tell, frozen=True):
    """To an actor that parks letters: the one that waited under `ticket` has left, and its letter is gone."""

    ticket: int
