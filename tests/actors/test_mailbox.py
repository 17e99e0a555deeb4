"""Letters: answered once, forwarded, forsaken, lost with a life; never replayed, never granted to who has left."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from llm_dispatcher.actors.mailbox import (
    ActorCrashed,
    Ask,
    Forward,
    Mailbox,
    MailboxClosed,
    MailboxFull,
    Tell,
    serve,
)


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


async def serve_briefly(mailbox: Mailbox[Any]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, mailbox, Doubler())
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
