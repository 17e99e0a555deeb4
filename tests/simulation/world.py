"""One seeded world: a story is played from its first request to perfect rest, and its history comes back.

Everything is real but the clock, the network and the vendors: the clients' bytes go through the daemon's own server,
gateway and dispatcher, out by its own transport, and reach scripted vendors that keep their own books. All within one
trio run in virtual time, so that minutes take a second.
"""

from __future__ import annotations

import gc
import logging
import random
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import structlog
import trio
from llm_dispatcher.benchmarks.vendor import MemoryNetwork, MemoryStream, memory_pair
from llm_dispatcher.runtime import clock
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.client import ClientLimits, TrioTransport
from llm_dispatcher.runtime.wire.server import Server, ServerLimits
from trio._core import _run
from trio.testing import MockClock

from .answer import Answer
from .clients import bounded, call, exchange
from .history import Census, Ended, History, Jumped, Logged, Peak, Started
from .story import MODELS, OPEN_CAP, QUARANTINE, Client, Jump, Limits, Story, VendorPlan
from .watched import InjectedCrash, WatchedDispatcher, WatchedVendor, current, rng_of

__all__ = ["play"]

_EPOCH: Final = 1_800_000_000.0
_LATENCY: Final = 0.01
_MOST_WAITING: Final = 150
_UNREAD: Final = 256 * 1024 + 65_536
"""What a connection of the server may have received and not taken: its own bound, and one reading beyond it."""
_REST: Final = 500.0
"""Seconds from the last client's end to the census: longer than anything may linger."""
_DIALECTS: Final = {
    "openai": ("openai", "/v1"),
    "anthropic": ("anthropic", "/v1"),
    "gemini": ("google", "/v1beta"),
}


def play(story: Story) -> History:
    """Live through a story. Whatever the house does, this returns; it raises if the simulation itself is at fault."""
    history = History()
    world = _World(story, history)
    with _determined(story.seed), _logging(history), clock.simulated(world.wall_now):
        trio.run(world.run, clock=world.clock)
    return history


