"""Mailboxes: where letters wait, and one life of the actor that handles them.

An actor handles one letter at a time with a plain function, so each message is atomic and no peer can stall
it. What the function returns says what happens next: an answer, a `Forward` to another mailbox (whoever
can answer answers the caller directly, and no actor ever waits for another), or `Park`: the asker waits on until
the actor wakes (`Waker`) and deals with the letter by its ticket.

Five properties make this safe to cancel and safe to crash:

- A reply is a rendezvous (`sleep.Asker`). The loop looks whether the asker still waits, then handles, then answers,
  without a checkpoint between: an asker that has been cancelled is never granted anything.
- The asker of a letter that is neither answered nor forwarded nor parked is woken empty-handed, and so learns at
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
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, Protocol, TypeVar, cast, runtime_checkable

import trio
from msgspec import Struct

from .letters import Ask, Departed, Forward, Letter, Park, Tell
from .sleep import Asker, Lost, Sleeper

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

_AT_ONCE: Final = 16
"""Letters that are handled, where so many wait, before other tasks get their turn."""
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
        # Bounded at the door: by `ask` and by `tell`.
        self._letters: deque[Letter] = deque()
        self._reader = Sleeper()
        self._open_asks = 0
        self._delivered = 0
        self._dropped = 0
        self._closed = False
        self._suspended = False
        self._parked: dict[int, Letter] = {}
        # Under which tickets askers are parked here.
        self._tickets: dict[Asker[Any] | None, int] = {}
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
        asker: Asker[R] = Asker()
        self._open_asks += 1
        try:
            self.deliver(Letter(message, asker))
            return await asker.answer()
        except Lost:
            raise ActorCrashed(f"{self.name} crashed while it handled {type(message).__name__}") from None
        finally:
            self._open_asks -= 1
            if self._tickets:
                self._depart(asker)

    def tell(self, message: Tell) -> bool:
        """Deliver `message` without waiting; safe in a `finally`. False if it was dropped."""
        if self._most_tells is not None and len(self._letters) >= self._most_tells:
            self._dropped += 1
            return False
        try:
            self.deliver(Letter(message))
        except MailboxClosed:
            # The addressee is gone for good, and with it everything that the message was about.
            self._dropped += 1
            return False
        return True

    def deliver(self, letter: Letter) -> None:
        """Put a letter in. Raises `MailboxClosed` or `Poisonous`; its asker has then been told."""
        try:
            if self._closed:
                raise MailboxClosed(f"{self.name} is closed")
            if letter.asker is not None:
                self._check(letter.message)
        except (MailboxClosed, Poisonous):
            with letter:
                raise
        self._letters.append(letter)
        self._reader.wake()
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
        self._tickets[letter.asker] = ticket
        self._parked[ticket] = letter.taken()

    def _unpark(self, ticket: int) -> Letter | None:
        letter = self._parked.pop(ticket, None)
        if letter is not None:
            del self._tickets[letter.asker]
        return letter

    def _depart(self, asker: Asker[Any]) -> None:
        """An asker has left. If its letter is parked, nobody will come for it."""
        ticket = self._tickets.get(asker)
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
        # Not `isinstance`, which costs a call into Python for every class that it is not (msgspec's metaclass is an ABC's).
        kind = type(result)
        if kind is Forward:
            letter.forward(cast("Forward", result))
        elif kind is Park:
            self.park(cast("Park", result).ticket, letter)
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
        waiting, self._letters = self._letters, deque()
        for letter in waiting:
            if not letter.asks:
                self._letters.append(letter)
                continue
            with letter:
                onward = None if elsewhere is None else elsewhere(letter.message)
                if onward is not None:
                    letter.forward(onward)
        self._dismiss()

    def resume(self) -> None:
        """The addressee lives again."""
        self._suspended = False

    def take(self) -> Letter | None:
        """The letter that has waited longest, for whoever handles it; None if there is none."""
        return self._letters.popleft() if self._letters else None

    async def arrival(self, due: float = math.inf) -> None:
        """Until there is a letter to `take`, `due` has come, or the mailbox is closed. A checkpoint in any case."""
        if self._letters or self._closed:
            await trio.lowlevel.checkpoint()
        elif due == math.inf:
            await self._reader.sleep()
        else:
            with trio.CancelScope(deadline=due):
                await self._reader.sleep()

    def close(self) -> None:
        """Retire the addressee: letters that wait are lost (their askers learn it), new ones are refused."""
        self._closed = True
        while self._letters:
            with self._letters.popleft():
                pass
        self._dismiss()
        self._reader.wake()

    def _dismiss(self) -> None:
        """Tell the askers of parked letters that nobody will answer."""
        self._tickets.clear()
        while self._parked:
            with self._parked.popitem()[1]:
                pass

    def statistics(self) -> MailboxStatistics:
        """The mailbox at this moment."""
        return MailboxStatistics(
            waiting=len(self._letters),
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
    while not mailbox._closed:
        await mailbox.arrival(math.inf if waker is None else waker.wake_at)
        now = trio.current_time()
        for _ in range(_AT_ONCE):
            # Also when letters wait: a busy mailbox must not keep its actor asleep.
            if waker is not None and waker.wake_at <= now:
                for ticket, result in waker.wake(now):
                    mailbox.conclude(ticket, result)
            letter = mailbox.take()
            if letter is None:
                break
            with letter:
                # `handle` is sync, so an asker seen waiting here still waits when its answer is ready.
                if letter.forsaken:
                    continue
                mailbox.in_hand = letter.message
                result = actor.handle(letter.message, now)
                mailbox.in_hand = None
                mailbox._dispose(letter, result)
