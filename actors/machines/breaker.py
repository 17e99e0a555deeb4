"""A circuit breaker for deployments whose answers may take minutes.

Theory. A breaker stops sending to a deployment that fails, so that callers go elsewhere at once and the deployment can recover,
and finds out with few calls when it has (M. Nygard, "Release It!"). The states and the table between them are in
`breaker_states`; what is particular here:

*Evidence is apart.* Which counts are reason to trip stands in `evidence`, whose turn it is to probe in `probes`, who is worth
asking all the same in `pulse`; here is what follows from it.

*Epochs.* A call that began before the breaker tripped can end, well or badly, long after. Each permit carries the
epoch it was granted in; an answer from an earlier epoch is counted in the statistics and moves nothing. Half open, only a
probe of the present epoch moves the state, once. A breaker that took any answer as verdict would close because a
three-minute stream from before the outage finished.

*A rate limit is not a failure*, so it never trips; but a probe answered with one has not shown that traffic can
return, so it fails the probe.

*No timer.* An open breaker whose time has come turns half open when somebody asks, so an idle one costs nothing.

*Return is gradual.* One probe, then two, then four; closed after three successes; then the weight grows with time
(Envoy's slow start with aggression 1). Open times double with jitter up to a cap, so that many dispatchers do not come
back in step, and are never shorter than the vendor asked for.

*Panic.* When nothing better is left the router may ask an open breaker to go half open early. If that probe fails too,
the time already set stands: what was learned is nothing new, and it must not push recovery further away. Of a deployment
that is dead these probes are all; one that still answers some of its calls (`pulse`) takes every call in panic, and those
beyond the probes move nothing.
"""

import math
import random
from collections import deque

from .breaker_states import (
    KEEPS_EPOCH,
    PROBE_MEANING,
    TRANSITIONS,
    BreakerCounts,
    BreakerSettings,
    BreakerStatistics,
    Cause,
    Permit,
    Refusal,
    State,
    Transition,
    Verdict,
)
from .evidence import Evidence
from .probes import ProbeTurns
from .pulse import Pulse

__all__ = [
    "TRANSITIONS",
    "BreakerCounts",
    "BreakerSettings",
    "BreakerStatistics",
    "Cause",
    "CircuitBreaker",
    "Permit",
    "Refusal",
    "State",
    "Transition",
    "Verdict",
]


