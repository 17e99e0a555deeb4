"""The circuit breaker's vocabulary: states, causes, the table between them, permits and settings.

```
                 consecutive | failure_rate | streams | ordered
   +--> CLOSED ---------------------------------------------------> OPEN <-----------+
   |     |  ^                                                        |               | probe_failed
   |     |  | quickened                                      cooled  |               | probe_rate_limited
   |     v  | (also after a quiet spell)                   panicked  v               |
   |    SLOW ---(as CLOSED)---> OPEN                             HALF_OPEN ----------+
   |                                                                 |
   +-----------------------------------------------------------------+  probed
```
ISOLATED and FORCED_CLOSED are an operator's word and leave only by it.
"""

import enum

from msgspec import Struct


class State(enum.Enum):
    """How far a deployment is trusted."""

    CLOSED = "closed"
    """Traffic flows."""
    SLOW = "slow"
    """Traffic flows at the least weight: answers come, but late."""
    OPEN = "open"
    """No traffic until a time."""
    HALF_OPEN = "half_open"
    """A few probes at a time."""
    ISOLATED = "isolated"
    """No traffic, by hand."""
    FORCED_CLOSED = "forced_closed"
    """Traffic whatever happens, by hand."""


class Cause(enum.Enum):
    """Why a state was left."""

    CONSECUTIVE = "consecutive"
    FAILURE_RATE = "failure_rate"
    STREAMS = "streams"
    ORDERED = "ordered"
    SLOWED = "slowed"
    QUICKENED = "quickened"
    COOLED = "cooled"
    PANICKED = "panicked"
    PROBED = "probed"
    PROBE_FAILED = "probe_failed"
    PROBE_RATE_LIMITED = "probe_rate_limited"
    SUSPECTED = "suspected"
    ISOLATE = "isolate"
    FORCE = "force"
    AUTOMATIC = "automatic"


_BY_HAND = {Cause.ISOLATE: State.ISOLATED, Cause.FORCE: State.FORCED_CLOSED}
_TRIPS = {
    Cause.CONSECUTIVE: State.OPEN,
    Cause.FAILURE_RATE: State.OPEN,
    Cause.STREAMS: State.OPEN,
    Cause.ORDERED: State.OPEN,
}
_SUSPICION = {Cause.SUSPECTED: State.HALF_OPEN}

TRANSITIONS: dict[State, dict[Cause, State]] = {
    State.CLOSED: {**_TRIPS, Cause.SLOWED: State.SLOW, **_SUSPICION, **_BY_HAND},
    State.SLOW: {**_TRIPS, Cause.QUICKENED: State.CLOSED, **_SUSPICION, **_BY_HAND},
    State.OPEN: {Cause.COOLED: State.HALF_OPEN, Cause.PANICKED: State.HALF_OPEN, **_BY_HAND},
    State.HALF_OPEN: {
        Cause.PROBED: State.CLOSED,
        Cause.PROBE_FAILED: State.OPEN,
        Cause.PROBE_RATE_LIMITED: State.OPEN,
        Cause.ORDERED: State.OPEN,
        **_SUSPICION,
        **_BY_HAND,
    },
    # Whoever was isolated has had no traffic that could vouch for it: it proves itself by probes.
    State.ISOLATED: {Cause.AUTOMATIC: State.HALF_OPEN, Cause.FORCE: State.FORCED_CLOSED},
    State.FORCED_CLOSED: {Cause.AUTOMATIC: State.CLOSED, Cause.ISOLATE: State.ISOLATED},
}

KEEPS_EPOCH = frozenset({State.CLOSED, State.SLOW})
"""Entering one of these leaves permits already out valid; entering any other makes them stragglers."""


class Verdict(enum.IntEnum):
    """What a call says about its deployment. The first four come at first content, error or time-out; the others
    when a stream that had begun has ended."""

    SUCCESS = 0
    """It is alive: first content came, or a refusal that was the caller's fault."""
    FAILURE = 1
    """It is at fault."""
    RATE_LIMITED = 2
    """It works and wants less. Never trips; not good enough for a probe."""
    NEUTRAL = 3
    """Nothing can be concluded: cancelled, or ended for a reason of our own."""
    STREAM_OK = 4
    """A stream reached the vendor's own end."""
    STREAM_BROKEN = 5
    """A stream stalled, was cut short or turned into an error after its first content."""


