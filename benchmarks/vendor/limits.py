"""The vendor's rate limits, kept exactly: a log of every admission of the last window, and no approximation.

For each limit and each scope the log holds (time, cost) of what was admitted within the last `per` seconds. A
request is admitted if its cost and the log's sum are within the limit; since any window holds at most as much as
the window that ends at its last admission, this proves the limit for *every* window. The window is half open: what
was admitted exactly `per` seconds ago no longer counts.

Slow and simple on purpose: this is what a dispatcher's own limiter is judged by.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from .chance import draw
from .script import Limit

__all__ = ["Admission", "Exceeded", "Limiter", "State", "Violation"]

_MOST_VIOLATIONS: Final = 1000

What: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens", "concurrency"]


class Violation(Struct, frozen=True):
    """An attempt that was beyond a limit, refused or not: with it the window would hold `found`."""

    at: float
    attempt: int
    limit: int
    """Which one, by its place in the script."""
    what: str
    scope: str
    most: int
    found: int


class Exceeded(Struct, frozen=True):
    """The request is refused. `wait` in seconds until it would be admitted; None if never (it alone is too much), or if nobody
    can know (too many are open)."""

    limit: Limit
    per: float
    wait: float | None


class State(Struct, frozen=True):
    """A limit as headers tell of it. `reset` in seconds, until it is full again."""

    what: str
    most: int
    remaining: int
    reset: float


class _Entry:
    __slots__ = ("at", "cost", "log")

    def __init__(self, at: float, cost: int, log: _Log) -> None:
        self.at = at
        self.cost = cost
        self.log: _Log | None = log
        """None once it has left the window."""

    def lower(self, cost: int) -> None:
        """It has cost less than was thought; never more."""
        if self.log is not None and cost < self.cost:
            self.log.total -= self.cost - cost
            self.cost = cost


class _Log:
    """What one scope was admitted under one limit, within the last window."""

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.total = 0
        self.running = 0

    def add(self, at: float, cost: int) -> _Entry:
        entry = _Entry(at, cost, self)
        self.entries.append(entry)
        self.total += cost
        return entry

    def sum(self, now: float, per: float) -> int:
        while self.entries and self.entries[0].at + per <= now:
            gone = self.entries.popleft()
            gone.log = None
            self.total -= gone.cost
        return self.total

    def wait(self, excess: int, now: float, per: float) -> float:
        """Seconds until `excess` has left the window."""
        for entry in self.entries:
            excess -= entry.cost
            if excess <= 0:
                return entry.at + per - now
        return per


class Admission:
    """One attempt that was let in. `settle` it when it has ended; more than once does nothing."""

    def __init__(self) -> None:
        self.entries: list[tuple[What, _Entry]] = []
        self.running: list[_Log] = []

    def settle(self, input_tokens: int, output_tokens: int) -> None:
        """Count what was really used, and free its place."""
        used = _costs(input_tokens, output_tokens)
        for what, entry in self.entries:
            entry.lower(used[what])
        for log in self.running:
            log.running -= 1
        self.entries, self.running = [], []


class Limiter:
    """Admits attempts within `limits`, and remembers each that was beyond one."""

    def __init__(self, limits: list[Limit]) -> None:
        fixed = random.Random(0)
        self._limits = [(limit, draw(limit.per, fixed)) for limit in limits]
        self._logs: list[dict[str, _Log]] = [{} for _ in limits]
        self.violated = 0
        self.violations: deque[Violation] = deque(maxlen=_MOST_VIOLATIONS)
        self.peaks = [0] * len(limits)
        """For each limit, the most that any window of any scope has held."""

    def admit(
        self, attempt: int, key: str, model: str, input_tokens: int, output_tokens: int, now: float
    ) -> Admission | Exceeded:
        """Let an attempt in, or say why not. Every limit that it is beyond is a violation."""
        costs = _costs(input_tokens, output_tokens)
        refusal: Exceeded | None = None
        found: list[tuple[int, Limit, _Log, int]] = []
        for index, (limit, per) in enumerate(self._limits):
            log, scope = self._log(index, limit, key, model, now, per)
            cost = costs[limit.what]
            total = cost + (log.running if limit.what == "concurrency" else log.sum(now, per))
            if total > limit.most and cost:
                self.violated += 1
                self.violations.append(Violation(now, attempt, index, limit.what, scope, limit.most, total))
                if limit.enforce:
                    refusal = _later(refusal, _exceeded(limit, per, log, cost, total, now))
            found.append((index, limit, log, total))
        if refusal is not None:
            for _, limit, log, _ in found:
                if limit.counts_refused and limit.what == "requests":
                    log.add(now, 1)
            return refusal
        return self._enter(found, costs, now)

    def states(self, key: str, model: str, now: float) -> list[State]:
        """Each dimension that is limited by time, at its tightest."""
        tightest: dict[str, State] = {}
        for index, (limit, per) in enumerate(self._limits):
            if limit.what == "concurrency":
                continue
            log, _ = self._log(index, limit, key, model, now, per)
            left = max(0, limit.most - log.sum(now, per))
            reset = log.entries[-1].at + per - now if log.entries else 0.0
            before = tightest.get(limit.what)
            if before is None or left < before.remaining:
                tightest[limit.what] = State(limit.what, limit.most, left, reset)
        return list(tightest.values())

    def _enter(
        self, found: list[tuple[int, Limit, _Log, int]], costs: dict[What, int], now: float
    ) -> Admission:
        admission = Admission()
        for index, limit, log, total in found:
            self.peaks[index] = max(self.peaks[index], total)
            if limit.what == "concurrency":
                log.running += 1
                admission.running.append(log)
            else:
                admission.entries.append((limit.what, log.add(now, costs[limit.what])))
        return admission

    def _log(
        self, index: int, limit: Limit, key: str, model: str, now: float, per: float
    ) -> tuple[_Log, str]:
        scopes = {"vendor": "", "key": key, "model": model, "key_and_model": f"{key} {model}"}
        logs, scope = self._logs[index], scopes[limit.scope]
        if scope not in logs and len(logs) >= 1000:
            # Scopes that have not been used for a whole window are as good as new.
            for name in [name for name, log in logs.items() if not log.running and not log.sum(now, per)]:
                del logs[name]
        return logs.setdefault(scope, _Log()), scope


def _costs(input_tokens: int, output_tokens: int) -> dict[What, int]:
    return {
        "requests": 1,
        "tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "concurrency": 1,
    }


def _exceeded(limit: Limit, per: float, log: _Log, cost: int, total: int, now: float) -> Exceeded:
    if limit.what == "concurrency":
        return Exceeded(limit, per, None)
    if cost > limit.most:
        return Exceeded(limit, per, None)
    return Exceeded(limit, per, log.wait(total - limit.most, now, per))


def _later(one: Exceeded | None, other: Exceeded) -> Exceeded:
    """The refusal that lasts longer."""
    if one is None or other.wait is None:
        return other
    return one if one.wait is None or one.wait >= other.wait else other
