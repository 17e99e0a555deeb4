"""Every way in which an attempt can fail, and what follows from it: one table.

A dialect *recognises* a fault (it knows how its vendor says "slow down"); this table says what the
house *does* about it. Nothing else in the program decides by status code or by message text.

The columns of `CONSEQUENCES`:

- ``same``: may the same deployment be asked again within this request? ``pause``: not before so many seconds.
- ``other``: would another deployment help?
- ``breaker``: what the answer says about the deployment's health. A vendor that refuses a bad
  request is alive; a vendor that answers 500 is failing; a refused caller proves nothing.
  ``slow``: it also counts as a slow call.
- ``reach``: the widest thing that the fault closes or cools: one deployment, the account (key)
  behind it, the endpoint (address) it lives at, or nothing.
- ``limit``: what it does to the rate, the concurrency and the opening hours of what it reaches.
- ``money``: what the vendor may have billed. `UNKNOWN` keeps the whole reservation as an upper bound.
- ``fault``: whose fault it was, for the caller to read.
- ``http``: the status that the gateway answers with when nothing helped.

Where the vendor's HTTP status tells two cases of one class apart, `VARIANTS` has the row for it: a 500 was
not billed, while behind a 502 or a 504 of a proxy the vendor may have finished the whole answer.
`consequence` finds the row that counts. `llm-dispatcher faults` prints the table.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec
from msgspec import Struct

__all__ = [
    "CONSEQUENCES",
    "VARIANTS",
    "Again",
    "Blame",
    "Consequence",
    "FaultClass",
    "Health",
    "Limit",
    "Money",
    "Reach",
    "Until",
    "consequence",
]


class FaultClass(enum.Enum):
    """The classes of failure, from the caller's mistakes to the house's own refusals."""

    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    TOO_LARGE = "too_large"
    AUTH = "auth"
    NO_MODEL = "no_model"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    DAILY_LIMIT = "daily_limit"
    RAMP_LIMITED = "ramp_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT_409 = "timeout_409"
    REFUSED = "refused"
    CONNECT = "connect"
    TLS = "tls"
    STALE_CONNECTION = "stale_connection"
    NOT_PROCESSED = "not_processed"
    TTFT_TIMEOUT = "ttft_timeout"
    STALLED = "stalled"
    TRUNCATED = "truncated"
    IN_STREAM_ERROR = "in_stream_error"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    SLOW_DRIP = "slow_drip"
    EMPTY_OK = "empty_ok"
    CLIENT_GONE = "client_gone"
    LOCAL = "local"


class Again(enum.Enum):
    """Whether the same deployment may be asked again for the same request."""

    NEVER = "never"
    ONCE = "once"
    ONCE_FREE = "once_free"
    """Once, outside the retry budget: the vendor provably did not start on the request."""
    AFTER_HINT = "after_hint"
    """Only when nothing better is at hand, and not before the vendor's own hint."""


class Health(enum.Enum):
    """What an outcome says about the health of the deployment that gave it."""

    FAILURE = "failure"
    ALIVE = "alive"
    NEUTRAL = "neutral"


class Reach(enum.Enum):
    """The narrowest thing that explains the fault, and so the widest that is closed for it."""

    NOTHING = "nothing"
    DEPLOYMENT = "deployment"
    ACCOUNT = "account"
    ENDPOINT = "endpoint"


class Money(enum.Enum):
    """What the vendor may bill for a failed attempt."""

    NONE = "none"
    PARTIAL = "partial"
    BILLED = "billed"
    UNKNOWN = "unknown"


class Blame(enum.Enum):
    """Whose fault it was."""

    CALLER = "caller"
    VENDOR = "vendor"
    HOUSE = "house"


class Until(enum.Enum):
    """What says how long something stays closed after a fault."""

    OPEN = "open"
    """It is not closed at all."""
    HINT = "hint"
    """As long as the vendor asks; `Limit.rest` seconds if it does not say, and refuses more often than by chance
    (`machines.suspicion`)."""
    REST = "rest"
    """`Limit.rest` seconds, doubled each further time up to `Limit.longest`."""
    DAY = "day"
    """To the end of the vendor's day. A single request may look from `Limit.rest` seconds on, in case the name of
    the limit misleads; if it fails too, the rest is doubled up to `Limit.longest`."""


class Limit(Struct, frozen=True, kw_only=True):
    """What a fault does to the limits of what it reaches. The factors multiply what was learned so far."""

    rate: float = 1.0
    """Of the sending rate."""
    concurrency: float = 1.0
    """Of the requests under way at once: less than 1 is a loss to `machines.concurrency`, which decides what follows."""
    growth: float = 1.0
    """Of how fast the traffic may grow."""
    until: Until = Until.OPEN
    rest: float = 0.0
    longest: float = 0.0
    refunds: bool = False
    """The request does not count against the vendor's limits: it was not taken on."""


