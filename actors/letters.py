"""Messages and the letters they travel in: the two kinds of message, and the three things a handler may do with one.

An **ask** is answered, a **tell** is not. A handler returns the answer, or hands the letter on (`Forward`), or keeps
its asker waiting (`Park`) until it can say more.
"""

from __future__ import annotations

from collections.abc import Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import trio
from msgspec import Struct

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
    """A message on its way, with the channel on which an ask is answered.

    As a context manager it is one handling: a letter left unanswered at its end loses its reply channel.
    """

    __slots__ = ("_reply", "message")

    def __init__(self, message: Any, reply: trio.MemorySendChannel[Any] | None = None) -> None:
        self.message = message
        self._reply = reply

    @property
    def reply(self) -> trio.MemorySendChannel[Any] | None:
        """The asker's channel; None for a tell, and once the letter has been dealt with."""
        return self._reply

    @property
    def asks(self) -> bool:
        """Whether somebody is to be answered."""
        return self._reply is not None

    @property
    def forsaken(self) -> bool:
        """Whether the asker no longer waits. A tell is never forsaken."""
        reply = self._reply
        return reply is not None and reply.statistics().tasks_waiting_receive == 0

    def answer(self, value: object) -> None:
        """Give the asker its answer. For a tell, or an asker that has left, there is nothing to do."""
        reply, self._reply = self._reply, None
        if reply is None:
            return
        try:
            reply.send_nowait(value)
        except (trio.WouldBlock, trio.BrokenResourceError):
            pass
        finally:
            reply.close()

    def forward(self, where: Forward) -> None:
        """Hand the letter on, with its reply channel: the next addressee answers, or forwards in turn."""
        where.to.deliver(self.taken(where.message))

    def taken(self, message: Any = None) -> Letter:
        """The asker's channel in a new letter: this one has been dealt with."""
        reply, self._reply = self._reply, None
        return Letter(self.message if message is None else message, reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.close()


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
