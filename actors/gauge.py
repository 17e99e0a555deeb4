"""Everything that limits one account or one deployment: its buckets, its slots, and what keeps it closed.

A gauge is asked three things: is it closed (`closed`), which buckets does a request draw from (`dimensions`, for
`reserve_all` over several gauges together), and is there a slot (`acquire`). And it is told three: how a request ended
(`settle`, `release`), what the vendor said of its limits (`learn`), and what the vendor complained of (`throttled`,
`slow_down`, `on_loss`). What a request costs in which dimension is `limits`' business.

Nothing shortens a closing, and there are three kinds: cooldowns, which a caller may wait out; quarantines, for faults
that time alone does not cure, doubled each time; and the rest of a day, during which single trials are let through.

Buckets are only ever added: where a reservation's marks end, those end that there were when it was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct

from .faults import FaultClass
from .limits import (
    LIMIT_MODELS,
    SHARE,
    Demand,
    LimitModel,
    LimitSpec,
    amount_of,
    gives_back,
    limits_of,
    reserved,
    settled,
)
from .machines.bucket import Bucket, BucketStatistics
from .machines.concurrency import ConcurrencyLimit
from .machines.headroom import Amount, LearnedLimit, is_limit
from .machines.ramp import Ramp
from .machines.restarts import Quarantine
from .machines.send_rate import SendRate
from .machines.slices import SliceBucket, SliceLimit, SliceSlots
from .machines.suspicion import Suspicion
from .machines.trials import DailyRest
from .messages import Cause, Headroom, Remaining, Used
from .quota import ScopedHoldings

__all__ = ["Closed", "Demand", "Gauge", "GaugeStatistics", "LimitModel", "LimitSpec", "Moment"]

_DAY: Final = 86_400.0
_TOLD: Final = 600.0
"""Seconds after which a vendor that named its limits in answers counts as one that does not."""
_HORIZON: Final = 30 * _DAY
"""No closing, drain or debt lasts longer: what claims to is the trace of a crash."""
_HEARD: Final = frozenset({"requests", "requests_per_day", "tokens", "input_tokens", "output_tokens"})
"""The dimensions of which a vendor's answers may tell."""
_RAMP: Final = "ramp"
_SEND_RATE: Final = "send_rate"


class Closed(Struct, frozen=True, gc=False):
    """Nothing may start before `until`. `trial`: but for this one request, if it calls `begin_trial`."""

    until: float
    cause: Cause
    trial: bool = False


class Moment(Struct, frozen=True, gc=False):
    """A time, and what had been reserved of each bucket by then: shown when an answer of that time is learned from."""

    at: float
    taken: tuple[float, ...]


class GaugeStatistics(Struct, frozen=True):
    """A gauge at one instant. `closed_until` is in the past for an open one; `most_at_once` is infinite without a limit."""

    closed_until: float
    cause: Cause | None
    in_flight: int
    most_at_once: float
    buckets: dict[str, BucketStatistics]


class _Dimension(Struct):
    """One bucket, and what a request costs there."""

    name: str
    bucket: Bucket
    reserved: Callable[[Demand], float]
    settled: Callable[[Used], float] | None
    gives_back: bool


