"""The parent's side of what it says with its workers: the shared limits, what one asks of the others, what outlives one.

It never waits for a worker: what is to be told to one waits in a line of its own, and a worker that reads nothing until
its line is full is cut off, which ends it.
"""

from __future__ import annotations

from typing import Final, TypeVar, assert_never

import msgspec
import trio

from ...actors.log import Log
from ...actors.machines.claims import Report
from ...actors.machines.quota import QuotaBook
from ...actors.tallies import Ledger, LedgerImage
from .channel import Channel, ChannelBroken
from .protocol import (
    Closure,
    Declare,
    FromWorker,
    Gather,
    Gathered,
    Image,
    News,
    Question,
    Ready,
    Reply,
    Stop,
    Welcome,
)

__all__ = ["Keeper", "Line"]

log = Log("llm_dispatcher.keeper")

K = TypeVar("K")
V = TypeVar("V")

_MOST_WORDS: Final = 1000
"""Words that may wait for one worker to read them."""
_ANSWER: Final = 1.0
"""Seconds that workers have for the answer to another's question."""
_MOST_KEPT: Final = 10_000
"""Closings and orders that are remembered for workers to come, each."""


class Line:
    """What is to be told to one life of a worker. `number`: of the worker; `life`: unlike that of any other."""

    def __init__(self, number: int, life: int, channel: Channel[FromWorker]) -> None:
        self.number = number
        self.life = life
        self.channel = channel
        self.ready = trio.Event()
        self.image = b""
        self._put, self._take = trio.open_memory_channel[object](_MOST_WORDS)

    def tell(self, message: object) -> None:
        """Without waiting. A worker that does not read is cut off."""
        try:
            self._put.send_nowait(message)
        except trio.WouldBlock:
            log.error("a worker does not read what it is told, and is cut off", worker=self.number)
            self.close()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # It has been cut off already.
            return

    def close(self) -> None:
        """Nothing more is told."""
        self._put.close()

    async def run(self) -> None:
        """Tell what there is to tell, until it is cut off or gone; then its channel is closed."""
        try:
            async for message in self._take:
                await self.channel.send(message)
        except ChannelBroken:
            # Its end is seen where its words are read.
            return
        finally:
            self._take.close()
            await self.channel.aclose()


class _Round:
    """A question to all workers but one, and their answers."""

    def __init__(self, asked: set[int]) -> None:
        self.asked = asked
        self.parts: dict[int, bytes] = {}
        self.done = trio.Event()

    def take(self, life: int, body: bytes) -> None:
        if life in self.asked:
            self.parts[life] = body
            if len(self.parts) == len(self.asked):
                self.done.set()

    def lose(self, life: int) -> None:
        self.asked.discard(life)
        if len(self.parts.keys() & self.asked) == len(self.asked):
            self.done.set()


