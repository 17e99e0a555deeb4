"""Every control message, grouped by addressee. All are plain frozen data, so they can be logged and replayed.

The journey of a request: the caller asks the router (`Route`); the router forwards it to a vendor
(`Reserve`); the vendor answers the caller with a `Lease`, or forwards it back (`Declined`), and the router
tries the next one; when no vendor can take it the router answers `NoLease`. The caller makes the
exchange, tells the vendor when content began (`FirstContent`) and how it ended (`Settle`), and tells the
statistics (`Outcome`), which send `Rankings` to the router.

Times are seconds on the monotonic clock of the event loop; money is in dollars, exact.
"""

from __future__ import annotations

import enum
from decimal import Decimal

from msgspec import Struct

from .faults import FaultClass
from .mailbox import Ask, Tell

__all__ = [
    "Cause",
    "Declined",
    "DeploymentStanding",
    "FirstContent",
    "Lease",
    "NoLease",
    "Outcome",
    "Ranking",
    "Rankings",
    "Refused",
    "Reserve",
    "Route",
    "Settle",
    "Snapshot",
    "Spent",
    "VendorReport",
    "VendorSnapshot",
]


# --- to the router ------------------------------------------------------------------------------


class Route(Ask["Lease | NoLease"], frozen=True, kw_only=True):
    """Find a deployment for this attempt.

    `input_tokens` is an estimate, `output_tokens` the most that may come back. `tried` names the
    deployments that failed in this request already; `again` is the one that may nevertheless be asked
    again, not before `again_at`.
    """

    model: str
    mode: str | None = None
    user: str | None = None
    kinds: frozenset[str] = frozenset()
    """Of `tools`, `vision`, `json`, `long_context`; empty for plain chat."""
    needs: frozenset[str] = frozenset()
    """Capabilities without which a deployment cannot serve it."""
    input_tokens: int = 0
    output_tokens: int = 0
    deadline: float
    tried: tuple[str, ...] = ()
    again: str | None = None
    again_at: float = 0.0
    larger_than: int = 0
    """Only deployments whose context window is larger (after a refusal for length)."""


class Cause(enum.Enum):
    """Why a deployment was not leased."""

    OPEN = "circuit open"
    LIMITED = "rate limit"
    FULL = "concurrency limit"
    COOLING = "cooling down after the vendor's own limit"
    QUARANTINED = "quarantined"
    UNAVAILABLE = "model not available there"
    TOO_LARGE = "request larger than the limit's burst"
    UNSUITED = "lacks a capability, or its context window is too small"
    GONE = "vendor out of service"


class Refused(Struct, frozen=True):
    """One deployment's refusal, and from when it might be otherwise (infinity: not within reach)."""

    deployment: str
    cause: Cause
    until: float


class Declined(Ask["Lease | NoLease"], frozen=True):
    """A vendor passes a request back: try the next candidate."""

    route: Route
    plan: tuple[str, ...]
    position: int
    refused: tuple[Refused, ...]
    desperate: bool = False
    """The second round: whatever may be had soonest, open circuits included."""


class Ranking(Struct, frozen=True):
    """What statistics know of one deployment: seconds to the first content, whole seconds per output token,
    the share of failures lately, and attempts under way."""

    first_token: float | None = None
    per_token: float | None = None
    failures: float = 0.0


class Rankings(Tell, frozen=True):
    """The statistics' view of the deployments, by name; sent to the router whenever it has changed."""

    deployments: dict[str, Ranking]


class NoLease(Struct, frozen=True):
    """Nobody can take the request now. `retry_at`: when somebody might (infinity: nobody will).

    `known` is False when the model, mode or route is not known at all.
    """

    refused: tuple[Refused, ...]
    retry_at: float
    known: bool = True


# --- to a vendor --------------------------------------------------------------------------------


class Reserve(Ask["Lease | NoLease"], frozen=True):
    """Lease a deployment for this request, or pass it back. `patience`: the longest wait worth having, in seconds."""

    route: Route
    plan: tuple[str, ...]
    position: int
    refused: tuple[Refused, ...]
    patience: float
    desperate: bool = False


class Lease(Struct, frozen=True):
    """Permission for one attempt at one deployment, from `start_at` on. To be settled exactly once."""

    vendor: str
    deployment: str
    permit: int
    start_at: float
    probe: bool = False
    desperate: bool = False


class FirstContent(Tell, frozen=True):
    """The first content arrived: the deployment is alive. `latency` counts from the sending."""

    permit: int
    deployment: str
    latency: float


class Settle(Tell, frozen=True, kw_only=True):
    """An attempt has ended, in whatever way: the permit comes back.

    `fault` is None for success. `committed`: whether content had begun (and so `FirstContent` was sent).
    `retry_at`: until when the vendor asked to be left alone. Token counts are None where nothing is known,
    which leaves the reservation as it was.
    """

    permit: int
    deployment: str
    fault: FaultClass | None = None
    committed: bool = False
    sent: bool = True
    retry_at: float | None = None
    tokens: int | None = None


class VendorReport(Ask["VendorSnapshot"], frozen=True):
    """How do you stand?"""


class DeploymentStanding(Struct, frozen=True):
    """One deployment as it stands. `closed_for`: seconds until it may be asked again (0: now)."""

    circuit: str
    in_flight: int
    closed_for: float
    weight: float


class VendorSnapshot(Struct, frozen=True):
    """One vendor's deployments as they stand: state of the circuit, requests in flight, closed until when."""

    vendor: str
    deployments: dict[str, DeploymentStanding]


# --- to the statistics --------------------------------------------------------------------------


class Spent(Struct, frozen=True, gc=False):
    """Tokens and dollars of one attempt. `cost` is None where the price is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None
    estimated: bool = False
    """The vendor reported no usage: these are the house's own count."""


class Outcome(Tell, frozen=True, kw_only=True):
    """One attempt as it ended; `last` when it was also the end of its request.

    `request_seconds` counts from the caller's asking. A request that never got a lease has no deployment.
    """

    vendor: str | None
    deployment: str | None
    model: str
    asked: str
    """The model, mode or route as the caller named it."""
    mode: str | None = None
    fault: FaultClass | None = None
    by: str | None = None
    """What told the fault's class: `transport`, `status`, `code` or `message`; None where there was none."""
    first_token: float | None = None
    seconds: float = 0.0
    request_seconds: float = 0.0
    spent: Spent = Spent()
    streamed: bool = False
    attempt: int = 1
    """Which attempt of its request it was, from 1; 0 when there was none."""
    last: bool = True


class Snapshot(Ask[object], frozen=True):
    """What do the statistics say? Answered with `actors.stats.Statistics`."""
