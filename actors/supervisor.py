"""Supervision: who restarts whom, how often, and when it is given up.

Each child lives in a loop of its own: a life ends by a crash, and the next one starts from a known safe
state (`Child.live` makes the actor anew; what must outlive a life it finds in a vault that its owner keeps).
The first restart is immediate, further ones back off (`machines.restarts`). More restarts than
`most_restarts` within `period` exhaust the child:

- `escalate` (router, statistics): the house is not in order; `RestartsExhausted` leaves the supervisor;
- `quarantine` (a vendor): only this child rests, for `quarantine` seconds and twice as long each further
  time; its mailbox is told through `on_quarantine`, and no sibling notices. The intensity is counted per
  child, unlike Erlang's per supervisor, where one sick vendor could take the others down.

Cancellation is not a crash: only `Exception` (and groups of nothing else) restarts; `trio.Cancelled`,
`KeyboardInterrupt`, `SystemExit` and `MemoryError` pass.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
import trio
from msgspec import Struct

from .machines.restarts import Quarantine, RestartDelay, RestartWindow

__all__ = ["Child", "ChildStatistics", "RestartsExhausted", "Supervisor"]

log = structlog.get_logger("llm_dispatcher.supervisor")


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


class ChildStatistics(Struct, frozen=True):
    """One child at a moment: alive, resting until its next life, or in quarantine; and its crashes so far."""

    state: Literal["alive", "restarting", "quarantined", "stopped"]
    crashes: int
    last_crash: str | None


class _Care:
    """What the supervisor knows of one child."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.window = RestartWindow(child.most_restarts, child.period)
        self.delay = RestartDelay()
        self.quarantine = Quarantine(base=child.quarantine)
        self.state: Literal["alive", "restarting", "quarantined", "stopped"] = "stopped"
        self.crashes = 0
        self.last_crash: str | None = None


class Supervisor:
    """Keeps its children alive (one for one). They start in order; all stop when `run` is cancelled."""

    def __init__(self, children: list[Child], *, rng: random.Random) -> None:
        self._cares = {child.name: _Care(child) for child in children}
        self._rng = rng

    def statistics(self) -> dict[str, ChildStatistics]:
        """Every child at this moment, by name."""
        return {
            name: ChildStatistics(care.state, care.crashes, care.last_crash)
            for name, care in self._cares.items()
        }

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
            await trio.sleep(care.delay.after_crash(now, self._rng))
            return
        if care.child.exhausted == "escalate":
            raise RestartsExhausted(
                f"{care.child.name} crashed {care.crashes} times; last: {care.last_crash}"
            )
        until = care.quarantine.enter(now)
        care.state = "quarantined"
        log.error("vendor quarantined", actor=care.child.name, seconds=round(until - now, 1))
        if care.child.on_quarantine is not None:
            care.child.on_quarantine(until)
        await trio.sleep_until(until)
        if care.child.on_quarantine is not None:
            care.child.on_quarantine(None)
