"""Mailboxes: where letters wait, and one life of the actor that handles them.

An actor handles one letter at a time with a plain function, so each message is atomic and no peer can stall
it. What the function returns says what happens next: an answer, a `Forward` to another mailbox (whoever
can answer answers the caller directly, and no actor ever waits for another), or `Park`: the asker waits on until
the actor wakes (`Waker`) and deals with the letter by its ticket.

Five properties make this safe to cancel and safe to crash:

- A reply is a rendezvous (a memory channel of capacity 0, sent to with `send_nowait`). The loop looks
  whether the asker still waits, then handles, then sends, without a checkpoint between: an asker that
  has been cancelled is never granted anything.
- A letter that is neither answered nor forwarded nor parked has its reply channel closed, so an asker learns at
  once that the actor crashed over its letter. The letter is not handled again.
- A message whose like has crashed two lives is refused at the door for a while: it would crash each life in turn.
- The mailbox outlives the actor. Letters that wait, or are parked, while it restarts are left to its next life.
- A parked letter lives as long as its asker: if he leaves it is gone at once, and the actor is told (`Departed`).

Bounds: the number of open asks is limited (`MailboxFull`), parked ones included. A tell is limited by what it
reports on: a lease can be settled once, so tells about leases cannot outnumber the leases; an addressee that takes
other tells (statistics) is created `lossy`, and drops, and counts, what it has no room for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, Protocol, TypeVar, runtime_checkable

import trio
from msgspec import Struct

from .letters import Ask, Departed, Forward, Letter, Park, Tell

__all__ = [
    "Actor",
    "ActorCrashed",
    "Ask",
    "Departed",
    "Forward",
    "Letter",
    "Mailbox",
    "MailboxClosed",
    "MailboxFull",
    "MailboxStatistics",
    "Park",
    "Poisonous",
    "Tell",
    "Waker",
    "serve",
]

R = TypeVar("R")
M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)

_DEADLY: Final = 2
"""Lives that a message may cost before its like is refused."""
_DEADLY_FOR: Final = 300.0
"""Seconds after the last crash for which that is remembered. Then one more life is risked: whatever the message met
may have passed, and its like may be what a customer asks every day."""
_MOST_DEADLY: Final = 64
"""Fingerprints of such messages that are remembered; the oldest are forgotten first."""


class MailboxFull(Exception):
    """The addressee has as many letters waiting as it may. Nothing was delivered."""


class MailboxClosed(Exception):
    """The addressee has been retired or shut down. Nothing was delivered."""


class ActorCrashed(Exception):
    """The actor crashed over this very letter, or retired before answering. It is not tried again."""


class Poisonous(ActorCrashed):
    """Messages like this one have crashed the actor before. Nothing was delivered."""


class MailboxStatistics(Struct, frozen=True):
    """A mailbox at a moment: letters waiting, parked, asks under way, letters ever delivered, dropped and refused."""

    waiting: int
    parked: int
    open_asks: int
    delivered: int
    dropped: int
    poisonous: int


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
        self._parked: dict[int, Letter] = {}
        # By the askers' reply channels: under which tickets they are parked here.
        self._tickets: dict[Any, int] = {}
        # How many lives such messages have cost, and when the last.
        self._deadly: dict[Hashable, tuple[int, float]] = {}
        self._poisonous = 0
        self.in_hand: Any = None
        """The message that is being handled; after a crash, the one that was."""

    async def ask(self, message: Ask[R]) -> R:
        """Deliver `message` and wait for its answer, under whatever deadline the caller's scope has.

        Raises `MailboxFull`, `MailboxClosed`, `ActorCrashed` when the letter was lost with a life, or `Poisonous`.
        """
        if self._open_asks >= self._most_asks:
            raise MailboxFull(f"{self.name} has {self._open_asks} requests waiting")
        reply, answer = trio.open_memory_channel[R](0)
        self._open_asks += 1
        try:
            self.deliver(Letter(message, reply))
            return await answer.receive()
        except trio.EndOfChannel:
            raise ActorCrashed(f"{self.name} crashed while it handled {type(message).__name__}") from None
        finally:
            self._open_asks -= 1
            answer.close()
            if self._tickets:
                self._depart(reply)

    def tell(self, message: Tell) -> bool:
        """Deliver `message` without waiting; safe in a `finally`. False if it was dropped."""
        if self._most_tells is not None and self._waiting() >= self._most_tells:
            self._dropped += 1
            return False
        try:
            self.deliver(Letter(message))
        except MailboxClosed:
            # The addressee is gone for good, and with it everything that the message was about.
            self._dropped += 1
            return False
        return True

    def _waiting(self) -> int:
        return self._send.statistics().current_buffer_used

    def deliver(self, letter: Letter) -> None:
        """Put a letter in. Raises `MailboxClosed` or `Poisonous`; its asker has then been told."""
        try:
            if letter.asks:
                self._check(letter.message)
            self._send.send_nowait(letter)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            with letter:
                raise MailboxClosed(f"{self.name} is closed") from None
        except (MailboxClosed, Poisonous):
            with letter:
                raise
        self._delivered += 1

    def _check(self, message: Ask[Any]) -> None:
        if self._suspended:
            raise MailboxClosed(f"{self.name} is suspended")
        if self._lives_cost_by(message) >= _DEADLY:
            self._poisonous += 1
            raise Poisonous(f"{self.name} crashed over such a {type(message).__name__} before")

    def takes(self, message: Ask[Any]) -> bool:
        """Whether `deliver` would take an ask with this message."""
        return not self._closed and not self._suspended and self._lives_cost_by(message) < _DEADLY

    def _lives_cost_by(self, message: Ask[Any]) -> int:
        """How many lives messages like this one have cost lately."""
        if not self._deadly:
            return 0
        count, last = self._deadly.get(message.fingerprint(), (0, -math.inf))
        return count if trio.current_time() < last + _DEADLY_FOR else 0

    def crashed(self) -> Any:
        """The actor crashed: remember what it crashed over. Returns that message, None if there was none in hand."""
        message, self.in_hand = self.in_hand, None
        if isinstance(message, Ask):
            mark = message.fingerprint()
            count = self._lives_cost_by(message)
            self._deadly.pop(mark, None)
            self._deadly[mark] = count + 1, trio.current_time()
            while len(self._deadly) > _MOST_DEADLY:
                del self._deadly[next(iter(self._deadly))]
        return message

    def park(self, ticket: int, letter: Letter) -> None:
        """Keep the asker of `letter` waiting under `ticket`."""
        self._tickets[letter.reply] = ticket
        self._parked[ticket] = letter.taken()

    def _unpark(self, ticket: int) -> Letter | None:
        letter = self._parked.pop(ticket, None)
        if letter is not None:
            del self._tickets[letter.reply]
        return letter

    def _depart(self, reply: trio.MemorySendChannel[Any]) -> None:
        """An asker has left. If its letter is parked, nobody will come for it."""
        ticket = self._tickets.get(reply)
        letter = None if ticket is None else self._unpark(ticket)
        if ticket is not None and letter is not None:
            with letter:
                self.tell(Departed(ticket))

    def waits(self, ticket: int) -> bool:
        """Whether somebody still waits under `ticket`; one who has left is forgotten."""
        letter = self._parked.get(ticket)
        if letter is not None and letter.forsaken:
            self._unpark(ticket)
            return False
        return letter is not None

    def conclude(self, ticket: int, result: object) -> None:
        """Deal with a parked letter as with a handler's result."""
        letter = self._unpark(ticket)
        if letter is not None:
            with letter:
                self._dispose(letter, result)

    def _dispose(self, letter: Letter, result: object) -> None:
        if isinstance(result, Forward):
            letter.forward(result)
        elif isinstance(result, Park):
            self.park(result.ticket, letter)
        else:
            letter.answer(result)

    @property
    def closed(self) -> bool:
        """Whether the addressee takes no asks: gone for good, or suspended."""
        return self._closed or self._suspended

    def suspend(self, elsewhere: Callable[[Any], Forward | None] | None = None) -> None:
        """The addressee will not live for a while: asks that wait are handed on as `elsewhere` says of their messages, or
        learn it at once; tells go on waiting."""
        self._suspended = True
        kept: list[Letter] = []
        while True:
            try:
                letter = self._receive.receive_nowait()
            except trio.WouldBlock:
                break
            if not letter.asks:
                kept.append(letter)
                continue
            with letter:
                onward = None if elsewhere is None else elsewhere(letter.message)
                if onward is not None:
                    letter.forward(onward)
        self._dismiss()
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
        self._dismiss()
        self._receive.close()
        self._send.close()

    def _dismiss(self) -> None:
        """Tell the askers of parked letters that nobody will answer."""
        self._tickets.clear()
        while self._parked:
            with self._parked.popitem()[1]:
                pass

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this moment."""
        return MailboxStatistics(
            waiting=self._waiting(),
            parked=len(self._parked),
            open_asks=self._open_asks,
            delivered=self._delivered,
            dropped=self._dropped,
            poisonous=self._poisonous,
        )


class Actor(Protocol[M_contra]):
    """Keeps state and answers messages, one at a time, without ever waiting."""

    def handle(self, message: M_contra, now: float) -> object:
        """The answer to `message`, a `Forward`, or `Park`; None for a tell. `now` is in seconds, monotonic."""


@runtime_checkable
class Waker(Protocol):
    """An actor that parks letters, and so has something to do at a time."""

    @property
    def wake_at(self) -> float:
        """When to wake it; infinity while there is nothing to wake it for."""

    def wake(self, now: float) -> Iterable[tuple[int, object]]:
        """The tickets that can be dealt with, each with the result. Afterwards `wake_at` is later than `now`."""


async def serve(mailbox: Mailbox[M], actor: Actor[M]) -> None:
    """One life of `actor`: it ends only by crashing, by cancellation, or when the mailbox is closed."""
    waker = actor if isinstance(actor, Waker) else None
    try:
        receiving = mailbox.letters()
    except trio.ClosedResourceError:
        # The house was left before this life had begun.
        return
    async with receiving as letters:
        while True:
            try:
                letter = await _next(letters, math.inf if waker is None else waker.wake_at)
            except trio.EndOfChannel:
                return
            if letter is not None:
                with letter:
                    # `handle` is sync, so an asker seen waiting here still waits when its answer is ready.
                    if letter.forsaken:
                        continue
                    mailbox.in_hand = letter.message
                    result = actor.handle(letter.message, trio.current_time())
                    mailbox.in_hand = None
                    mailbox._dispose(letter, result)
            elif waker is not None:
                for ticket, result in waker.wake(trio.current_time()):
                    mailbox.conclude(ticket, result)
                await trio.lowlevel.checkpoint()


async def _next(letters: trio.MemoryReceiveChannel[Letter], due: float) -> Letter | None:
    """The next letter, or None when `due` comes first."""
    if due == math.inf:
        return await letters.receive()
    if due > trio.current_time():
        with trio.CancelScope(deadline=due):
            return await letters.receive()
    # Also when letters wait: a busy mailbox must not keep its actor asleep.
    return None
