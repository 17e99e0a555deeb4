"""Letters: answered once, forwarded, forsaken, lost with a life; never replayed, never granted to who has left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.mailbox import (
    ActorCrashed,
    Ask,
    Departed,
    Forward,
    Mailbox,
    MailboxClosed,
    MailboxFull,
    Park,
    Poisonous,
    Tell,
    serve,
)
from trio.testing import MockClock


class Double(Ask[int], frozen=True):
    number: int


class Note(Tell, frozen=True):
    text: str


class Doubler:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def handle(self, message: Double | Note, now: float) -> int | None:
        self.seen.append(message)
        if isinstance(message, Note):
            return None
        if message.number < 0:
            raise ValueError("negative")
        return 2 * message.number


async def test_an_ask_is_answered_and_a_tell_is_handled(nursery: trio.Nursery) -> None:
    mailbox, actor = Mailbox[Any]("doubler"), Doubler()
    nursery.start_soon(serve, mailbox, actor)
    assert await mailbox.ask(Double(21)) == 42
    assert mailbox.tell(Note("hello"))
    await trio.testing.wait_all_tasks_blocked()
    assert actor.seen == [Double(21), Note("hello")]


async def test_a_forwarded_letter_is_answered_by_who_got_it(nursery: trio.Nursery) -> None:
    front, back = Mailbox[Any]("front"), Mailbox[Any]("back")

    class Front:
        def handle(self, message: Double, now: float) -> Forward:
            return Forward(back, Double(message.number + 1))

    nursery.start_soon(serve, front, Front())
    nursery.start_soon(serve, back, Doubler())
    assert await front.ask(Double(1)) == 4


async def test_a_crash_answers_its_letter_and_keeps_the_others_for_the_next_life(
    nursery: trio.Nursery,
) -> None:
    mailbox = Mailbox[Any]("doubler")
    outcomes: list[Any] = []

    async def asker(number: int) -> None:
        try:
            outcomes.append(await mailbox.ask(Double(number)))
        except ActorCrashed as crash:
            outcomes.append(crash)

    for number in (-1, 5):
        nursery.start_soon(asker, number)
        await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ValueError, match="negative"):
        await serve(mailbox, Doubler())
    nursery.start_soon(serve, mailbox, Doubler())
    await trio.testing.wait_all_tasks_blocked()
    assert isinstance(outcomes[0], ActorCrashed)
    assert outcomes[1:] == [10]


async def test_nothing_is_handled_for_an_asker_who_has_left(nursery: trio.Nursery) -> None:
    mailbox, actor = Mailbox[Any]("doubler"), Doubler()
    with trio.move_on_after(0):
        await mailbox.ask(Double(1))
    nursery.start_soon(serve, mailbox, actor)
    await trio.testing.wait_all_tasks_blocked()
    assert actor.seen == []
    assert mailbox.statistics().open_asks == 0


async def test_a_full_mailbox_refuses_an_ask_at_once(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Any]("doubler", most_asks=1)
    nursery.start_soon(mailbox.ask, Double(1))
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(MailboxFull):
        await mailbox.ask(Double(2))
    await serve_briefly(mailbox)


async def test_a_lossy_mailbox_drops_and_counts_what_it_has_no_room_for() -> None:
    mailbox = Mailbox[Any]("notes", most_tells=2)
    assert [mailbox.tell(Note("x")) for _ in range(3)] == [True, True, False]
    assert mailbox.statistics().dropped == 1


async def test_closing_a_mailbox_tells_those_who_wait(nursery: trio.Nursery) -> None:
    mailbox = Mailbox[Any]("doubler")
    caught: list[type[Exception]] = []

    async def asker() -> None:
        try:
            await mailbox.ask(Double(1))
        except ActorCrashed:
            caught.append(ActorCrashed)

    nursery.start_soon(asker)
    await trio.testing.wait_all_tasks_blocked()
    mailbox.close()
    await trio.testing.wait_all_tasks_blocked()
    assert caught == [ActorCrashed]
    with pytest.raises(MailboxClosed):
        await mailbox.ask(Double(1))
    assert not mailbox.tell(Note("late"))


async def test_a_suspended_mailbox_refuses_asks_and_keeps_tells(nursery: trio.Nursery) -> None:
    mailbox, actor = Mailbox[Any]("doubler"), Doubler()
    mailbox.tell(Note("before"))
    mailbox.suspend()
    with pytest.raises(MailboxClosed):
        await mailbox.ask(Double(1))
    mailbox.tell(Note("during"))
    mailbox.resume()
    nursery.start_soon(serve, mailbox, actor)
    assert await mailbox.ask(Double(2)) == 4
    assert actor.seen[:2] == [Note("before"), Note("during")]


async def test_what_waits_when_a_mailbox_is_suspended_can_be_handed_on(nursery: trio.Nursery) -> None:
    mailbox, other = Mailbox[Any]("down"), Mailbox[Any]("other")
    nursery.start_soon(serve, other, Doubler())
    found: list[object] = []

    async def ask(number: int) -> None:
        try:
            answer: int = await mailbox.ask(Double(number))
            found.append(answer)
        except ActorCrashed as lost:
            found.append(type(lost))

    for number in (1, 2):
        nursery.start_soon(ask, number)
    await trio.testing.wait_all_tasks_blocked()
    mailbox.suspend(lambda message: Forward(other, message) if message.number == 2 else None)
    await trio.testing.wait_all_tasks_blocked()
    assert set(found) == {ActorCrashed, 4}


async def serve_briefly(mailbox: Mailbox[Any]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, mailbox, Doubler())
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()


class Patient:
    """Answers each request a while after it has asked, in the order of their numbers."""

    def __init__(self, mailbox: Mailbox[Any]) -> None:
        self.mailbox = mailbox
        self.waiting: dict[int, float] = {}
        self.left: list[int] = []

    def handle(self, message: Double | Note | Departed, now: float) -> Park | None:
        if isinstance(message, Note):
            raise RuntimeError(message.text)
        if isinstance(message, Departed):
            del self.waiting[message.ticket]
            self.left.append(message.ticket)
            return None
        self.waiting[message.number] = now + message.number
        return Park(message.number)

    @property
    def wake_at(self) -> float:
        return min(self.waiting.values(), default=math.inf)

    def wake(self, now: float) -> Iterator[tuple[int, object]]:
        for number, due in sorted(self.waiting.items()):
            if due <= now:
                del self.waiting[number]
                yield number, 10 * number


async def patient(nursery: trio.Nursery) -> tuple[Mailbox[Any], Patient]:
    mailbox = Mailbox[Any]("patient")
    actor = Patient(mailbox)
    nursery.start_soon(serve, mailbox, actor)
    return mailbox, actor


async def test_a_parked_asker_is_answered_when_its_time_has_come(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    mailbox, _ = await patient(nursery)
    answers: list[tuple[int, float]] = []

    async def ask(number: int) -> None:
        answers.append((await mailbox.ask(Double(number)), trio.current_time()))

    async with trio.open_nursery() as askers:
        for number in (3, 1, 2):
            askers.start_soon(ask, number)
    assert answers == [(10, 1), (20, 2), (30, 3)]
    assert mailbox.statistics().parked == mailbox.statistics().open_asks == 0


async def test_a_parked_asker_that_leaves_takes_its_letter_along_and_the_actor_is_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    mailbox, actor = await patient(nursery)
    with trio.move_on_after(1):
        await mailbox.ask(Double(2))
    assert mailbox.statistics().parked == 0
    assert not mailbox.waits(2)
    await trio.testing.wait_all_tasks_blocked()
    assert (actor.left, actor.waiting) == ([2], {})
    assert await mailbox.ask(Double(3)) == 30


async def test_a_busy_mailbox_does_not_keep_its_actor_asleep(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    mailbox, _ = await patient(nursery)

    async def pester() -> None:
        while True:
            with trio.move_on_after(0):
                await mailbox.ask(Double(1000))

    nursery.start_soon(pester)
    autojump_clock.rate = 1000.0
    with trio.fail_after(100):
        assert await mailbox.ask(Double(1)) == 10
    nursery.cancel_scope.cancel()


async def test_parked_letters_outlive_a_life(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    mailbox = Mailbox[Any]("patient")
    actor = Patient(mailbox)
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await mailbox.ask(Double(2)))

    nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    mailbox.tell(Note("crash"))
    with pytest.raises(RuntimeError, match="crash"):
        await serve(mailbox, actor)
    assert mailbox.crashed() == Note("crash")
    nursery.start_soon(serve, mailbox, actor)
    await trio.sleep(3)
    assert answers == [20]


async def test_parked_askers_learn_of_the_end(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    mailbox, _ = await patient(nursery)

    async def close() -> None:
        await trio.sleep(1)
        mailbox.close()

    nursery.start_soon(close)
    with pytest.raises(ActorCrashed):
        await mailbox.ask(Double(1000))
    assert trio.current_time() == 1


async def test_a_message_that_crashes_two_lives_is_refused_for_a_while(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    mailbox = Mailbox[Any]("doubler")
    for _ in range(2):
        assert mailbox.takes(Double(-1))
        nursery.start_soon(swallow, mailbox)
        with pytest.raises(ActorCrashed):
            await mailbox.ask(Double(-1))
        await trio.testing.wait_all_tasks_blocked()
    assert not mailbox.takes(Double(-1))
    with pytest.raises(Poisonous, match="doubler crashed over such a Double before"):
        await mailbox.ask(Double(-1))
    nursery.start_soon(swallow, mailbox)
    assert await mailbox.ask(Double(1)) == 2
    assert mailbox.statistics().poisonous == 1
    await trio.sleep(301)
    assert mailbox.takes(Double(-1))


async def swallow(mailbox: Mailbox[Any]) -> None:
    """One life and its crash, as a supervisor sees it."""
    try:
        await serve(mailbox, Doubler())
    except ValueError:
        mailbox.crashed()


async def test_a_life_that_begins_after_the_end_is_over_at_once() -> None:
    mailbox = Mailbox[Any]("doubler")
    mailbox.close()
    await serve(mailbox, Doubler())


async def test_a_busy_actor_lets_other_tasks_have_their_turn(nursery: trio.Nursery) -> None:
    mailbox, actor = Mailbox[Any]("doubler"), Doubler()
    for number in range(100):
        mailbox.tell(Note(str(number)))
    nursery.start_soon(serve, mailbox, actor)
    seen = []
    while len(actor.seen) < 100:
        seen.append(len(actor.seen))
        await trio.lowlevel.checkpoint()
    assert len(seen) > 5
    assert [note.text for note in actor.seen] == [str(number) for number in range(100)]
