"""Supervision: who restarts whom, how often, and when it is given up.

Each child lives in a loop of its own: a life ends by a crash, and the next one starts from a known safe
state (`Child.live` makes the actor anew; what must outlive a life it finds in a vault that its owner keeps).
The first restart is immediate, further ones back off (`machines.restarts`). More restarts than
`most_restarts` within `period` exhaust the child:

- `escalate` (router, statistics): the house is not in order. The child is not started again, its mailbox is told through
  `on_exhausted`, and whoever waits for it (`wait_failing`) has the supervisor's `grace` to bring what is under way to an
  end, while the other children live on; then `RestartsExhausted` leaves the supervisor. It may crash as often as a vendor:
  what it must know outlives it, so that a restart costs little, while giving up the house costs all that is under way;
- `quarantine` (a vendor): only this child rests, for `quarantine` seconds and twice as long each further
  time, or until an operator ends it (`unquarantine`); its mailbox is told through `on_quarantine`, and no sibling
  notices. The intensity is counted per child, unlike Erlang's per supervisor, where one sick vendor could take the
  others down.

Cancellation is not a crash: only `Exception` (and groups of nothing else) restarts; `trio.Cancelled`,
`KeyboardInterrupt`, `SystemExit` and `MemoryError` pass.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import trio
from msgspec import Struct

from .log import Log
from .machines.restarts import Quarantine, RestartDelay, RestartWindow

__all__ = ["Child", "ChildStatistics", "RestartsExhausted", "Supervisor"]

log = Log("llm_dispatcher.supervisor")


class RestartsExhausted(Exception):
    """A child that the house cannot do without crashed more often than it may."""


class Child(Struct, frozen=True, kw_only=True):
    """How one child is kept alive. `live` is one life; it returns never, or by an exception."""

    name: str
    live: Callable[[], Awaitable[None]]
    most_restarts: int = 5
    period: float = 60.0
    exhausted: Literal["escalate", "quarantine"] = "escalate"
    quarantine: float = 300.0
    on_crash: Callable[[float], None] | None = None
    """Called at the time of each crash, before anything else can happen: to put the vault in order. Must not raise."""
    on_quarantine: Callable[[float | None], None] | None = None
    """Called with the time at which the quarantine ends, and with None when it has ended."""
    on_exhausted: Callable[[], None] | None = None
    """Called when a child that escalates will not live again."""


State: TypeAlias = Literal["alive", "restarting", "quarantined", "exhausted", "stopped"]


class ChildStatistics(Struct, frozen=True):
    """One child at a moment: alive, resting until its next life, in quarantine, or given up; and its crashes so far.

    `rests_for`: seconds until its next life, 0 if it lives.
    """

    state: State
    crashes: int
    last_crash: str | None
    rests_for: float = 0.0


class _Care:
    """What the supervisor knows of one child."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.quarantine = Quarantine(base=child.quarantine)
        self.state: State = "stopped"
        self.crashes = 0
        self.last_crash: str | None = None
        self.rests_until = -math.inf
        self.freed = trio.Event()
        self.forgive()

    def forgive(self) -> None:
        """Its past counts no more: as many restarts as at first, and the shortest quarantine."""
        self.window = RestartWindow(self.child.most_restarts, self.child.period)
        self.delay = RestartDelay()
        self.quarantine.lift()

    def statistics(self, now: float) -> ChildStatistics:
        rests = self.state in ("restarting", "quarantined")
        rests_for = max(0.0, self.rests_until - now) if rests else 0.0
        return ChildStatistics(self.state, self.crashes, self.last_crash, rests_for)