@contextmanager
def _determined(seed: int) -> Iterator[None]:
    """Make trio's scheduler choose as the seed says, in this process, from now on."""
    _run._r.seed(f"scheduler {seed}")
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # trio's own switch for its Hypothesis plugin
    # What a collection finalizes must not depend on what ran in this process before.
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _logging(history: History) -> Iterator[None]:
    """Errors that the house logs are part of the history, but for those that the story ordered."""

    def note(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        error = event.get("exc_info")
        error = sys.exception() if error is True else error
        if not isinstance(error, InjectedCrash) and event["event"] not in _EXPECTED:
            history.add(Logged(at=trio.current_time(), event=event["event"], detail=_told(error, event)))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def _told(error: object, event: Mapping[str, Any]) -> str:
    if not isinstance(error, BaseException):
        return repr(event)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return f"{error!r} at {' '.join(places[-4:])}"


_EXPECTED: Final = frozenset({"vendor quarantined"})


def configuration(story: Story) -> dict[str, Any]:
    """What the house is told: the vendors, with the very limits that they have."""
    return {
        "policy": story.policy,
        "max_waiting": _MOST_WAITING,
        "timeouts": {
            "connect": "2s",
            "first_token": f"{story.first_token}s",
            "between_tokens": f"{story.between_tokens}s",
            "total": f"{story.total}s",
        },
        "retry": {"budget": story.retries, "floor": story.floor},
        "streams": {"hold": f"{story.hold}s"},
        "hedging": {"share": 0.5, "dollars": "1000"},
        "routes": [{"name": "hedged", "targets": list(MODELS), "policy": story.policy, "hedge": True}],
        "breaker": {"longest_open_time": f"{OPEN_CAP}s"},
        "supervision": {"quarantine": f"{QUARANTINE}s"},
        "vendors": [_vendor(vendor) for vendor in story.vendors],
    }


def _vendor(vendor: VendorPlan) -> dict[str, Any]:
    dialect, path = _DIALECTS[vendor.format]
    number = int(vendor.name[1:])
    price = {"input": f"{2 + number}", "output": f"{6 + number}"}
    return {
        "name": vendor.name,
        "dialect": dialect,
        "base_url": f"http://{vendor.name}{path}",
        "api_keys": list(vendor.keys),
        "models": [
            {"name": name, "price": price, "max_output": 200, "capabilities": ["tools", "json", "prefill"]}
            for name in vendor.models
        ],
        "limits": _limits(vendor.limits),
        "max_connections": 20,
        "on_unsupported": "drop",
        "on_disconnect": "drain" if vendor.drains else "abort",
    }


def _limits(limits: Limits) -> dict[str, Any]:
    found = {
        "requests_per_minute": limits.requests,
        "tokens_per_minute": limits.tokens,
        "concurrent": limits.concurrent,
    }
    given = {name: value for name, value in found.items() if value is not None}
    return given | {"burst": limits.burst, "strict": limits.strict}


class Slices(random.Random):
    """Cuts what is read: mostly not at all, else anywhere."""

    def randint(self, a: int, b: int) -> int:
        """As `random.Random`, but that it likes the end best."""
        return b if self.random() < 0.7 else super().randint(a, b)


class _World:
    def __init__(self, story: Story, history: History) -> None:
        self.story = story
        self.history = history
        self.clock = MockClock(autojump_threshold=0)
        self.ahead = 0.0
        self.buffered = 0.0
        self.idle: dict[str, list[MemoryStream]] = {}
        self.doors = 0
        self.slices = Slices(f"slices {story.seed}") if story.sliced else None

    def wall_now(self) -> float:
        """The wall clock of everybody."""
        return _EPOCH + trio.current_time() + self.ahead

    async def run(self) -> None:
        """Everything, from an empty world to an empty world."""
        story = self.story
        async with trio.open_nursery() as connections:
            self.vendors = {
                each.name: WatchedVendor(each.name, each.script, each.format, self.history, self.wall_now)
                for each in story.vendors
            }
            self.network = MemoryNetwork(
                self.vendors, connections, capacity=story.capacity, latency=_LATENCY, slices=self.slices
            )
            self.transports = {
                name: TrioTransport(limits=ClientLimits(max_connections=20), dial=self.network.dial)
                for name in self.vendors
            }
            before = self._tasks()
            dispatcher = WatchedDispatcher.open(
                configuration(story), transports=self.transports, rng=rng_of(story.seed, "house")
            )
            dispatcher.watch(self.history, story.crashes)
            async with dispatcher:
                self.dispatcher = dispatcher
                await self._live()
            await trio.sleep(1)
            self._count("connections to vendors, after the end", self.network.open, 0)
            self._count("tasks, after the end", self._tasks(), before)
            connections.cancel_scope.cancel()

    async def _live(self) -> None:
        story = self.story
        await trio.testing.wait_all_tasks_blocked()
        self.tasks = self._tasks()
        limits = ServerLimits(keep_alive=400.0, stall=10.0)
        self.server = Server(self._asgi, limits)
        self.gateway = Gateway(self.dispatcher)
        async with trio.open_nursery() as self.serving:
            async with trio.open_nursery() as clients:
                for jump in story.jumps:
                    clients.start_soon(self._jump, jump)
                clients.start_soon(self._sample)
                for client in story.clients:
                    if story.drains_at is not None and client.at > story.drains_at:
                        break
                    await trio.sleep_until(client.at)
                    clients.start_soon(self._client, client)
                if story.drains_at is not None:
                    await trio.sleep_until(story.drains_at)
                    # As the daemon does: its patience begins when it hears of the stop, be that late.
                    await self.server.drain(trio.current_time() + story.grace)
            for stream in [each for streams in self.idle.values() for each in streams]:
                await stream.aclose()
            await trio.sleep(_REST)
            self._take_census()
            self.serving.cancel_scope.cancel()

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """The gateway; what is done for a request is known as such."""
        name = dict(scope["headers"]).get(b"x-request-id", b"r0")
        current.set(int(name[1:]))
        await self.gateway(scope, receive, send)

    async def _jump(self, jump: Jump) -> None:
        await trio.sleep_until(jump.at)
        self.history.add(Jumped(at=trio.current_time(), seconds=jump.seconds, wall=jump.wall))
        if jump.wall:
            self.ahead += jump.seconds
        else:
            self.clock.jump(jump.seconds)

    async def _sample(self) -> None:
        """Look now and then at what only those inside know."""
        for _ in range(int(self.story.seconds)):
            await trio.sleep(1)
            held = [each.parser.buffered for each in self.server._connections]
            self.buffered = max([self.buffered, *held])

    # --- clients ----------------------------------------------------------------------------

    async def _client(self, client: Client) -> None:
        now = trio.current_time()
        deadline = now + min(client.timeout, self.story.total)
        self.history.add(Started(at=now, request=client.number, deadline=deadline, stream=client.stream))
        current.set(client.number)
        answer = Answer()
        try:
            await bounded(client, answer, lambda: self._ask(client, answer))
        except Exception as error:
            self.history.add(Logged(at=trio.current_time(), event="a caller met this", detail=repr(error)))
        self.history.add(
            Ended(
                at=answer.ended_at,
                request=client.number,
                how=answer.how,
                status=answer.status,
                code=answer.code,
                text=answer.text,
                events=answer.events,
                first_at=answer.first_at,
                seams=answer.seams,
                prompt=client.behaviour.kind not in ("stops", "slow"),
            )
        )

    async def _ask(self, client: Client, answer: Answer) -> None:
        if client.library:
            await call(self.dispatcher, client, answer)
            return
        free = self.idle.setdefault(client.tenant, [])
        stream = free.pop() if client.keeps and free else self._connect()
        again = False
        try:
            again = await exchange(stream, client, answer)
        finally:
            if not again:
                stream.close()
        if again and client.keeps:
            free.append(stream)
        else:
            stream.close()

    def _connect(self) -> MemoryStream:
        mine, theirs = memory_pair(self.story.capacity, self.slices)
        self.doors += 1
        mine.on_close = self._closed
        self.serving.start_soon(self.server.serve_connection, theirs)
        return mine

    def _closed(self) -> None:
        self.doors -= 1

    # --- counting ---------------------------------------------------------------------------

    @staticmethod
    def _tasks() -> int:
        return trio.lowlevel.current_statistics().tasks_living

    def _count(self, what: str, found: float, expected: float) -> None:
        self.history.add(Census(at=trio.current_time(), what=what, found=found, expected=expected))

    def _take_census(self) -> None:
        """At rest nothing is left of any request, but idle connections."""
        count, house = self._count, self.dispatcher
        for name, vendor in self.vendors.items():
            count(f"{name}: attempts under way", len(vendor.meter.under_way), 0)
        for name, transport in self.transports.items():
            pool = transport.statistics()
            count(f"{name}: connections in use", sum([each.busy for each in pool.origins.values()]), 0)
            count(f"{name}: connections being opened", pool.dialling, 0)
            count(f"{name}: requests that wait for a connection", pool.waiting, 0)
        idle = sum(
            [each.open for one in self.transports.values() for each in one.statistics().origins.values()]
        )
        count("connections to vendors", self.network.open, idle)
        count("connections of clients", self.doors, 0)
        count("connections of the server", self.server.statistics().connections, 0)
        count("requests in the server", self.server.in_flight, 0)
        for name, vault in house.vaults.items():
            count(f"{name}: permits", len(vault.held), 0)
            for place, gauge in vault.accounts.items():
                count(f"{name}: slots of {place}", gauge.in_flight, 0)
            for place, each in vault.deployments.items():
                count(f"{name}: slots of {place}", each.own.in_flight, 0)
        for name, mailbox in house.mailboxes.items():
            statistics = mailbox.statistics()
            count(f"{name}: letters", statistics.waiting, 0)
            count(f"{name}: parked letters", statistics.parked, 0)
            count(f"{name}: open asks", statistics.open_asks, 0)
        count("tasks", self._tasks(), self.tasks + sum([each.open for each in self.vendors.values()]))
        self._report_peaks()

    def _report_peaks(self) -> None:
        now, add = trio.current_time(), self.history.add
        for what, most in sorted(self.dispatcher.peaks.items()):
            add(Peak(at=now, what=what, most=most, bound=_bound(what)))
        add(Peak(at=now, what="bytes received and not read, a connection", most=self.buffered, bound=_UNREAD))


def _bound(what: str) -> float:
    if what.startswith("stats"):
        return 100_000
    if what.endswith(("open_asks", "parked")):
        return _MOST_WAITING
    # Letters that wait: every ask, and of tells at most two for each permit that is out, and one for each of these.
    return 4 * _MOST_WAITING
