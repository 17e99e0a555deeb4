"""The house under observation: everything that the simulation must know of its inside is found out here.

`WatchedDispatcher` is the dispatcher itself. Its mailboxes report what passes through them, and its actors live inside a
`Witness`, which can crash them: at any line of their code, and so in the middle of a change, or when all is done but the
answer. `WatchedVendor` is the scripted vendor, whose books are made part of the history.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final

import msgspec
import trio
from llm_dispatcher.actors.gauge import Gauge
from llm_dispatcher.actors.mailbox import Mailbox
from llm_dispatcher.actors.messages import FirstContent, Lease, NoLease, Outcome, Route, Settle
from llm_dispatcher.actors.vault import VendorState
from llm_dispatcher.benchmarks.vendor import Attempt, Script, ScriptedVendor
from llm_dispatcher.benchmarks.vendor.exchange import Exchange
from llm_dispatcher.runtime import Dispatcher
from msgspec import Struct

from .history import (
    Attempted,
    Audited,
    Booked,
    Content,
    Crashed,
    Granted,
    History,
    Refused,
    Settled,
)
from .story import Crash

__all__ = ["InjectedCrash", "WatchedDispatcher", "WatchedVendor", "current"]

current: ContextVar[int] = ContextVar("current", default=0)
"""The number of the request for which a task works; tasks that it starts inherit it."""

_MARK: Final = re.compile(rb"\[r(\d+)\]")


class InjectedCrash(Exception):
    """An actor was made to crash."""


# --- vendors ------------------------------------------------------------------------------------


class WatchedVendor(ScriptedVendor):
    """Writes every attempt that has ended into the history."""

    def __init__(
        self, name: str, script: Script, format: str, history: History, wall_now: Callable[[], float]
    ) -> None:
        super().__init__(script, formats=[format], wall_now=wall_now, history=100_000)
        self._name = name
        self._history_of_all = history
        self._running: dict[int, tuple[int, Exchange]] = {}
        self.on_end = self._ended

    def receive(
        self, path: str, query: str, headers: Mapping[str, str], body: bytes, connection: int
    ) -> Exchange:
        """As `ScriptedVendor.receive`; the request is known by the mark in its text."""
        exchange = super().receive(path, query, headers, body, connection)
        mark = _MARK.search(body)
        self._running[exchange.attempt.number] = (int(mark[1]) if mark else 0, exchange)
        return exchange

    def _ended(self, attempt: Attempt) -> None:
        request, exchange = self._running.pop(attempt.number)
        step = exchange.step
        refused = attempt.status is not None and attempt.status >= 400
        hint = step.retry_after if refused else None
        self._history_of_all.add(
            Attempted(
                at=attempt.at,
                request=request,
                vendor=self._name,
                number=attempt.number,
                key=attempt.key,
                model=attempt.model,
                stream=attempt.stream,
                step=attempt.step,
                outcome=attempt.outcome or "",
                status=attempt.status,
                finished_at=trio.current_time(),
                text=exchange.text,
                told=exchange.reports_usage,
                input=0 if refused else attempt.input_tokens,
                output=attempt.generated_tokens,
                billed_input=attempt.billed_input,
                billed_output=attempt.billed_output,
                bytes=attempt.bytes_sent,
                limited=step.name.startswith("limit: "),
                cooldown=None if hint is None else trio.current_time() + hint,
            )
        )


# --- actors -------------------------------------------------------------------------------------


class Witness:
    """One life of an actor, which may be made to crash over a message."""

    def __init__(
        self, actor: Any, name: str, crashes: list[Crash], before: Callable[[Any, float], None]
    ) -> None:
        self._actor = actor
        self._name = name
        self._crashes = crashes
        self._before = before

    def handle(self, message: Any, now: float) -> object:
        """See `mailbox.Actor`."""
        while self._crashes and (self._crashes[0].times <= 0 or self._crashes[0].until <= now):
            self._crashes.pop(0)
        if not self._crashes or self._crashes[0].at > now:
            return self._actor.handle(message, now)
        crash = self._crashes[0]
        self._before(message, now)
        if crash.line is None:
            self._spend()
            self._actor.handle(message, now)
            raise InjectedCrash(f"{self._name}: with its work done")
        return self._until(crash.line, message, now)

    def _spend(self) -> None:
        crash = self._crashes[0]
        self._crashes[0] = msgspec.structs.replace(crash, times=crash.times - 1)

    def _until(self, line: int, message: Any, now: float) -> object:
        """Let it work up to its `line`-th line. If its work is shorter than that, the next message will do."""
        left = line

        def trace(frame: FrameType, event: str, _arg: object) -> Any:
            nonlocal left
            if "/actors/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left <= 0:
                    self._spend()
                    place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
                    raise InjectedCrash(f"{self._name}: at {place}")
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            return self._actor.handle(message, now)
        finally:
            sys.settrace(before)


class WakingWitness(Witness):
    """The same for an actor that parks letters."""

    @property
    def wake_at(self) -> float:
        """See `mailbox.Waker`."""
        found: float = self._actor.wake_at
        return found

    def wake(self, now: float) -> Iterable[tuple[int, object]]:
        """See `mailbox.Waker`."""
        found: Iterable[tuple[int, object]] = self._actor.wake(now)
        return found


# --- the house ----------------------------------------------------------------------------------


class WatchedDispatcher(Dispatcher):
    """A dispatcher that writes its doings into `history`, and whose actors crash as planned. `watch` it before it runs."""

    history: History
    crashes: dict[str, list[Crash]]

    def watch(self, history: History, crashes: Iterable[Crash]) -> None:
        """What to write into, and who is to crash when."""
        self.history = history
        self.crashes = {}
        for crash in crashes:
            self.crashes.setdefault(crash.actor, []).append(crash)
        self.sent: dict[tuple[int, str | None], bool] = {}
        self.peaks: dict[str, float] = {}
        self.mailboxes: dict[str, Mailbox[Any]] = {}

    @property
    def vaults(self) -> dict[str, VendorState]:
        """The vendors' states, by vendor."""
        return self._states

    # --- what is overridden -----------------------------------------------------------------

    def _child(self, name: str, mailbox: Mailbox[Any], birth: Any, *arguments: Any, **more: Any) -> Any:
        self.mailboxes[name] = mailbox
        self._tap(name, mailbox)
        kind = WakingWitness if name == "router" else Witness
        crashes = self.crashes.setdefault(name, [])
        vendor = name.removeprefix("vendor ") if name.startswith("vendor ") else None
        taken: list[_Taken] = []

        def before(message: Any, now: float) -> None:
            if vendor is not None:
                state = self._states[vendor]
                taken[:] = [_Taken(message, _gauges(state, now), _slack(state, message))]

        def reborn() -> Any:
            return kind(birth(), name, crashes, before)

        child = super()._child(name, mailbox, reborn, *arguments, **more)
        orderly = child.on_crash

        def crashed(now: float) -> None:
            message, error = mailbox.in_hand, sys.exception()
            self.history.add(
                Crashed(
                    at=now,
                    actor=name,
                    injected=isinstance(error, InjectedCrash),
                    message=type(message).__name__,
                    what=str(error),
                    permit=getattr(message, "permit", 0),
                )
            )
            if orderly is not None:
                orderly(now)
            if vendor is not None and taken and taken[0].message is message:
                after = _gauges(self._states[vendor], now)
                one = taken[0]
                self.history.add(
                    Audited(at=now, vendor=vendor, before=one.gauges, after=after, slack=one.slack)
                )
            taken.clear()

        return msgspec.structs.replace(child, on_crash=crashed)

    # --- taps -------------------------------------------------------------------------------

    def _tap(self, name: str, mailbox: Mailbox[Any]) -> None:
        ask, tell, deliver = mailbox.ask, mailbox.tell, mailbox.deliver

        async def asked(message: Any) -> Any:
            answer = await ask(message)
            if isinstance(message, Route):
                self._leased(answer)
            return answer

        def told(message: Any) -> bool:
            self._told(name, message)
            return tell(message)

        def delivered(letter: Any) -> None:
            deliver(letter)
            self._measure(name, mailbox)

        mailbox.ask = asked  # type: ignore[method-assign]
        mailbox.tell = told  # type: ignore[method-assign]
        mailbox.deliver = delivered  # type: ignore[method-assign]

    def _leased(self, answer: Lease | NoLease) -> None:
        now = trio.current_time()
        if isinstance(answer, NoLease):
            causes = sorted({each.cause.name.lower() for each in answer.refused})
            self.history.add(Refused(at=now, request=current.get(), causes=causes))
            return
        held = self._states[answer.vendor].held.get(answer.permit)
        demand = None if held is None else held.demand
        self.history.add(
            Granted(
                at=now,
                request=current.get(),
                vendor=answer.vendor,
                deployment=answer.deployment,
                permit=answer.permit,
                start_at=answer.start_at,
                probe=answer.probe,
                desperate=answer.desperate,
                input=0.0 if demand is None else demand.input,
                output=0.0 if demand is None else min(demand.output_expected, demand.output_most),
            )
        )

    def _told(self, name: str, message: Any) -> None:
        now, request = trio.current_time(), current.get()
        vendor = name.removeprefix("vendor ")
        match message:
            case FirstContent():
                self.history.add(Content(at=now, request=request, vendor=vendor, permit=message.permit))
            case Settle():
                self.sent[request, message.deployment] = message.sent
                used = message.used
                self.history.add(
                    Settled(
                        at=now,
                        request=request,
                        vendor=vendor,
                        deployment=message.deployment,
                        permit=message.permit,
                        fault=None if message.fault is None else message.fault.value,
                        sent=message.sent,
                        committed=message.committed,
                        retry_at=message.retry_at,
                        input=None if used is None else used.input_tokens,
                        output=None if used is None else used.output_tokens,
                    )
                )
            case Outcome():
                spent = message.spent
                self.history.add(
                    Booked(
                        at=now,
                        request=request,
                        deployment=message.deployment,
                        # It was settled just before.
                        sent=self.sent.pop((request, message.deployment), True),
                        fault=None if message.fault is None else message.fault.value,
                        last=message.last,
                        begun=now - message.seconds,
                        exact=not spent.estimated,
                        input=spent.input_tokens,
                        output=spent.output_tokens,
                        cost=spent.cost,
                        ceiling=spent.ceiling,
                    )
                )

    def _measure(self, name: str, mailbox: Mailbox[Any]) -> None:
        statistics = mailbox.statistics()
        for what in ("waiting", "open_asks", "parked"):
            key = f"{name}: {what}"
            self.peaks[key] = max(self.peaks.get(key, 0.0), getattr(statistics, what))