class Supervisor:
    """Keeps its children alive (one for one). They start in order; all stop when `run` is cancelled.

    `grace`: seconds between the moment at which one is given up that the house cannot do without, and its end.
    """

    def __init__(self, children: list[Child], *, rng: random.Random, grace: float = 0.0) -> None:
        self._cares = {child.name: _Care(child) for child in children}
        self._rng = rng
        self._grace = grace
        self._failing = trio.Event()
        self.failure: RestartsExhausted | None = None
        """Why the house cannot go on; None while it can."""

    def statistics(self) -> dict[str, ChildStatistics]:
        """Every child at this moment, by name."""
        now = trio.current_time()
        return {name: care.statistics(now) for name, care in self._cares.items()}

    def unquarantine(self, name: str) -> bool:
        """End a child's quarantine before its time, and forget why it came to it; False if it is in none.

        Its mailbox is told at once, so that a letter sent next is handled by its next life. A KeyError if there is no
        such child.
        """
        care = self._cares[name]
        if care.state != "quarantined":
            return False
        care.forgive()
        self._readmit(care, by_hand=True)
        care.freed.set()
        return True

    async def wait_failing(self) -> RestartsExhausted:
        """Wait until the house cannot go on; returns why."""
        await self._failing.wait()
        if self.failure is None:
            raise RuntimeError("the house is failing, and nobody said why")
        return self.failure

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep every child alive until cancelled. Raises `RestartsExhausted` when one escalates."""
        async with trio.open_nursery() as nursery:
            for care in self._cares.values():
                # Whoever asks before its first step finds it as it is about to be.
                care.state = "alive"
                nursery.start_soon(self._keep_alive, care, name=f"keep {care.child.name} alive")
            task_status.started()

    async def _keep_alive(self, care: _Care) -> None:
        child = care.child
        try:
            while True:
                care.state = "alive"
                try:
                    await child.live()
                except MemoryError:
                    raise
                except Exception as crash:
                    self._record(care, crash)
                await self._rest(care)
        finally:
            care.state = "stopped"

    def _record(self, care: _Care, crash: Exception) -> None:
        care.crashes += 1
        care.last_crash = f"{type(crash).__name__}: {crash}"
        if care.child.on_crash is not None:
            care.child.on_crash(trio.current_time())
        log.error("actor crashed", actor=care.child.name, crashes=care.crashes, exc_info=crash)

    async def _rest(self, care: _Care) -> None:
        """Wait before the next life, as long as the crashes so far call for."""
        now = trio.current_time()
        if care.window.spend(now):
            care.state = "restarting"
            care.rests_until = now + care.delay.after_crash(now, self._rng)
            await trio.sleep_until(care.rests_until)
        elif care.child.exhausted == "escalate":
            await self._escalate(care)
        else:
            await self._quarantine(care, now)

    async def _escalate(self, care: _Care) -> None:
        failure = RestartsExhausted(
            f"{care.child.name} crashed {care.crashes} times; last: {care.last_crash}"
        )
        care.state = "exhausted"
        log.critical("actor given up", actor=care.child.name, crashes=care.crashes, grace_seconds=self._grace)
        if care.child.on_exhausted is not None:
            care.child.on_exhausted()
        if self.failure is None:
            self.failure = failure
            self._failing.set()
        await trio.sleep(self._grace)
        raise failure

    async def _quarantine(self, care: _Care, now: float) -> None:
        care.rests_until = until = care.quarantine.enter(now)
        care.state, care.freed = "quarantined", trio.Event()
        log.error(
            "vendor quarantined", actor=care.child.name, seconds=round(until - now, 1), cause=care.last_crash
        )
        if care.child.on_quarantine is not None:
            care.child.on_quarantine(until)
        with trio.CancelScope(deadline=until):
            await care.freed.wait()
        if not care.freed.is_set():
            self._readmit(care, by_hand=False)

    @staticmethod
    def _readmit(care: _Care, *, by_hand: bool) -> None:
        care.state = "restarting"
        care.rests_until = trio.current_time()
        log.info("quarantine over", actor=care.child.name, by_hand=by_hand)
        if care.child.on_quarantine is not None:
            care.child.on_quarantine(None)
