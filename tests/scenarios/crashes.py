"""Crashes of our own: of a vendor's actor, the router, the statistics and the accept loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import trio
from llm_dispatcher.actors.messages import Outcome, Reserve, Route
from llm_dispatcher.actors.router import Router
from llm_dispatcher.actors.stats import Stats
from llm_dispatcher.actors.vendor import Vendor
from llm_dispatcher.benchmarks.vendor import Delays, MemoryStream, Script, Step, memory_pair

from .front import front_door, request_bytes
from .measure import Figures
from .outages import HEALTHY, WELL, limited, success
from .world import Call, hello, world

__all__ = ["accepting_fails", "actor_crashes_once", "gate_crashes", "gate_crashes_always"]


class Crash(Exception):
    """A mistake of ours, made on purpose."""


@contextmanager
def crashing(actor: type[Any], when: Callable[[Any, Any], bool]) -> Iterator[list[float]]:
    """`actor` crashes over the messages for which `when(actor, message)` holds, every second time with its work done.

    Yields the times at which it did.
    """
    handle, crashes = actor.handle, list[float]()

    def crash(self: Any, message: Any, now: float) -> Any:
        if not when(self, message):
            return handle(self, message, now)
        crashes.append(now)
        if len(crashes) % 2:
            raise Crash("before the work")
        handle(self, message, now)
        raise Crash("after the work")

    with mock.patch.object(actor, "handle", crash):
        yield crashes


def _user(number: int) -> Any:
    # Messages that are alike would be refused at the door after they had crashed two lives.
    return hello(user=f"user {number}", timeout=60)


async def gate_crashes(every: int) -> Figures:
    """Row 32. The actor of the only vendor crashes over each n-th message, under a limit; ten long streams run meanwhile."""
    figures, a_minute, burst = Figures(), 120, 12
    long = Step(tokens=60, delay=Delays(before_head=0.05, between=1.0), times=10)
    script = limited(a_minute, burst, steps=[long])
    table = {"limits": {"requests_per_minute": a_minute, "burst": burst / a_minute}}
    seen = 0

    def nth(_: Vendor, __: Any) -> bool:
        nonlocal seen
        seen += 1
        return armed and seen % every == 0

    armed = False
    async with world({"a": script}, {"a": table}, supervision={"most_restarts": 100_000}) as here:
        with crashing(Vendor, nth) as crashes:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.together, [hello(user="long")] * 10)
                await trio.sleep(5)
                armed = True
                calls = await here.load(3, 90, _user, streamed=False)
                armed = False
            # The latest back-off may still keep it down.
            await trio.sleep(60)
        streams = [call for call in here.calls if call.request.user == "long"]
        lost = [call for call in calls if _code(call) == "actor_crashed"]
        figures.at_least("crashes", len(crashes), 3)
        figures.exactly("streams unharmed", sum([call.ok for call in streams]), 10)
        figures.exactly("beyond the vendor's limit", here.vendors["a"].limiter.violated, 0)
        figures.at_most("requests lost", len(lost), len(crashes))
        figures.at_most("longest request", max(call.seconds for call in calls), 60.25, " s")
        figures.at_least("answered", success(calls), 0.3)
    return figures


def _code(call: Call) -> str | None:
    return None if call.error is None else call.error.code


async def gate_crashes_always() -> Figures:
    """Row 33. A's actor crashes whenever it is asked for a lease; B's does not."""
    figures = Figures()

    def asked_a(actor: Vendor, message: Any) -> bool:
        return isinstance(message, Reserve) and message.deployment.startswith("a/")

    async with world({"a": HEALTHY, "b": HEALTHY}) as here:
        with crashing(Vendor, asked_a) as crashes:
            mixed = await here.load(10, 40, _user, streamed=False)
            told = here.dispatcher.actors()
            figures.exactly("restarts before the quarantine", len(crashes) - 1, 5)
            figures.exactly("in quarantine", told["vendor a"].state == "quarantined", True)
            figures.exactly("crashes of B", told["vendor b"].crashes, 0)
            figures.at_most("requests lost", sum([not call.ok for call in mixed]), len(crashes))
            only_b = await here.load(10, 5, lambda _: hello(model="b/m"), streamed=False)
            figures.exactly("success at B", success(only_b), 1)
            after = [call for call in mixed if call.begun > crashes[-1]]
            figures.exactly("success after that", success(after), 1)
            figures.at_most("longest request", max(call.seconds for call in mixed), 30, " s")
    return figures


async def actor_crashes_once(actor: type[Router | Stats]) -> Figures:
    """Row 34. The router, or the statistics, crash four times, more than a minute apart; streams run meanwhile."""
    figures = Figures()
    due = [10.0, 80.0, 150.0, 220.0]
    kind = Route if actor is Router else Outcome

    def now_and_then(_: Any, message: Any) -> bool:
        if due and trio.current_time() >= due[0] and isinstance(message, kind):
            del due[0]
            return True
        return False

    long = Step(tokens=240, delay=Delays(between=1.0), times=10)
    async with world({"a": Script(steps=[long], default=WELL)}) as here:
        with crashing(actor, now_and_then) as crashes:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.together, [hello(user="long")] * 10)
                await trio.sleep(1)
                calls = await here.load(2, 235, _user, streamed=False)
        # The outcome that the statistics crash over is not counted.
        here.books_are_whole = actor is Router
        await here.rest()
        attempts = here.dispatcher.statistics().totals.attempts
        figures.at_most("attempts not counted", here.attempts("a") - attempts, 0 if actor is Router else 2)
        streams = [call for call in here.calls if call.request.user == "long"]
        figures.exactly("crashes", len(crashes), 4)
        figures.exactly("streams unharmed", sum([call.ok for call in streams]), 10)
        figures.at_most("requests lost", sum([not call.ok for call in calls]), 4 if actor is Router else 0)
        figures.at_most("outage", max(call.seconds for call in calls if call.ok) - 0.05, 0.1, " s")
    return figures


class _Listener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out streams in memory, and fails when told to."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[MemoryStream](math.inf)
        self.failures: list[Exception] = []

    def connect(self) -> MemoryStream:
        ours, theirs = memory_pair()
        self._send.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        stream = await self._receive.receive()
        if self.failures:
            stream.close()
            raise self.failures.pop()
        return stream

    async def aclose(self) -> None:
        await self._send.aclose()


async def accepting_fails() -> Figures:
    """Row 34. The accept loop of the front door crashes while a stream runs."""
    figures = Figures()
    slow = Step(tokens=20, delay=Delays(between=1.0))
    async with world({"a": Script(steps=[slow], default=WELL)}) as here, front_door(here) as door:
        listener = _Listener()

        async def ask() -> bytes:
            async with listener.connect() as stream:
                await stream.send_all(request_bytes())
                heard = b""
                while data := await stream.receive_some():
                    heard += data
                return heard

        async with trio.open_nursery() as nursery:
            await nursery.start(door.server.serve, [listener])
            answers: list[bytes] = []
            answered = trio.Event()

            async def long() -> None:
                answers.append(await ask())
                answered.set()

            nursery.start_soon(long)
            await trio.sleep(5)
            for failure in (
                OSError(22, "invalid argument"),
                RuntimeError("a mistake"),
                ValueError("another"),
            ):
                listener.failures.append(failure)
                figures.exactly("answered while it fails", len(await ask()), 0)
                begun = trio.current_time()
                figures.exactly("answered afterwards", b"[DONE]" in await ask(), True)
                figures.at_most("outage", trio.current_time() - begun - 0.05, 0.1, " s")
            await answered.wait()
            figures.exactly("stream unharmed", b"[DONE]" in answers[0], True)
            nursery.cancel_scope.cancel()
    return figures
