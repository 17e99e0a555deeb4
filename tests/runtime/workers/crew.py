"""Several workers and their keeper in one process and in virtual time, over scripted vendors: everything but the processes is real."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
import trio.testing
from llm_dispatcher.benchmarks.vendor import MemoryNetwork, Script, ScriptedVendor
from llm_dispatcher.runtime import Dispatcher, Message, Request, errors
from llm_dispatcher.runtime.gateway.admin import portrait
from llm_dispatcher.runtime.wire.client import TrioTransport
from llm_dispatcher.runtime.workers.channel import Channel
from llm_dispatcher.runtime.workers.keeper import Keeper, Line
from llm_dispatcher.runtime.workers.link import Link
from llm_dispatcher.runtime.workers.protocol import FromWorker, ToWorker, Welcome
from llm_dispatcher.runtime.workers.view import Fellows

from ...scenarios.world import configuration

__all__ = ["Crew", "Worker", "crew"]


class Stalling(trio.abc.Stream):
    """The keeper's end of a channel, whose keeper can be made to stand still."""

    def __init__(self, stream: trio.abc.Stream, crew: Crew) -> None:
        self._stream = stream
        self._crew = crew

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._crew.going.wait()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        await self._crew.going.wait()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


class Worker:
    """One life of a worker."""

    def __init__(self, number: int, dispatcher: Dispatcher, link: Link, scope: trio.CancelScope) -> None:
        self.number = number
        self.dispatcher = dispatcher
        self.link = link
        self.fellows = Fellows(link)
        self._scope = scope
        self.served = 0
        self.failed: list[errors.DispatchError] = []

    def kill(self) -> None:
        """It says no last word."""
        self._scope.cancel()

    async def call(self, **more: Any) -> None:
        request = Request(model="m", messages=[Message("user", "hello you")], **more)
        try:
            await self.dispatcher.send(request)
        except errors.DispatchError as error:
            self.failed.append(error)
        except RuntimeError:
            # Whoever asks a dead worker gets no answer.
            assert self._scope.cancel_called
        else:
            self.served += 1

    async def load(self, rate: float, seconds: float, **more: Any) -> None:
        """`rate` requests a second for so long; returns when all have ended."""
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(round(rate * seconds)):
                await trio.sleep_until(begun + number / rate)
                nursery.start_soon(partial(self.call, **more))

    async def stats(self) -> dict[str, Any]:
        return await self.fellows.stats(await portrait(self.dispatcher, {}))

    async def order(self, target: str, order: str) -> Any:
        return await self.fellows.order(target, order, await self.dispatcher.order(target, order))


class Crew:
    """The keeper, its workers and the vendors."""

    def __init__(
        self,
        workers: int,
        vendors: Mapping[str, ScriptedVendor],
        network: MemoryNetwork,
        settings: dict[str, Any],
        nursery: trio.Nursery,
    ) -> None:
        self.keeper = Keeper(workers)
        self.going = trio.Event()
        self.going.set()
        self.vendors = vendors
        self.workers: list[Worker] = []
        self._count = workers
        self._network = network
        self._settings = settings
        self._nursery = nursery
        self._lives = 0

    def stall(self) -> None:
        """The keeper stands still until `going` is set."""
        self.going = trio.Event()

    async def hire(self, number: int) -> Worker:
        """A worker begins a life."""
        ours, theirs = trio.testing.memory_stream_pair()
        self._lives += 1
        line = Line(number, self._lives, Channel[FromWorker](Stalling(ours, self), FromWorker))
        welcome = Welcome(number, self._count, b"", "info", False, self.keeper.orders)
        await self._nursery.start(self.keeper.converse, line, welcome)
        worker: Worker = await self._nursery.start(self._live, number, Channel[ToWorker](theirs, ToWorker))
        self.workers.append(worker)
        return worker

    async def _live(
        self, number: int, channel: Channel[ToWorker], *, task_status: trio.TaskStatus[Worker]
    ) -> None:
        welcome = await channel.receive()
        assert isinstance(welcome, Welcome)
        link = Link(channel, welcome)
        transports = {name: TrioTransport(dial=self._network.dial) for name in self.vendors}
        with trio.CancelScope() as scope:
            async with (
                Dispatcher.open(
                    self._settings,
                    transports=transports,
                    rng=random.Random(number),
                    holdings=link.holdings,
                ) as dispatcher,
                trio.open_nursery() as nursery,
            ):
                await nursery.start(link.run, dispatcher, partial(portrait, dispatcher, {}))
                task_status.started(Worker(number, dispatcher, link, scope))
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                        await channel.aclose()


@asynccontextmanager
async def crew(
    scripts: Mapping[str, Script],
    tables: Mapping[str, Any] | None = None,
    workers: int = 2,
    **settings: Any,
) -> AsyncIterator[Crew]:
    """So many workers over one vendor per script, in this order; `tables`: settings of single vendors."""
    vendors = {name: ScriptedVendor(script, history=100_000) for name, script in scripts.items()}
    given = {name: {"dialect": "google", **(tables or {}).get(name, {})} for name in scripts}
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork({f"{name}.test": each for name, each in vendors.items()}, nursery)
        made = Crew(workers, vendors, network, configuration(given, **settings), nursery)
        nursery.start_soon(made.keeper.run)
        for number in range(1, workers + 1):
            await made.hire(number)
        yield made
        nursery.cancel_scope.cancel()