class _Taken(Struct):
    """A vendor's limits before a message that may crash its actor."""

    message: Any
    gauges: dict[str, dict[str, float]]
    slack: dict[str, float]


def _slack(state: VendorState, message: Any) -> dict[str, float]:
    """What a message may rightly give back to the limits, by dimension: what was reserved for an attempt that is settled."""
    held = state.held.get(message.permit) if isinstance(message, Settle) else None
    if held is None:
        return {}
    return {"requests": 1.0, "tokens": held.demand.input + held.demand.output_most}


def _gauges(state: VendorState, now: float) -> dict[str, dict[str, float]]:
    """What keeps each gauge closed, and what is left in its buckets."""
    found: dict[str, Gauge] = {f"account {name}": gauge for name, gauge in state.accounts.items()}
    found |= {name: each.own for name, each in state.deployments.items()}
    return {name: _gauge(gauge, now) for name, gauge in found.items()}


def _gauge(gauge: Gauge, now: float) -> dict[str, float]:
    closed = [gauge.closed_until, gauge.day.until, *[each.until for each in gauge.quarantines.values()]]
    buckets = gauge.statistics(now).buckets
    return {
        "closed": max(closed),
        **{f"available {name}": bucket.available for name, bucket in buckets.items()},
        **{f"closed {name}": bucket.closed_until for name, bucket in buckets.items()},
    }


def rng_of(seed: int, what: str) -> random.Random:
    """The generator for one purpose."""
    return random.Random(f"{what} {seed}")