class Consequence(Struct, frozen=True):
    """One row of the table: what follows from a class of fault. `pause` is in seconds."""

    same: Again
    other: bool
    breaker: Health
    reach: Reach
    money: Money
    fault: Blame
    http: int
    limit: Limit = Limit()
    pause: float = 0.0
    slow: bool = False
    note: str = ""
    """What the columns cannot say."""


_F, _A, _N = Health.FAILURE, Health.ALIVE, Health.NEUTRAL
_NEVER, _ONCE, _FREE, _HINT = Again.NEVER, Again.ONCE, Again.ONCE_FREE, Again.AFTER_HINT
_DEP, _ACC, _END, _NIL = Reach.DEPLOYMENT, Reach.ACCOUNT, Reach.ENDPOINT, Reach.NOTHING
_ZERO, _PART, _FULL, _UNKNOWN = Money.NONE, Money.PARTIAL, Money.BILLED, Money.UNKNOWN
_CALLER, _VENDOR, _HOUSE = Blame.CALLER, Blame.VENDOR, Blame.HOUSE

_HOUR: Final = 3600.0
_NORMAL: Final = Limit()
_FEWER: Final = Limit(concurrency=0.9)
_SLOWER: Final = Limit(rate=0.7, until=Until.HINT, rest=5.0)
_FEWER_OPEN: Final = Limit(concurrency=0.9, until=Until.HINT)
_GENTLER: Final = Limit(growth=0.5, until=Until.HINT, rest=5.0)
_KEY: Final = Limit(until=Until.REST, rest=300.0, longest=_HOUR)
_MODEL: Final = Limit(until=Until.REST, rest=600.0, longest=600.0)
_BROKE: Final = Limit(until=Until.REST, rest=900.0, longest=6 * _HOUR)
_TOMORROW: Final = Limit(until=Until.DAY, rest=900.0, longest=6 * _HOUR)
_REFUND: Final = Limit(refunds=True)

# The order of the columns is that of the fields of `Consequence`.
CONSEQUENCES: Final[dict[FaultClass, Consequence]] = {
    FaultClass.BAD_REQUEST: Consequence(
        _NEVER, False, _A, _NIL, _ZERO, _CALLER, 400,
        note="another vendor is asked only if this one's interface cannot say what was asked",
    ),
    FaultClass.CONTEXT_LENGTH: Consequence(
        _NEVER, True, _A, _NIL, _ZERO, _CALLER, 400, note="only where the context window is larger"
    ),
    FaultClass.TOO_LARGE: Consequence(_NEVER, True, _N, _NIL, _ZERO, _CALLER, 413),
    FaultClass.AUTH: Consequence(_NEVER, True, _N, _ACC, _ZERO, _HOUSE, 502, _KEY, note="the operator must act"),
    FaultClass.NO_MODEL: Consequence(_NEVER, True, _N, _DEP, _ZERO, _HOUSE, 502, _MODEL),
    FaultClass.QUOTA_EXHAUSTED: Consequence(
        _NEVER, True, _N, _ACC, _ZERO, _HOUSE, 503, _BROKE, note="the operator must act"
    ),
    FaultClass.RATE_LIMITED: Consequence(_HINT, True, _N, _DEP, _ZERO, _VENDOR, 429, _SLOWER),
    FaultClass.CONCURRENCY_LIMITED: Consequence(
        _HINT, True, _N, _DEP, _ZERO, _VENDOR, 429, _FEWER_OPEN,
        note="there is room again as soon as a call ends, so without a hint nothing is closed",
    ),
    FaultClass.DAILY_LIMIT: Consequence(
        _NEVER, True, _N, _DEP, _ZERO, _VENDOR, 429, _TOMORROW,
        note="whatever shorter wait the vendor suggests",
    ),
    FaultClass.RAMP_LIMITED: Consequence(_HINT, True, _N, _DEP, _ZERO, _VENDOR, 429, _GENTLER),
    FaultClass.OVERLOADED: Consequence(_ONCE, True, _F, _DEP, _ZERO, _VENDOR, 503, _FEWER, pause=1.0),
    FaultClass.SERVER_ERROR: Consequence(
        _ONCE, True, _F, _DEP, _UNKNOWN, _VENDOR, 502,
        note="what was billed depends on the status, and is not known where there is none",
    ),
    FaultClass.TIMEOUT_409: Consequence(_ONCE, True, _F, _DEP, _UNKNOWN, _VENDOR, 504),
    FaultClass.REFUSED: Consequence(
        _NEVER, False, _A, _NIL, _FULL, _CALLER, 400,
        note="another vendor might answer: that is a policy, not a remedy",
    ),
    FaultClass.CONNECT: Consequence(
        _ONCE, True, _F, _END, _ZERO, _VENDOR, 502, note="of several vendors at once it is our own network"
    ),
    FaultClass.TLS: Consequence(_NEVER, True, _F, _END, _ZERO, _VENDOR, 502, note="the operator must act"),
    FaultClass.STALE_CONNECTION: Consequence(
        _FREE, True, _N, _NIL, _ZERO, _VENDOR, 502, note="on a fresh connection; that nothing is billed is assumed"
    ),
    FaultClass.NOT_PROCESSED: Consequence(_FREE, True, _N, _NIL, _ZERO, _VENDOR, 502, _REFUND),
    FaultClass.TTFT_TIMEOUT: Consequence(_NEVER, True, _F, _DEP, _UNKNOWN, _VENDOR, 504, _FEWER, slow=True),
    FaultClass.STALLED: Consequence(_NEVER, True, _F, _DEP, _PART, _VENDOR, 504, _FEWER),
    FaultClass.TRUNCATED: Consequence(
        _NEVER, True, _F, _DEP, _UNKNOWN, _VENDOR, 502, note="after content, what was seen is known to be billed"
    ),
    FaultClass.IN_STREAM_ERROR: Consequence(
        _NEVER, True, _F, _DEP, _PART, _VENDOR, 502,
        note="only if it says nothing more: else the class that it names, and after content this row's money",
    ),
    FaultClass.MALFORMED: Consequence(_NEVER, True, _F, _DEP, _UNKNOWN, _VENDOR, 502),
    FaultClass.OVERSIZED: Consequence(_NEVER, True, _F, _DEP, _UNKNOWN, _VENDOR, 502),
    FaultClass.SLOW_DRIP: Consequence(_NEVER, True, _F, _DEP, _PART, _VENDOR, 504, _FEWER, slow=True),
    FaultClass.EMPTY_OK: Consequence(_ONCE, True, _F, _DEP, _FULL, _VENDOR, 502),
    FaultClass.CLIENT_GONE: Consequence(_NEVER, False, _N, _NIL, _PART, _CALLER, 499),
    FaultClass.LOCAL: Consequence(_NEVER, False, _N, _NIL, _ZERO, _HOUSE, 503),
}  # fmt: skip