class Keeper:
    """See the module's docstring. `workers`: among how many the limits are shared."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.book = QuotaBook(workers)
        self.former = Ledger()
        """What workers that are no more have counted."""
        self.lines: dict[int, Line] = {}
        self._closures: dict[tuple[str, str, bool], tuple[Closure, float]] = {}
        self._orders: dict[str, str] = {}
        self._rounds: dict[int, _Round] = {}
        self._asked = 0
        self._changed = trio.Event()

    @property
    def orders(self) -> tuple[tuple[str, str], ...]:
        """Orders in force, for a worker to come."""
        return tuple(self._orders.items())

    async def run(self) -> None:
        """Tell of what time alone brings, until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self.book.wake_at):
                await self._changed.wait()
            self._settle()

    async def converse(
        self, line: Line, welcome: Welcome, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Talk with one life of a worker until its channel ends; afterwards what it held counts as spent."""
        async with trio.open_nursery() as nursery:
            self.lines[line.life] = line
            self.book.join(line.life, trio.current_time())
            line.tell(welcome)
            self._tell_closures(line)
            nursery.start_soon(line.run)
            task_status.started()
            try:
                while (message := await line.channel.receive()) is not None:
                    self._take(line, message, nursery)
            except ChannelBroken as error:
                log.error("a worker cannot be understood", worker=line.number, error=str(error))
            finally:
                self._part(line)
            nursery.cancel_scope.cancel()

    def _part(self, line: Line) -> None:
        line.close()
        self.lines.pop(line.life, None)
        self.book.leave(line.life, trio.current_time())
        for each in self._rounds.values():
            each.lose(line.life)
        if line.image:
            self.former.merge(msgspec.msgpack.decode(line.image, type=LedgerImage))
        self._settle()

    def _take(self, line: Line, message: FromWorker, nursery: trio.Nursery) -> None:
        match message:
            case Report():
                self.book.read(line.life, message, trio.current_time())
                self._settle()
            case Declare():
                self.book.declare(message.pools)
            case News():
                self._relay(line, message)
            case Image():
                line.image = message.ledger
            case Gather():
                nursery.start_soon(self._gather, line, message)
            case Reply():
                if message.number in self._rounds:
                    self._rounds[message.number].take(line.life, message.body)
            case Ready():
                line.ready.set()
            case _:
                assert_never(message)

    def _settle(self) -> None:
        before = self.book.wake_at
        for life, answer in self.book.settle(trio.current_time()).items():
            if life in self.lines:
                self.lines[life].tell(answer)
        if self.book.wake_at != before:
            self._changed.set()

    def stop(self, signal: int) -> None:
        """Pass a signal on to all workers."""
        for line in self.lines.values():
            line.tell(Stop(signal))

    # --- what is closed ---------------------------------------------------------------------

    def _relay(self, origin: Line, news: News) -> None:
        now = trio.current_time()
        for each in news.closures:
            self._closures.pop((each.vendor, each.scope, each.day), None)
            self._closures[each.vendor, each.scope, each.day] = each, now + each.seconds
        _bound(self._closures)
        for line in self.lines.values():
            if line is not origin:
                line.tell(news)

    def _tell_closures(self, line: Line) -> None:
        """A new life does not begin by trying what its fellows know to be closed."""
        now = trio.current_time()
        self._closures = {key: each for key, each in self._closures.items() if each[1] > now}
        closures = [
            msgspec.structs.replace(closure, seconds=until - now)
            for closure, until in self._closures.values()
        ]
        if closures:
            line.tell(News(tuple(closures)))

    # --- what one asks of the others --------------------------------------------------------

    async def _gather(self, line: Line, message: Gather) -> None:
        if message.kind != "stats":
            self._remember(message.kind, message.body)
        others = {life: each for life, each in self.lines.items() if each is not line}
        self._asked += 1
        number, asked = self._asked, _Round(set(others))
        self._rounds[number] = asked
        try:
            for each in others.values():
                each.tell(Question(number, message.kind, message.body))
            with trio.move_on_after(_ANSWER):
                if others:
                    await asked.done.wait()
        finally:
            del self._rounds[number]
        there = {each.number for each in self.lines.values()} | {line.number}
        silent = {life: each for life, each in others.items() if life not in asked.parts}
        absent = [each for each in range(1, self.workers + 1) if each not in there]
        line.tell(
            Gathered(
                message.number,
                parts={others[life].number: body for life, body in asked.parts.items()},
                missing=tuple(sorted({*absent, *[each.number for each in silent.values()]})),
                images=tuple(
                    [each.image for life, each in silent.items() if life in self.lines and each.image]
                ),
                former=msgspec.msgpack.encode(self.former.image()) if message.kind == "stats" else b"",
            )
        )

    def _remember(self, order: str, target: str) -> None:
        """Orders hold for workers to come as well; `lift` is no lasting one, and ends what was known to be closed."""
        if order == "lift":
            vendor = target.partition("/")[0]
            self._closures = {key: each for key, each in self._closures.items() if key[0] != vendor}
            return
        self._orders.pop(target, None)
        self._orders[target] = order
        _bound(self._orders)


def _bound(kept: dict[K, V]) -> None:
    """Forget the oldest of too many."""
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
