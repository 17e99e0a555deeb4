"""Every way in which an attempt can fail, and what follows from it: one table.

A dialect *recognises* a fault (it knows how its vendor says "slow down"); this table says what the
house *does* about it. Nothing else in the program decides by status code or by message text.

The columns of `CONSEQUENCES`:

- ``same``: may the same deployment be asked again within this request?
- ``other``: would another deployment help?
- ``breaker``: what the answer says about the deployment's health. A vendor that refuses a bad
  request is alive; a vendor that answers 500 is failing; a refused caller proves nothing.
- ``reach``: the widest thing that the fault closes or cools: one deployment, the account (key)
  behind it, the endpoint (address) it lives at, or nothing.
- ``money``: what the vendor may have billed. `UNKNOWN` keeps the whole reservation as an upper bound.
- ``fault``: whose fault it was, for the caller to read.
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct

__all__ = ["CONSEQUENCES", "Again", "Blame", "Consequence", "FaultClass", "Health", "Money", "Reach"]


class FaultClass(enum.Enum):
    """The classes of failure, from the caller's mistakes to the house's own refusals."""

    BAD_REQUEST = "bad_request"
    CONTEXT_LENGTH = "context_length"
    TOO_LARGE = "too_large"
    AUTH = "auth"
    NO_MODEL = "no_model"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
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


class Consequence(Struct, frozen=True):
    """One row of the table: what follows from a class of fault."""

    same: Again
    other: bool
    breaker: Health
    reach: Reach
    money: Money
    fault: Blame


_F, _A, _N = Health.FAILURE, Health.ALIVE, Health.NEUTRAL
_NEVER, _ONCE = Again.NEVER, Again.ONCE
_DEP, _ACC, _END, _NIL = Reach.DEPLOYMENT, Reach.ACCOUNT, Reach.ENDPOINT, Reach.NOTHING
_CALLER, _VENDOR, _HOUSE = Blame.CALLER, Blame.VENDOR, Blame.HOUSE

CONSEQUENCES: Final[dict[FaultClass, Consequence]] = {
    FaultClass.BAD_REQUEST: Consequence(_NEVER, False, _A, _NIL, Money.NONE, _CALLER),
    FaultClass.CONTEXT_LENGTH: Consequence(_NEVER, True, _A, _NIL, Money.NONE, _CALLER),
    FaultClass.TOO_LARGE: Consequence(_NEVER, True, _N, _NIL, Money.NONE, _CALLER),
    FaultClass.AUTH: Consequence(_NEVER, True, _N, _ACC, Money.NONE, _HOUSE),
    FaultClass.NO_MODEL: Consequence(_NEVER, True, _N, _DEP, Money.NONE, _HOUSE),
    FaultClass.QUOTA_EXHAUSTED: Consequence(_NEVER, True, _N, _ACC, Money.NONE, _HOUSE),
    FaultClass.RATE_LIMITED: Consequence(Again.AFTER_HINT, True, _N, _DEP, Money.NONE, _VENDOR),
    FaultClass.DAILY_LIMIT: Consequence(_NEVER, True, _N, _DEP, Money.NONE, _VENDOR),
    FaultClass.RAMP_LIMITED: Consequence(Again.AFTER_HINT, True, _N, _DEP, Money.NONE, _VENDOR),
    FaultClass.OVERLOADED: Consequence(_ONCE, True, _F, _DEP, Money.NONE, _VENDOR),
    FaultClass.SERVER_ERROR: Consequence(_ONCE, True, _F, _DEP, Money.UNKNOWN, _VENDOR),
    FaultClass.TIMEOUT_409: Consequence(_ONCE, True, _F, _DEP, Money.UNKNOWN, _VENDOR),
    FaultClass.REFUSED: Consequence(_NEVER, False, _A, _NIL, Money.BILLED, _CALLER),
    FaultClass.CONNECT: Consequence(_ONCE, True, _F, _END, Money.NONE, _VENDOR),
    FaultClass.TLS: Consequence(_NEVER, True, _F, _END, Money.NONE, _VENDOR),
    FaultClass.STALE_CONNECTION: Consequence(Again.ONCE_FREE, True, _N, _NIL, Money.NONE, _VENDOR),
    FaultClass.NOT_PROCESSED: Consequence(Again.ONCE_FREE, True, _N, _NIL, Money.NONE, _VENDOR),
    FaultClass.TTFT_TIMEOUT: Consequence(_NEVER, True, _F, _DEP, Money.UNKNOWN, _VENDOR),
    FaultClass.STALLED: Consequence(_NEVER, True, _F, _DEP, Money.PARTIAL, _VENDOR),
    FaultClass.TRUNCATED: Consequence(_NEVER, True, _F, _DEP, Money.PARTIAL, _VENDOR),
    FaultClass.IN_STREAM_ERROR: Consequence(_NEVER, True, _F, _DEP, Money.PARTIAL, _VENDOR),
    FaultClass.MALFORMED: Consequence(_NEVER, True, _F, _DEP, Money.UNKNOWN, _VENDOR),
    FaultClass.OVERSIZED: Consequence(_NEVER, True, _F, _DEP, Money.UNKNOWN, _VENDOR),
    FaultClass.SLOW_DRIP: Consequence(_NEVER, True, _F, _DEP, Money.PARTIAL, _VENDOR),
    FaultClass.EMPTY_OK: Consequence(_ONCE, True, _F, _DEP, Money.BILLED, _VENDOR),
    FaultClass.CLIENT_GONE: Consequence(_NEVER, False, _N, _NIL, Money.PARTIAL, _CALLER),
    FaultClass.LOCAL: Consequence(_NEVER, False, _N, _NIL, Money.NONE, _HOUSE),
}