def _variant(kind: FaultClass, **changes: object) -> Consequence:
    return msgspec.structs.replace(CONSEQUENCES[kind], note="", **changes)


_UNBILLED: Final = _variant(FaultClass.SERVER_ERROR, money=_ZERO)
_LATE: Final = _variant(FaultClass.SERVER_ERROR, limit=_FEWER)

_BUSY: Final = _variant(
    FaultClass.OVERLOADED, breaker=_N, limit=Limit(concurrency=0.9, until=Until.HINT, rest=5.0)
)

VARIANTS: Final[dict[tuple[FaultClass, int], Consequence]] = {
    (FaultClass.SERVER_ERROR, 500): _UNBILLED,
    (FaultClass.SERVER_ERROR, 501): _UNBILLED,
    (FaultClass.SERVER_ERROR, 504): _LATE,
    # Cloudflare's: 520 to 523 say that the vendor behind it did not take the request on; 524, that it did not
    # answer in time, as 504 does.
    (FaultClass.SERVER_ERROR, 520): _UNBILLED,
    (FaultClass.SERVER_ERROR, 521): _UNBILLED,
    (FaultClass.SERVER_ERROR, 522): _UNBILLED,
    (FaultClass.SERVER_ERROR, 523): _UNBILLED,
    (FaultClass.SERVER_ERROR, 524): _LATE,
    # Some say with a 429 that they are overloaded; a 429 never opens a circuit.
    (FaultClass.OVERLOADED, 429): _BUSY,
    # A conflict is between requests; it says nothing of the vendor's health.
    (FaultClass.TIMEOUT_409, 409): _variant(FaultClass.TIMEOUT_409, breaker=_N, reach=_NIL),
}
"""The rows that the vendor's HTTP status changes."""


def consequence(kind: FaultClass, status: int | None = None, *, committed: bool = False) -> Consequence:
    """What follows from a fault of class `kind` that came with the vendor's HTTP `status`.

    `committed`: content had begun to arrive. Whatever broke the answer then, the tokens until there are billed,
    so the money is that of `FaultClass.IN_STREAM_ERROR`.
    """
    row = CONSEQUENCES[kind]
    if status is not None:
        row = VARIANTS.get((kind, status), row)
    money = CONSEQUENCES[FaultClass.IN_STREAM_ERROR].money
    if not committed or row.money in (money, Money.BILLED):
        return row
    return msgspec.structs.replace(row, money=money)