PROBE_MEANING: dict[Verdict, Cause | None] = {
    Verdict.SUCCESS: Cause.PROBED,
    Verdict.STREAM_OK: Cause.PROBED,
    Verdict.FAILURE: Cause.PROBE_FAILED,
    Verdict.STREAM_BROKEN: Cause.PROBE_FAILED,
    Verdict.RATE_LIMITED: Cause.PROBE_RATE_LIMITED,
    Verdict.NEUTRAL: None,
}
"""What a verdict means as a probe's answer; None gives the turn back and proves nothing."""


class Permit(Struct, frozen=True):
    """Leave to make one call. It names the epoch it was granted in, so that a late answer can be told from a new one."""

    epoch: int
    probe: bool
    number: int


class Refusal(Struct, frozen=True):
    """No leave. `until` is when to ask again: a time, infinite if only an operator can change it."""

    until: float
    state: State


class BreakerCounts(Struct, frozen=True):
    """What the windows held at one instant."""

    consecutive: int
    success: int
    failure: int
    slow: int
    quick: int
    stream_ok: int
    stream_broken: int


class Transition(Struct, frozen=True):
    """One change of state: when, from where, where to, why, the new epoch, and the counts that led to it.

    `until` is when an opened breaker will take probes again.
    """

    at: float
    source: State
    target: State
    cause: Cause
    epoch: int
    until: float
    counts: BreakerCounts


class BreakerStatistics(Struct, frozen=True):
    """A breaker at one instant. `verdicts` and `stragglers` count since it was made."""

    state: State
    epoch: int
    until: float
    openings: int
    weight: float
    probes_out: int
    probes_lapsed: int
    stragglers: int
    verdicts: dict[str, int]
    counts: BreakerCounts


class BreakerSettings(Struct, frozen=True):
    """All figures of a breaker. Times are seconds, shares 0 to 1."""

    consecutive: int = 5
    """Failures in a row that trip it."""
    window: float = 30.0
    slices: int = 10
    samples: int = 10
    """Fewest answers in the window from which a share is concluded."""
    failure_share: float = 0.5
    stream_share: float = 0.2
    slow_share: float = 0.8
    slow_floor: float = 10.0
    """No first content sooner than this is slow."""
    slow_factor: float = 4.0
    """Slow is this many times the usual time to first content."""
    slow_hold: float = 60.0
    """So long after the last slow answer it is no longer slow."""
    quick_streak: int = 3
    """So many quick answers in a row and it is no longer slow."""
    open_base: float = 5.0
    open_cap: float = 300.0
    open_jitter: float = 0.2
    forget: float = 600.0
    """After so long closed, the next opening is a first one again."""
    probes_most: int = 4
    closes_after: int = 3
    """Successful probes that close it."""
    probe_timeout: float = 60.0
    probe_retry: float = 1.0
    """About how soon a caller refused for want of a probe's turn should ask again."""
    slow_start: float = 30.0
    least_weight: float = 0.1
    history: int = 64
    """Transitions kept for inspection."""

    def __post_init__(self) -> None:
        counts = (
            self.consecutive,
            self.samples,
            self.quick_streak,
            self.probes_most,
            self.closes_after,
            self.history,
        )
        if min(counts) < 1:
            raise ValueError("a breaker's counts must be at least 1")
        if not (0 < self.open_base <= self.open_cap and 0 <= self.open_jitter < 1):
            raise ValueError("a breaker needs 0 < open_base <= open_cap and 0 <= open_jitter < 1")
        if min(self.probe_timeout, self.probe_retry, self.slow_start) <= 0:
            raise ValueError("a breaker's probe_timeout, probe_retry and slow_start must be positive")

    def slow_after(self, usual: float) -> float:
        """Seconds to first content from which an answer is slow, given the usual (median) time."""
        return max(self.slow_floor, self.slow_factor * usual)
