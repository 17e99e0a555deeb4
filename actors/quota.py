"""What this process holds of the limits that it shares with others, and what it lacks. Owned by the house.

Where several processes serve together, each of them has all actors, and each limit has one keeper for all
(`machines.quota`). The gauges' buckets are slices then (`machines.slices`): a request is decided upon by what is held here, without asking
anybody. What a request lacks is noted as a claim of its deployment; whoever carries the words between this process and the keeper
(`runtime.workers.link`) is woken, and the vendor's actor is told (`messages.QuotaNews`) when something came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from .machines.claims import TERM, Answer, Claim, Entry, Report, Terms
from .machines.headroom import Amount
from .machines.slices import SliceLimit, SliceSlots, Tenure
from .sleep import Sleeper

__all__ = ["Holdings", "Lack", "ScopedHoldings"]

_HEARTBEAT: Final = TERM / 4
"""Seconds between reports while there is nothing to report."""
_TELL_SPENT: Final = 0.1
"""Seconds after which what was spent is reported."""
_ASK_AGAIN: Final = 0.02
"""Seconds between two reports that only ask for more to have in store."""
_LINGER: Final = 1.0
"""Seconds for which a claim is kept beyond the time at which it should have been met."""
_MOST_UNANSWERED: Final = 1000


class Lack(Struct):
    """What one deployment's next request lacks, until when that is thought to last (None: not answered yet), and how long the
    claim is kept up if nobody asks again."""

    number: int
    vendor: str
    amounts: Mapping[str, float]
    expires_at: float
    until: float | None = None
    granted: bool = False
    """The claim was met; who asks again and still lacks something has a new one."""


class Holdings:
    """All slices of this process. `holders`: how many processes share the limits. See the module's docstring."""

    def __init__(self, holders: int) -> None:
        self.tenure = Tenure(holders)
        self._limits: dict[str, SliceLimit] = {}
        self._slots: dict[str, tuple[SliceSlots, Callable[[], int]]] = {}
        self._vendors: dict[str, str] = {}
        self._undeclared: dict[str, Terms] = {}
        self._lacks: dict[str, Lack] = {}
        self._claims = 0
        self._recalled: set[str] = set()
        self._number = 0
        self._sent: dict[int, float] = {}
        self._reported_at = -math.inf
        self._urgent = False
        self._sleeper = Sleeper()

    def of(self, vendor: str, scope: str) -> ScopedHoldings:
        """The part that concerns one gauge."""
        return ScopedHoldings(self, vendor, scope)

    # --- for the actors ---------------------------------------------------------------------

    def add_limit(self, key: str, vendor: str, limit: SliceLimit) -> None:
        """A limit that is shared; one that was first heard of in an answer is declared with the next report."""
        self._limits[key], self._vendors[key] = limit, vendor
        self._undeclared[key] = limit.terms
        self.wake()

    def add_slots(self, key: str, vendor: str, slots: SliceSlots, in_use: Callable[[], int]) -> None:
        """Places that are shared. `in_use` says how many of those that are held here are taken."""
        self._slots[key], self._vendors[key] = (slots, in_use), vendor
        self._undeclared[key] = slots.terms

    def lack(self, deployment: str, vendor: str, amounts: Mapping[str, float], now: float) -> Lack:
        """The next request of `deployment` lacks these `amounts`: they are claimed, or the claim that there is, is brought up to date."""
        known = self._lacks.get(deployment)
        if known is None or known.granted or known.expires_at <= now:
            self._claims += 1
            known = self._lacks[deployment] = Lack(self._claims, vendor, amounts, now + _LINGER)
            self.wake()
        elif amounts != known.amounts:
            known.amounts = amounts
            self.wake()
        known.expires_at = max(now, known.until or now) + _LINGER
        return known

    def has_enough(self, deployment: str) -> None:
        """The next request of `deployment` lacks nothing (any more)."""
        if self._lacks and self._lacks.pop(deployment, None) is not None:
            self.wake()

    def spent(self, now: float) -> None:
        """Something was reserved: more is asked for if little is left. Cheap, and called for each request."""
        if self.tenure.low and not self._sent and now - self._reported_at >= _ASK_AGAIN:
            self.wake()

    def give_back(self, vendor: str) -> None:
        """What the keeper wants back goes back. Told when the vendor's own requests have had their turn."""
        if vendor not in self._recalled:
            return
        self._recalled.discard(vendor)
        returned = False
        for key, limit in self._limits.items():
            if limit.bucket.recalled and self._vendors[key] == vendor:
                returned |= limit.bucket.give_back()
        for key, (slots, in_use) in self._slots.items():
            if slots.recalled and self._vendors[key] == vendor:
                returned |= slots.give_back(in_use())
                if slots.recalled:
                    self._recalled.add(vendor)
        if returned:
            self.wake()

    def wake(self) -> None:
        """There is something to report at once."""
        self._urgent = True
        self._sleeper.wake()

    # --- for whoever carries the words ------------------------------------------------------

    async def wait(self) -> None:
        """Until `wake`."""
        if not self._urgent:
            await self._sleeper.sleep()

    @property
    def due(self) -> float:
        """When the next report is due even if nobody calls for it."""
        return self._reported_at + (_TELL_SPENT if self._owes else _HEARTBEAT)

    @property
    def _owes(self) -> bool:
        return any(limit.bucket.used for limit in self._limits.values())

    def declarations(self) -> dict[str, Terms]:
        """Pools that the keeper has not been told of yet."""
        told, self._undeclared = self._undeclared, {}
        return told

    def report(self, now: float) -> Report:
        """What there is to tell, once."""
        self._urgent = self.tenure.low = False
        self._reported_at = now
        self._number += 1
        self._sent[self._number] = now
        if len(self._sent) > _MOST_UNANSWERED:
            del self._sent[next(iter(self._sent))]
        entries: dict[str, Entry] = {}
        wants: dict[str, float] = {}
        for key, limit in self._limits.items():
            told = limit.bucket.entry(self._number, now, limit.collect(now))
            if told is not None:
                entries[key] = told
            wanted = limit.bucket.wants(now)
            if wanted > 0:
                wants[key] = wanted
        for key, (slots, _) in self._slots.items():
            told = slots.entry()
            if told is not None:
                entries[key] = told
        for deployment in [name for name, each in self._lacks.items() if each.expires_at <= now]:
            del self._lacks[deployment]
        open_claims = [each for each in self._lacks.values() if not each.granted]
        claims = tuple([Claim(each.number, each.amounts) for each in open_claims])
        return Report(era=self.tenure.era, number=self._number, entries=entries, claims=claims, wants=wants)

    def take(self, answer: Answer, now: float) -> set[str]:
        """The keeper's word; returns the vendors that it concerns."""
        silent = now >= self.tenure.valid_until
        for number in [each for each in self._sent if each <= answer.number]:
            sent_at = self._sent.pop(number)
            self.tenure.renew(sent_at)
        if silent:
            for limit in self._limits.values():
                limit.bucket.heard()
        if answer.era != self.tenure.era:
            self.tenure.era = answer.era
            for limit in self._limits.values():
                limit.bucket.void()
        for key, (rate, burst) in answer.limits.items():
            if key in self._limits:
                self._limits[key].bucket.rate, self._limits[key].bucket.burst = rate, burst
        for key, seconds in answer.closed.items():
            if key in self._limits:
                self._limits[key].bucket.drain_until(now + seconds)
        concerned = self._receive(answer)
        for each in self._lacks.values():
            wait = answer.waits.get(each.number)
            if each.number in answer.granted:
                each.granted, each.until, each.expires_at = True, now, now + _LINGER
                concerned.add(each.vendor)
            elif wait is not None:
                each.until = now + wait
                each.expires_at = now + min(wait, 86_400.0) + _LINGER
                concerned.add(each.vendor)
        return concerned

    def _receive(self, answer: Answer) -> set[str]:
        concerned: set[str] = set()
        for key, amount in answer.lent.items():
            if key in self._limits:
                self._limits[key].bucket.lend(amount)
            elif key in self._slots:
                self._slots[key][0].lend(amount)
                concerned.add(self._vendors[key])
        for key in answer.recalled:
            if key in self._limits:
                self._limits[key].bucket.recalled = True
            elif key in self._slots:
                self._slots[key][0].recalled = True
            if key in self._vendors:
                self._recalled.add(self._vendors[key])
                concerned.add(self._vendors[key])
        return concerned


class ScopedHoldings:
    """The slices of one gauge: makes them."""

    def __init__(self, holdings: Holdings, vendor: str, scope: str) -> None:
        self._holdings = holdings
        self._vendor = vendor
        self._scope = scope

    def key(self, dimension: str) -> str:
        """The name of the pool."""
        return f"{dimension} of {self._scope}"

    def limit(
        self, dimension: str, amount: Amount, *, configured: bool, share: float, steady: bool
    ) -> SliceLimit:
        """A slice of a limit by time."""
        made = SliceLimit(amount, self._holdings.tenure, configured=configured, share=share, steady=steady)
        self._holdings.add_limit(self.key(dimension), self._vendor, made)
        return made

    def slots(self, most: int, in_use: Callable[[], int]) -> SliceSlots:
        """Some of `most` places."""
        made = SliceSlots(most, self._holdings.tenure)
        self._holdings.add_slots(self.key("slots"), self._vendor, made, in_use)
        return made
