"""A worker's side of what it says with the parent.

Reports what the worker has spent of shared limits and what it lacks, hands on what comes, answers what other workers ask, and asks them.
Nothing on a request's way waits for it, but for a request that lacks something of a shared limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, assert_never

import msgspec
import trio

from ...actors.log import Log
from ...actors.machines.claims import Answer
from ...actors.messages import Closing, QuotaNews
from ...actors.quota import Holdings
from ..dispatcher import Dispatcher
from ..orders import OrderRefused
from .channel import Channel, ChannelBroken
from .closures import Closures
from .protocol import (
    Closure,
    Declare,
    Gather,
    Gathered,
    Image,
    News,
    Portrait,
    Question,
    Ready,
    Reply,
    Stop,
    ToWorker,
    Welcome,
)

__all__ = ["Link"]

log = Log("llm_dispatcher.link")

_FIRST_ANSWER: Final = 5.0
"""Seconds that a worker waits for its first slices before it serves without."""
_PATIENCE: Final = 2.0
"""Seconds that it waits for the parent to have asked the others, who have half of it."""
_MOST_STOPS: Final = 8
_IMAGE_EVERY: Final = 1.0
"""Seconds between two images of the statistics, while something happens."""
_IMAGE_SHARE: Final = 0.01
"""Of the time, at most, goes into making them."""


class Link:
    """See the module's docstring. `gone`: the parent is no more."""

    def __init__(self, channel: Channel[ToWorker], welcome: Welcome) -> None:
        self.number = welcome.worker
        self.workers = welcome.workers
        self.announces = welcome.announces
        self.holdings = Holdings(welcome.workers)
        self.gone = trio.Event()
        self._channel = channel
        self._orders = welcome.orders
        self._settled = trio.Event()
        self._asked = 0
        self._waiting: dict[int, tuple[trio.Event, list[Gathered]]] = {}
        self._stops, self._stopped = trio.open_memory_channel[int](_MOST_STOPS)

    async def run(
        self,
        dispatcher: Dispatcher,
        portrait: Callable[[], Awaitable[Portrait]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until cancelled. It has started when the first slices are there, and orders in force are obeyed."""
        for target, order in self._orders:
            with suppress(OrderRefused):
                await dispatcher.order(target, order)
        closures = Closures(dispatcher.vaults)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, dispatcher, closures, portrait, nursery)
                nursery.start_soon(self._report, closures)
                nursery.start_soon(self._send_images, dispatcher)
                with trio.move_on_after(_FIRST_ANSWER):
                    await self._settled.wait()
                task_status.started()
        except* ChannelBroken:
            self.gone.set()

    async def signals(
        self, received: AsyncIterator[int], *, task_status: trio.TaskStatus[AsyncIterator[int]]
    ) -> None:
        """Signals, be it that they were sent to this process or that the parent has passed them on: the same one that comes
        both ways counts once. It has started with their iterator."""
        put, take = trio.open_memory_channel[int](2 * _MOST_STOPS)
        told = [0, 0]

        async def hear(way: int, source: AsyncIterator[int]) -> None:
            async for number in source:
                told[way] += 1
                if told[way] > told[1 - way]:
                    with suppress(trio.WouldBlock):
                        put.send_nowait(number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, 0, received)
            nursery.start_soon(hear, 1, self._stopped)
            task_status.started(take)

    async def ready(self) -> None:
        """Tell that this worker serves."""
        with suppress(ChannelBroken):
            await self._channel.send(Ready())

    async def gather(self, kind: str, body: str = "") -> Gathered | None:
        """What the others answer; None if not even the parent does."""
        self._asked += 1
        number, done = self._asked, trio.Event()
        found: list[Gathered] = []
        self._waiting[number] = done, found
        try:
            with trio.move_on_after(_PATIENCE):
                await self._channel.send(Gather(number, kind, body))
                await done.wait()
        except ChannelBroken:
            return None
        finally:
            del self._waiting[number]
        return found[0] if found else None

    # --- what comes -------------------------------------------------------------------------

    async def _read(
        self,
        dispatcher: Dispatcher,
        closures: Closures,
        portrait: Callable[[], Awaitable[Portrait]],
        nursery: trio.Nursery,
    ) -> None:
        while (message := await self._channel.receive()) is not None:
            match message:
                case Answer():
                    self._take(dispatcher, message)
                case News():
                    for closure in message.closures:
                        self._hear(dispatcher, closures, closure)
                case Question():
                    nursery.start_soon(self._reply, dispatcher, message, portrait)
                case Gathered():
                    if message.number in self._waiting:
                        done, found = self._waiting[message.number]
                        found.append(message)
                        done.set()
                case Stop():
                    with suppress(trio.WouldBlock):
                        self._stops.send_nowait(message.signal)
                case Welcome():
                    pass
                case _:
                    assert_never(message)
        self.gone.set()
        log.warning("the parent is gone")

    def _take(self, dispatcher: Dispatcher, answer: Answer) -> None:
        for vendor in self.holdings.take(answer, trio.current_time()):
            if not dispatcher.tell(vendor, QuotaNews()):
                # Its actor is set aside, and will not say what it needs.
                self.holdings.give_back(vendor)
        self._settled.set()

    @staticmethod
    def _hear(dispatcher: Dispatcher, closures: Closures, closure: Closure) -> None:
        closures.heard(closure, trio.current_time())
        dispatcher.tell(closure.vendor, Closing(closure.scope, closure.seconds, closure.cause, closure.day))

    async def _reply(
        self, dispatcher: Dispatcher, question: Question, portrait: Callable[[], Awaitable[Portrait]]
    ) -> None:
        if question.kind == "stats":
            body = msgspec.msgpack.encode(await portrait())
        else:
            try:
                body = msgspec.json.encode(await dispatcher.order(question.body, question.kind))
            except OrderRefused as refused:
                log.warning("an order could not be carried out here", reason=refused.message)
                return
        await self._channel.send(Reply(question.number, body))

    # --- what is told -----------------------------------------------------------------------

    async def _report(self, closures: Closures) -> None:
        holdings = self.holdings
        while True:
            declared = holdings.declarations()
            if declared:
                await self._channel.send(Declare(declared))
            news = closures.news(trio.current_time())
            if news:
                await self._channel.send(News(news))
            await self._channel.send(holdings.report(trio.current_time()))
            with trio.move_on_at(holdings.due):
                await holdings.wait()

    async def _send_images(self, dispatcher: Dispatcher) -> None:
        ledger = dispatcher.ledger
        sent = 0
        pause = _IMAGE_EVERY
        while True:
            await trio.sleep(pause)
            if ledger.added == sent:
                continue
            sent, begun = ledger.added, trio.current_time()
            image = msgspec.msgpack.encode(ledger.image())
            pause = max(_IMAGE_EVERY, (trio.current_time() - begun) / _IMAGE_SHARE)
            await self._channel.send(Image(image))
