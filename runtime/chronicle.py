"""What happened to circuits and quarantines, as log lines and counts.

Actors decide and do not log: a transition is kept where it happened (`CircuitBreaker.collect`), in the vault, which
belongs to the house. Once a second a task of the house looks through the vaults, between two messages, writes a
line for each transition, in order, and counts it. What closes an account or a deployment for longer than a caller
would wait (a refused key, spent credit, a model that is not there, a used-up day) is seen by comparison with the last look.

Bounded: a circuit keeps its last 64 transitions (`BreakerSettings.history`), and there are as many counts as ways between
states. A circuit that is half open and open again a hundred times a second would lose lines, not memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import trio

from ..actors.gauge import Gauge
from ..actors.log import Log
from ..actors.machines.breaker import State, Transition
from ..actors.messages import Cause
from ..actors.vault import VendorState

__all__ = ["Chronicle"]

log = Log("llm_dispatcher.circuits")

_EVERY: Final = 1.0
"""Seconds between two looks."""
_LASTING: Final = frozenset({Cause.QUARANTINED, Cause.UNAVAILABLE})
_SLACK: Final = 1e-3
"""Seconds by which an end has to differ to be another."""
_GOOD: Final = frozenset({State.CLOSED, State.HALF_OPEN})


class Chronicle:
    """Looks through the vaults of the vendors, which are given by name."""

    def __init__(self, vaults: Mapping[str, VendorState]) -> None:
        self._vaults = vaults
        self._counts: dict[str, Counter[str]] = {}
        self._closed_until: dict[str, float] = {}

    async def run(self) -> None:
        """Look once a second until cancelled, and once more then: the last second is no less interesting."""
        try:
            while True:
                await trio.sleep(_EVERY)
                self.look(trio.current_time())
        finally:
            self.look(trio.current_time())

    def look(self, now: float) -> None:
        """Write down what is new."""
        news = [each for vault in self._vaults.values() for each in _transitions(vault)]
        for name, transition in sorted(news, key=lambda each: each[1].at):
            self._tell(name, transition, now)
        for vault in self._vaults.values():
            for name, gauge in _gauges(vault):
                self._look_at(name, gauge, now)

    def transitions(self) -> dict[str, dict[str, int]]:
        """How often each circuit has gone which way, and why, since the start; those that never moved are absent."""
        return {name: dict(counts) for name, counts in self._counts.items()}

    def _tell(self, name: str, transition: Transition, now: float) -> None:
        source, target = transition.source.value, transition.target.value
        self._counts.setdefault(name, Counter())[f"{source} -> {target}: {transition.cause.value}"] += 1
        write = log.info if transition.target in _GOOD else log.warning
        counts = transition.counts
        write(
            "circuit",
            who=name,
            before=source,
            after=target,
            cause=transition.cause.value,
            failures=counts.failure,
            successes=counts.success,
            consecutive=counts.consecutive,
            streams_broken=counts.stream_broken,
            seconds_ago=round(now - transition.at, 3),
            open_for=round(transition.until - transition.at, 1) if transition.target is State.OPEN else None,
        )

    def _look_at(self, name: str, gauge: Gauge, now: float) -> None:
        told = gauge.statistics(now)
        lasting = told.cause in _LASTING and told.closed_until > now
        before = self._closed_until.get(name, -math.inf)
        if lasting and told.closed_until > before + _SLACK:
            self._closed_until[name] = told.closed_until
            cause = "" if told.cause is None else told.cause.value
            log.warning("closed", who=name, cause=cause, seconds=round(told.closed_until - now, 1))
        elif not lasting and before > -math.inf:
            del self._closed_until[name]
            log.info("open again", who=name, early=before > now + _SLACK)


def _transitions(vault: VendorState) -> Iterator[tuple[str, Transition]]:
    circuits = {vault.spec.name: vault.endpoint} | {
        name: deployment.breaker for name, deployment in vault.deployments.items()
    }
    for name, circuit in circuits.items():
        for transition in circuit.collect():
            yield name, transition


def _gauges(vault: VendorState) -> Iterator[tuple[str, Gauge]]:
    for account, gauge in vault.accounts.items():
        yield f"{vault.spec.name} ({account})", gauge
    for name, deployment in vault.deployments.items():
        yield name, deployment.own
