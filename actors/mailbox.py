"""Mailboxes, and the two kinds of letter: one that is answered and one that is not.

An **ask** carries a reply channel; a **tell** does not. An actor handles one letter at a time with a plain
function, so each message is atomic and no peer can stall it. What the function returns says what happens
next: an answer, or a `Forward` to another mailbox; whoever can answer answers the caller directly, and
no actor ever waits for another.

Three properties make this safe to cancel and safe to crash:

- A reply is a rendezvous (a memory channel of capacity 0, sent to with `send_nowait`). The loop looks
  whether the asker still waits, then handles, then sends, without a checkpoint between: an asker that
  has been cancelled is never granted anything.
- A letter that is neither answered nor forwarded has its reply channel closed, so an asker learns at
  once that the actor crashed over its letter. The letter is not handled again: a poisonous one would
  crash each life in turn.
- The mailbox outlives the actor. Letters that wait while it restarts are handled by its next life.

Bounds: the number of open asks is limited (`MailboxFull`). A tell is limited by what it reports on: a
lease can be settled once, so tells about leases cannot outnumber the leases; an addressee that takes other
tells (statistics) is created `lossy`, and drops, and counts, what it has no room for.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import trio
from msgspec import Struct

__all__ = [
    "Actor",
    "ActorCrashed",
    "Ask",
    "Forward",
    "Letter",
    "Mailbox",
    "MailboxClosed",
    "MailboxFull",
    "MailboxStatistics",
    "Tell",
    "serve",
]

R = TypeVar("R")
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


class MailboxFull(Exception):
    """The addressee has as many letters waiting as it may. Nothing was delivered."""


class MailboxClosed(Exception):
    """The addressee has been retired or shut down. Nothing was delivered."""


class ActorCrashed(Exception):
    """The actor crashed over this very letter, or retired before answering. It is not tried again."""


class Ask(Struct, Generic[R], frozen=True):
    """A message that is answered with an `R`."""


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
        reply, self._reply = self._reply, None
        where.to._deliver(Letter(where.message, reply))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.close()


class MailboxStatistics(Struct, frozen=True):
    """A mailbox at a moment: letters waiting, asks under way, letters ever delivered and dropped."""

    waiting: int
    open_asks: int
    delivered: int
    dropped: int


class Mailbox(Generic[M]):
    """Where the letters to one actor wait. Owned by whoever supervises the actor, not by the actor.

    `most_asks` bounds the asks under way, over all addressees that they are forwarded to; `most_tells`
    bounds the tells of a lossy mailbox (None: not lossy, see the module's docstring).
    """

    def __init__(self, name: str, *, most_asks: int = 10_000, most_tells: int | None = None) -> None:
        self.name = name
        self._most_asks = most_asks
        self._most_tells = most_tells
        # Unbounded as a channel, because it is bounded at the door: by `ask` and by `tell`.
        self._send, self._receive = trio.open_memory_channel[Letter](math.inf)
        self._open_asks = 0
        self._delivered = 0
        self._dropped = 0
        self._closed = False
        self._suspended = False

    async def ask(self, message: Ask[R]) -> R:
        """Deliver `message` and wait for its answer, under whatever deadline the caller's scope has.

        Raises `MailboxFull`, `MailboxClosed`, or `ActorCrashed` when the letter was lost with a life.
        """
        if self._open_asks >= self._most_asks:
            raise MailboxFull(f"{self.name} has {self._open_asks} requests waiting")
        reply, answer = trio.open_memory_channel[R](0)
        self._open_asks += 1
        try:
            self._deliver(Letter(message, reply))
            return await answer.receive()
        except trio.EndOfChannel:
            raise ActorCrashed(f"{self.name} crashed while it handled {type(message).__name__}") from None
        finally:
            self._open_asks -= 1
            answer.close()

    def tell(self, message: Tell) -> bool:
        """Deliver `message` without waiting; safe in a `finally`. False if it was dropped."""
        if self._most_tells is not None and self._waiting() >= self._most_tells:
            self._dropped += 1
            return False
        try:
            self._deliver(Letter(message))
        except MailboxClosed:
            # The addressee is gone for good, and with it everything that the message was about.
            self._dropped += 1
            return False
        return True

    def _waiting(self) -> int:
        return self._send.statistics().current_buffer_used

    def _deliver(self, letter: Letter) -> None:
        if self._suspended and letter.asks:
            with letter:
                raise MailboxClosed(f"{self.name} is suspended")
        try:
            self._send.send_nowait(letter)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            with letter:
                raise MailboxClosed(f"{self.name} is closed") from None
        self._delivered += 1

    @property
    def closed(self) -> bool:
        """Whether the addressee takes no asks: gone for good, or suspended."""
        return self._closed or self._suspended

    def suspend(self) -> None:
        """The addressee will not live for a while: asks that wait learn it at once, tells go on waiting."""
        self._suspended = True
        kept: list[Letter] = []
        while True:
            try:
                letter = self._receive.receive_nowait()
            except trio.WouldBlock:
                break
            if letter.asks:
                with letter:
                    continue
            kept.append(letter)
        for letter in kept:
            self._send.send_nowait(letter)

    def resume(self) -> None:
        """The addressee lives again."""
        self._suspended = False

    def letters(self) -> trio.MemoryReceiveChannel[Letter]:
        """A receiving end for one life. The mailbox keeps its own, so that letters outlive the life."""
        return self._receive.clone()

    def close(self) -> None:
        """Retire the addressee: letters that wait are lost (their askers learn it), new ones are refused."""
        self._closed = True
        while True:
            try:
                letter = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
            with letter:
                pass
        self._receive.close()
        self._send.close()

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this moment."""
        return MailboxStatistics(self._waiting(), self._open_asks, self._delivered, self._dropped)


class Forward(Struct, frozen=True):
    """What a handler returns to hand the letter on: to whom, and saying what."""

    to: Mailbox[Any]
    message: Any


class Actor(Protocol[M_contra]):
    """Keeps state and answers messages, one at a time, without ever waiting."""

    def handle(self, message: M_contra, now: float) -> object:
        """The answer to `message`, or a `Forward`; None for a tell. `now` is in seconds, monotonic."""


async def serve(mailbox: Mailbox[M], actor: Actor[M]) -> None:
    """One life of `actor`: it ends only by crashing or by cancellation."""
    async with mailbox.letters() as letters:
        async for letter in letters:
            with letter:
                # `handle` is sync, so an asker seen waiting here still waits when its answer is ready.
                if letter.forsaken:
                    continue
                result = actor.handle(letter.message, trio.current_time())
                if isinstance(result, Forward):
                    letter.forward(result)
                else:
                    letter.answer(result)