class Gauge:
    """The limits of one account or deployment. See the module's docstring.

    `shared`: the limits hold for several processes together, and what this one may use of them is lent to it (`quota`).
    """

    def __init__(
        self,
        spec: LimitSpec,
        model: LimitModel = LIMIT_MODELS["default"],
        shared: ScopedHoldings | None = None,
    ) -> None:
        self.spec = spec
        self.model = model
        self.in_flight = 0
        self.closed_until = -math.inf
        self.cause = Cause.COOLING
        self.quarantines: dict[FaultClass, Quarantine] = {}
        self.day = DailyRest()
        self._share = SHARE if spec.shared else 1.0
        self._shared = shared
        self._limits: dict[str, LearnedLimit | SliceLimit] = {}
        self._dimensions: list[_Dimension] = []
        self._slots = _slots(spec)
        self._lent_slots: SliceSlots | None = None
        if shared is not None and spec.concurrent:
            self._lent_slots = shared.slots(spec.concurrent, lambda: self.in_flight)
        self._ramp = Ramp(None if spec.ramp_floor is None else spec.ramp_floor / 60, spec.ramp_growth)
        self._send_rate = SendRate()
        self._refusals = Suspicion()
        self._now = 0.0
        self._troubled_at = self._told_at = -math.inf
        for name, amount in limits_of(spec).items():
            self._add(name, self._limit(name, amount, self._share_of(name)))
        if spec.ramp_floor is not None:
            self._add_ramp()

    # --- may it pass? -----------------------------------------------------------------------

    def closed(self, now: float) -> Closed | None:
        """What keeps it closed at `now`; None if nothing does."""
        day = self.day
        if self.closed_until <= now and day.until <= now:
            return None
        if not day.holds(now):
            return Closed(self.closed_until, self.cause)
        if self.closed_until <= now and day.may_try(now):
            return Closed(day.until, Cause.QUARANTINED, trial=True)
        return Closed(max(self.closed_until, day.retry_at), Cause.QUARANTINED)

    def begin_trial(self, now: float) -> int:
        """Take the turn that `closed` offered. Its number is for `end_trial`."""
        return self.day.try_now(now)

    def end_trial(self, number: int, passed: bool | None, now: float) -> None:
        """A trial is over: it succeeded (which opens the gauge), failed, or proved nothing (None)."""
        self.day.end_trial(number, passed, now)

    def dimensions(self, demand: Demand, now: float) -> list[tuple[Bucket, float]]:
        """The buckets that a request draws from, and what it costs in each: for `reserve_all`."""
        # The ramp's bucket follows the clock; its cost function has no other way to be told.
        self._now = now
        return [(each.bucket, each.reserved(demand)) for each in self._dimensions]

    def lacking(self, demand: Demand, now: float) -> dict[str, float]:
        """Of limits that are shared, what the request needs and is not held here, by the pool's name. Empty where nothing is shared."""
        shared = self._shared
        if shared is None:
            return {}
        found: dict[str, float] = {}
        for each in self._dimensions:
            if type(each.bucket) is SliceBucket:
                missing = each.bucket.lacks(each.reserved(demand), now)
                if missing > 0:
                    found[shared.key(each.name)] = missing
        lent, slots = self._lent_slots, self._slots
        if lent is not None and slots is not None and lent.held <= self.in_flight < int(slots.limit):
            found[shared.key("slots")] = 1.0
        return found

    def pace(self, demand: Demand, now: float) -> float:
        """Seconds of its tightest limit that the request uses up; 0 without limits."""
        return max((cost / bucket.rate for bucket, cost in self.dimensions(demand, now)), default=0.0)

    @property
    def most_at_once(self) -> float:
        """How many calls may be open; infinite without a limit."""
        return math.inf if self._slots is None else self._slots.limit

    @property
    def begun(self) -> int:
        """How many slots were ever taken: after `acquire`, the number of that one; 0 if nobody counts."""
        return 0 if self._slots is None else self._slots.begun

    def full(self, now: float) -> bool:
        """Is no slot free?"""
        return self._slots is not None and (self._is_unlent or self._slots.full(now))

    @property
    def _is_unlent(self) -> bool:
        """Places are shared, and every one that is lent to this process is taken."""
        return self._lent_slots is not None and self.in_flight >= self._lent_slots.held

    def acquire(self, now: float) -> bool:
        """Take a slot; False, and nothing taken, if none is free."""
        if self._slots is not None and (self._is_unlent or not self._slots.acquire(now)):
            return False
        self.in_flight += 1
        self._refusals.begun()
        return True

    def release(self) -> None:
        """Give a slot back, for each one taken exactly once. More than were taken is a RuntimeError."""
        if self.in_flight <= 0:
            raise RuntimeError("a slot was given back that was not taken")
        self.in_flight -= 1
        if self._slots is not None:
            self._slots.release()

    # --- how it ended -----------------------------------------------------------------------

    def settle(
        self,
        demand: Demand,
        used: Used | None,
        marks: Sequence[int],
        now: float,
        *,
        sent: bool = True,
        refused: bool = False,
    ) -> None:
        """Settle what was reserved for `demand` against what was used; what is unknown (None) stays as it was reserved.

        `marks`: those of this gauge's buckets. `sent`: False if provably nothing was, which gives everything back.
        `refused`: the vendor declined it, so that it counts as a request but used no tokens.
        """
        if sent:
            self._send_rate.sent(now)
            self._ramp.sent(demand.input, now)
        self._now = now
        for each, mark in zip(self._dimensions, marks, strict=False):
            cost = each.reserved(demand)
            if not sent:
                each.bucket.refund(cost, now, mark)
            elif each.settled is None:
                continue
            elif used is not None:
                final = each.settled(used)
                if final > cost:
                    each.bucket.charge(final - cost, now)
                elif final < cost and each.gives_back:
                    each.bucket.refund(cost - final, now, mark)
            elif refused:
                each.bucket.refund(cost, now, mark)

    def moment(self, now: float) -> Moment:
        """To be kept from when an answer's header came until it is learned from."""
        return Moment(now, tuple([each.bucket.taken for each in self._dimensions]))

    def learn(self, headroom: Headroom, now: float, since: Moment | None = None) -> None:
        """Take in what an answer said of the limits. `since`: the moment of its header; without one it has only just come."""
        for name, said in headroom.dimensions.items():
            known = self._limits.get(name)
            if known is None:
                known = self._first_heard(name, said)
                if known is None:
                    continue
            if name in ("requests", "tokens"):
                self._told_at = now
            known.learn(
                said.limit,
                said.remaining,
                said.reset,
                now,
                elapsed=0.0 if since is None else max(0.0, now - since.at),
                reserved=0.0 if since is None else self._reserved_since(known.bucket, since),
                trouble_at=self._troubled_at,
            )

    # --- what the vendor complains of -------------------------------------------------------

    def on_taken(self, slot: int, now: float) -> None:
        """The vendor has taken on the call in that slot: its answer has begun, or come whole. Once a call, before `release`."""
        if self._slots is not None:
            self._slots.on_taken(slot, now)

    def on_success(self, now: float) -> None:
        """An answer came."""
        self._send_rate.on_success(now)

    def on_loss(self, slot: int, now: float, *, named: bool = False) -> None:
        """The call in that slot was lost to overload, or (`named`) refused because too many were open. Tell it before `release`."""
        if self._slots is not None:
            self._slots.on_loss(slot, now, named=named)

    def refused(self) -> bool:
        """The vendor refused a call because of how many there are, or were lately. Whether that is more than chance."""
        return self._refusals.refused()

    def throttled(self, now: float, *, often: bool = True) -> None:
        """The vendor refused for the rate. One that names its limits has told us what to do; of others that refuse `often`
        (see `refused`) we feel our way."""
        self._troubled_at = now
        if not often or now - self._told_at < _TOLD:
            return
        if not any(each.name == _SEND_RATE for each in self._dimensions):
            rate = self._send_rate
            self._dimensions.append(
                _Dimension(_SEND_RATE, rate.bucket, lambda demand: rate.cost(demand.requests), None, True)
            )
        self._send_rate.on_throttle(now)

    def slow_down(self, now: float) -> None:
        """The vendor complained of too quick a growth."""
        self._troubled_at = now
        self._ramp.slow_down(now)
        if not any(each.name == _RAMP for each in self._dimensions):
            self._add_ramp()

    def close(self, until: float, cause: Cause) -> None:
        """Closed until then, unless it is closed for longer already: nothing shortens a cooldown."""
        if until > self.closed_until:
            self.closed_until, self.cause = until, cause

    def quarantine(self, kind: FaultClass, rest: float, longest: float, cause: Cause, now: float) -> None:
        """Set aside for a fault that time alone does not cure: `rest` seconds, doubled each further time, at most `longest`."""
        quarantine = self.quarantines.setdefault(kind, Quarantine(base=rest, cap=longest))
        self.close(quarantine.enter(now), cause)

    def close_for_day(self, until: float | None, now: float) -> None:
        """The day's allowance is used up. `until`: when the next day begins, as the vendor counts; None: within a day."""
        end = now + _DAY if until is None else min(until, now + _HORIZON)
        self.day.begin(max(end, now), now)

    def lift(self, now: float) -> None:
        """An operator ends cooldowns, quarantines and the day's rest, and their past is forgotten. Limits stay."""
        self.closed_until = min(self.closed_until, now)
        for quarantine in self.quarantines.values():
            quarantine.lift()
        self.day.lift()

    # --- after a crash ----------------------------------------------------------------------

    def audit(self, now: float) -> bool:
        """Can all these numbers have come about? False calls for `pessimise`."""
        latest = now + _HORIZON
        return (
            self.in_flight >= 0
            and self.closed_until <= latest
            and all(each.until <= latest for each in self.quarantines.values())
            and (self._slots is None or self._slots.is_sound(self.in_flight))
            and self.day.is_sound(now, _HORIZON)
            and self._ramp.is_sound(now, _HORIZON)
            and self._send_rate.is_sound(now, _HORIZON)
            and self._refusals.is_sound()
            and all(each.is_sound(now, _HORIZON) for each in self._limits.values())
        )

    def pessimise(self, now: float, in_flight: int = 0) -> None:
        """Start again from what is safe: nothing left in any bucket, the fewest calls at once, and closed for as long as
        anything still says so. `in_flight`: slots that are known to be out."""
        latest = now + _HORIZON
        self.quarantines = {kind: each for kind, each in self.quarantines.items() if each.until <= latest}
        known = [self.closed_until, self.day.until, *[each.until for each in self.quarantines.values()]]
        self.closed_until = max((each for each in known if each <= latest), default=-math.inf)
        self.in_flight = in_flight
        if self._slots is not None:
            self._slots.reset(in_flight, now)
        if not self.day.is_sound(now, _HORIZON):
            self.day.lift()
        self._ramp.pessimise(now)
        self._send_rate.pessimise(now)
        self._refusals.clear()
        for limit in self._limits.values():
            limit.pessimise(now)

    # --- telling ----------------------------------------------------------------------------

    def statistics(self, now: float) -> GaugeStatistics:
        """How it stands."""
        closed = self.closed(now)
        return GaugeStatistics(
            closed_until=max(self.closed_until, self.day.until),
            cause=None if closed is None else closed.cause,
            in_flight=self.in_flight,
            most_at_once=self.most_at_once,
            buckets={each.name: each.bucket.statistics(now) for each in self._dimensions},
        )

    # --- inside -----------------------------------------------------------------------------

    def _share_of(self, name: str) -> float:
        return 1.0 if name == "dollars" else self._share

    def _limit(
        self, name: str, amount: Amount, share: float, *, configured: bool = True
    ) -> LearnedLimit | SliceLimit:
        """One limit: kept here, or a slice of what is kept for several processes."""
        make = LearnedLimit if self._shared is None else partial(self._shared.limit, name)
        return make(amount, configured=configured, share=share, steady=self.model.steady)

    def _add(self, name: str, limit: LearnedLimit | SliceLimit) -> None:
        self._limits[name] = limit
        self._dimensions.append(
            _Dimension(
                name,
                limit.bucket,
                reserved(name, self.model),
                settled(name, self.model),
                gives_back(name, self.model),
            )
        )

    def _add_ramp(self) -> None:
        ramp = self._ramp
        self._dimensions.append(
            _Dimension(_RAMP, ramp.bucket, lambda demand: ramp.cost(demand.input, self._now), None, True)
        )

    def _first_heard(self, name: str, said: Remaining) -> LearnedLimit | SliceLimit | None:
        """A limit that was not configured, as the vendor names it."""
        if said.limit is None or not is_limit(said.limit) or name not in _HEARD:
            return None
        amount = amount_of(name, said.limit * self._share, self.spec.burst)
        self._add(name, self._limit(name, amount, self._share, configured=False))
        return self._limits[name]

    def _reserved_since(self, bucket: Bucket, since: Moment) -> float:
        for position, each in enumerate(self._dimensions):
            if each.bucket is bucket and position < len(since.taken):
                return max(0.0, bucket.taken - since.taken[position])
        return 0.0


def _slots(spec: LimitSpec) -> ConcurrencyLimit | None:
    """What counts the calls at once; None if nothing limits them, nor ever will."""
    most = spec.concurrent
    if not most and not spec.adaptive:
        return None
    return ConcurrencyLimit(most or math.inf, fixed=not spec.adaptive)