class CircuitBreaker:
    """Grants or refuses calls to one deployment and learns from their verdicts. See the module for the theory."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self.settings = settings or BreakerSettings()
        self.state = State.CLOSED
        self.epoch = 0
        self.until = -math.inf
        self.openings = 0
        self.stragglers = 0
        self.history: deque[Transition] = deque(maxlen=self.settings.history)
        self._news: deque[Transition] = deque(maxlen=self.settings.history)
        self._issued = 0
        self._probe_successes = 0
        self._closed_at: float | None = None
        self._ramp_from: float | None = None
        self._verdicts = [0] * len(Verdict)
        self._probes = ProbeTurns(self.settings.probe_timeout)
        self._evidence = Evidence(self.settings)
        self._pulse = Pulse()

    # Asking and answering

    def admit(self, now: float, rng: random.Random, *, panic: bool = False) -> Permit | Refusal:
        """Ask to make a call at `now`. Every permit must come back through `settle` or `release`.

        `panic` says that there is no better deployment: an open breaker then hands out probes before its time, and permits
        beside them if the deployment still answers some of its calls.
        """
        self._refresh(now)
        if self.state is State.OPEN and panic:
            self._go(Cause.PANICKED, now)
        state = self.state
        if state is State.HALF_OPEN:
            turn = self._admit_probe(now, rng)
            if not panic or isinstance(turn, Permit) or not self._pulse.alive:
                return turn
        elif state is State.OPEN:
            return Refusal(self.until, state)
        elif state is State.ISOLATED:
            return Refusal(math.inf, state)
        self._issued += 1
        return Permit(self.epoch, False, self._issued)

    def settle(
        self,
        permit: Permit,
        verdict: Verdict,
        now: float,
        rng: random.Random,
        retry_at: float | None = None,
        *,
        slow: bool = False,
        streamed: bool = False,
    ) -> Transition | None:
        """Report a verdict on the call made under `permit`; returns the transition it caused, if any.

        A streamed call reports twice: at its first content, and `STREAM_OK` or `STREAM_BROKEN` at its end. `retry_at` is
        the vendor's own time for coming back; `slow` says that first content took longer than `slow_after` allows,
        `streamed` that it was a stream's, so that a second verdict follows.
        """
        self._verdicts[verdict] += 1
        self._pulse.feel(verdict)
        if permit.epoch != self.epoch:
            self.stragglers += 1
            return None
        if self.state is State.HALF_OPEN:
            return self._settle_probe(permit, verdict, now, rng, retry_at)
        if self.state is State.CLOSED or self.state is State.SLOW:
            self._refresh(now)
            is_slow = self.state is State.SLOW
            cause = self._evidence.judge(verdict, now, slow=slow, streamed=streamed, is_slow=is_slow)
            if cause is not None:
                return self._go(cause, now, self._open_until(cause, now, rng, retry_at))
        return None

    def release(self, permit: Permit) -> None:
        """Give a permit back without a verdict: the call was cancelled or never made."""
        self._verdicts[Verdict.NEUTRAL] += 1
        if permit.epoch != self.epoch:
            self.stragglers += 1
        elif permit.probe:
            self._probes.end(permit.number)

    # Orders from outside

    def trip(self, now: float, rng: random.Random, retry_at: float | None = None) -> Transition | None:
        """Open on somebody else's evidence, such as other deployments of the same endpoint failing."""
        self._refresh(now)
        return self._go_if_possible(Cause.ORDERED, now, self._open_until(Cause.ORDERED, now, rng, retry_at))

    def suspect(self, now: float) -> Transition | None:
        """Start again with one probe: what is remembered cannot be trusted (an audit after a crash failed)."""
        return self._go_if_possible(Cause.SUSPECTED, now)

    def isolate(self, now: float) -> Transition | None:
        """Refuse all traffic until `automatic`."""
        return self._go_if_possible(Cause.ISOLATE, now)

    def force_closed(self, now: float) -> Transition | None:
        """Grant all traffic, whatever the verdicts, until `automatic`."""
        return self._go_if_possible(Cause.FORCE, now)

    def automatic(self, now: float) -> Transition | None:
        """End an order. After isolation it begins half open, after forcing closed."""
        return self._go_if_possible(Cause.AUTOMATIC, now)

    # Looking

    def state_at(self, now: float) -> State:
        """The state that asking at `now` would find. Changes nothing."""
        if self.state is State.OPEN and now >= self.until:
            return State.HALF_OPEN
        if self.state is State.SLOW and now >= self._evidence.slow_ends_at():
            return State.CLOSED
        return self.state

    def weight(self, now: float) -> float:
        """The share of its usual traffic a router should offer, 0 to 1. Changes nothing."""
        settings = self.settings
        state = self.state_at(now)
        if state is State.CLOSED:
            since = self._ramp_from if self.state is State.CLOSED else self._evidence.slow_ends_at()
            if since is None:
                return 1.0
            return max(settings.least_weight, min(1.0, (now - since) / settings.slow_start))
        if state is State.HALF_OPEN:
            return settings.least_weight if self._probes.out(now) < self._probes_allowed() else 0.0
        if state is State.SLOW:
            return settings.least_weight
        return 1.0 if state is State.FORCED_CLOSED else 0.0

    def collect(self) -> list[Transition]:
        """The transitions since the last collection, oldest first; beyond `history` the oldest are lost."""
        news = list(self._news)
        self._news.clear()
        return news

    def statistics(self, now: float) -> BreakerStatistics:
        return BreakerStatistics(
            state=self.state_at(now),
            epoch=self.epoch,
            until=self.until,
            openings=self.openings,
            weight=self.weight(now),
            probes_out=self._probes.out(now),
            probes_lapsed=self._probes.lapses,
            stragglers=self.stragglers,
            verdicts={verdict.name.lower(): self._verdicts[verdict] for verdict in Verdict},
            counts=self._evidence.counts(now),
        )

    # Half open

    def _probes_allowed(self) -> int:
        return min(self.settings.probes_most, 1 << self._probe_successes)

    def _admit_probe(self, now: float, rng: random.Random) -> Permit | Refusal:
        self._probes.lapse(now)
        if self._probes.out(now) >= self._probes_allowed():
            # When a probe will answer is not known; spread, so that those refused do not return together.
            return Refusal(now + self.settings.probe_retry * rng.uniform(0.5, 1.5), self.state)
        self._issued += 1
        self._probes.begin(self._issued, now)
        return Permit(self.epoch, True, self._issued)

    def _settle_probe(
        self, permit: Permit, verdict: Verdict, now: float, rng: random.Random, retry_at: float | None
    ) -> Transition | None:
        if not (permit.probe and self._probes.end(permit.number)):
            return None
        cause = PROBE_MEANING[verdict]
        if cause is Cause.PROBED:
            self._probe_successes += 1
            return self._go(cause, now) if self._probe_successes >= self.settings.closes_after else None
        return None if cause is None else self._go(cause, now, self._open_until(cause, now, rng, retry_at))

    # Changing state

    def _refresh(self, now: float) -> None:
        """Make the changes that time alone has brought."""
        if self.state is State.OPEN and now >= self.until:
            self._go(Cause.COOLED, now)
        elif self.state is State.SLOW and now >= self._evidence.slow_ends_at():
            self._go(Cause.QUICKENED, now)
            self._ramp_from = self._evidence.slow_ends_at()

    def _open_until(
        self, cause: Cause, now: float, rng: random.Random, retry_at: float | None
    ) -> float | None:
        """When probes may begin if `cause` opens the breaker at `now`; None if it does not."""
        if TRANSITIONS[self.state].get(cause) is not State.OPEN:
            return None
        asked = retry_at if retry_at is not None and math.isfinite(retry_at) else now
        if self.state is State.HALF_OPEN and now < self.until:
            # Half open before its time, in panic.
            return max(self.until, asked)
        if self.state is not State.HALF_OPEN and (
            self._closed_at is None or now - self._closed_at >= self.settings.forget
        ):
            self.openings = 0
        settings = self.settings
        # The cap bounds the result, jitter included, without making many results equal to it.
        ceiling = settings.open_cap / (1.0 + settings.open_jitter)
        length = min(ceiling, settings.open_base * 2.0 ** min(self.openings, 512))
        self.openings += 1
        return max(now + length * rng.uniform(1.0 - settings.open_jitter, 1.0 + settings.open_jitter), asked)

    def _go_if_possible(self, cause: Cause, now: float, until: float | None = None) -> Transition | None:
        return self._go(cause, now, until) if cause in TRANSITIONS[self.state] else None

    def _go(self, cause: Cause, now: float, until: float | None = None) -> Transition:
        source, target = self.state, TRANSITIONS[self.state][cause]
        counts = self._evidence.counts(now)
        self.state = target
        if target not in KEEPS_EPOCH:
            self.epoch += 1
        if until is not None:
            self.until = until
        if target is State.CLOSED and source is not State.SLOW:
            self._closed_at = now
        if target is State.CLOSED:
            # Traffic that was forced did not stop, so there is nothing to bring back gently.
            self._ramp_from = None if source is State.FORCED_CLOSED else now
        if cause is Cause.SUSPECTED or cause is Cause.AUTOMATIC:
            self.until = now
        if cause is Cause.SUSPECTED:
            self._pulse.clear()
        self._probe_successes = 0
        self._probes.clear()
        if source in KEEPS_EPOCH and target in KEEPS_EPOCH:
            self._evidence.forget_pace()
        else:
            self._evidence.forget()
        transition = Transition(now, source, target, cause, self.epoch, self.until, counts)
        self.history.append(transition)
        self._news.append(transition)
        return transition
