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
import math
from bisect import bisect_left
from collections.abc import Hashable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from .faults import FaultClass
from .mailbox import Ask, Tell

__all__ = [
    "SIZE_CLASSES",
    "Cause",
    "Closing",
    "Contact",
    "Declined",
    "DeploymentStanding",
    "FirstContent",
    "Headroom",
    "Lease",
    "Load",
    "Loads",
    "Network",
    "NoLease",
    "Order",
    "Orders",
    "Outcome",
    "QuotaNews",
    "Ranking",
    "Rankings",
    "Refused",
    "Remaining",
    "Reserve",
    "Room",
    "Route",
    "Settle",
    "Snapshot",
    "Spent",
    "Used",
    "VendorReport",
    "VendorSnapshot",
    "size_class",
]

SIZE_CLASSES: Final = (1_000, 8_000, 32_000)
"""Input tokens up to which a request is of the first, second, ... class: what a vendor's time to the first content
depends on most. Longer ones are of the last."""


def size_class(input_tokens: int) -> int:
    """The class, from 0, of a request with so many input tokens."""
    return bisect_left(SIZE_CLASSES, input_tokens)


# --- to the router ------------------------------------------------------------------------------


class Route(Ask["Lease | NoLease"], frozen=True, kw_only=True):
    """Find a deployment for this attempt.

    `input_tokens` is an estimate, `output_tokens` the most that may come back. `tried` names the
    deployments that failed in this request already; `again` is the one that may nevertheless be asked
    again, not before `again_at`. A `hedge` goes to a vendor other than `hedge` names, at once or not at all.
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
    window: int | None = None
    """Tokens that have to fit into the context window, where those are not all of the input."""
    of_model: str | None = None
    """Only deployments of this model, whatever else the name stands for."""
    larger_than: int = 0
    """Only deployments whose context window is larger (after a refusal for length)."""
    tenant: str = ""
    """For whose sake: requests that wait are served fairly between tenants."""
    criticality: str = "critical"
    prefix: int | None = None
    """A digest of what a vendor's prompt cache would recognise; requests that share it prefer one deployment."""
    size: int = 0
    """Bytes that the request keeps in memory while it waits."""
    hedge: str | None = None
    """The vendor whose slow attempt this one is a hedge for."""
    begun: float = 0.0
    """When the caller asked."""
    streamed: bool = False
    hedged: bool = False
    """Whether a slow attempt may be raced by a second one."""
    strict: bool = False
    """Reserve the most that may come back, not what is expected."""
    fixed: bool = False
    """It goes to what it names: no rule sends it elsewhere."""

    def fingerprint(self) -> Hashable:
        """See `letters.Ask`."""
        return (
            self.model,
            self.mode,
            self.tenant,
            self.kinds,
            self.needs,
            self.input_tokens,
            self.output_tokens,
        )


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
    LATE = "would not answer before the deadline"
    NETWORK = "local network down"
    CROWDED = "too many requests waiting"
    THROTTLED = "held back while it fails"


class Refused(Struct, frozen=True):
    """One deployment's refusal, and from when it might be otherwise (infinity: not within reach).

    `pace`: seconds of the limit that this request would use up, so that a queue knows how fast it drains.
    """

    deployment: str
    cause: Cause
    until: float
    pace: float = 0.0


class Declined(Ask["Lease | NoLease"], frozen=True):
    """A vendor passes a request back: try the next candidate."""

    route: Route
    plan: tuple[str, ...]
    position: int
    refused: tuple[Refused, ...]
    desperate: bool = False
    """The second round, in panic: an open circuit is asked all the same."""
    queued: int = 0
    """The ticket under which it waited, 0 if it did not."""

    def fingerprint(self) -> Hashable:
        """See `letters.Ask`."""
        return "Declined", self.position, self.route.fingerprint()


class Ranking(Struct, frozen=True):
    """What statistics know of one deployment.

    `first_token`: the recent peak of the time to the first content, in seconds. `per_token`: seconds per output token
    after it. `failures`: the share of failures lately. `usual`: the median time to the first content, per size class.
    `samples`: successes seen lately.
    """

    first_token: float | None = None
    per_token: float | None = None
    failures: float = 0.0
    usual: tuple[float | None, ...] = ()
    samples: int = 0


class Rankings(Tell, frozen=True):
    """The statistics' view of the deployments, by name; sent to the router whenever it has changed.

    `hedge_after`: by model, per size class, the time to the first content that one in twenty attempts exceeds;
    None where too little has been seen, or too long a time, to say. `plain_hedge_after`: the same for answers that
    are not streamed, which show nothing before their end.
    """

    deployments: dict[str, Ranking]
    hedge_after: Mapping[str, tuple[float | None, ...]] = MappingProxyType({})
    plain_hedge_after: Mapping[str, tuple[float | None, ...]] = MappingProxyType({})


class Load(Struct, frozen=True, gc=False):
    """One deployment as its vendor sees it: attempts in flight, how many it may have, the share of its usual traffic
    that its circuit would take (0: none), and from when it takes requests at all."""

    in_flight: int = 0
    limit: float = math.inf
    weight: float = 1.0
    closed_until: float = -math.inf


class Loads(Tell, frozen=True):
    """A vendor tells the router how its deployments stand: at most a few times a second, while something changes."""

    vendor: str
    deployments: dict[str, Load]


class Room(Tell, frozen=True):
    """Requests that wait may be worth another look: a slot came back to a vendor that had refused for want of one, or
    one that had waited has got its lease."""

    vendor: str


class Contact(Tell, frozen=True):
    """Whether a vendor's address could be reached, be it to be refused there: told on every failure to, and on the success
    after one."""

    vendor: str
    reached: bool


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
    queued: int = 0
    hedge_after: float | None = None

    @property
    def deployment(self) -> str:
        """The one that is asked."""
        return self.plan[self.position]

    @property
    def alternatives(self) -> int:
        """How many more could be asked."""
        return len(self.plan) - self.position - 1

    def declined(self, cause: Cause, until: float = math.inf) -> Declined:
        """What goes back to the router when nobody is there to answer."""
        refused = (*self.refused, Refused(self.deployment, cause, until))
        return Declined(self.route, self.plan, self.position + 1, refused, self.desperate, self.queued)

    def fingerprint(self) -> Hashable:
        """See `letters.Ask`."""
        return "Reserve", self.deployment, self.route.fingerprint()


class Lease(Struct, frozen=True):
    """Permission for one attempt at one deployment, from `start_at` on. To be settled exactly once."""

    vendor: str
    deployment: str
    permit: int
    start_at: float
    probe: bool = False
    desperate: bool = False
    """Leased in panic: nobody better was left."""
    hedge_after: float | None = None
    """Seconds after the sending from which a hedge is worth its price; None: not at all."""


class Used(Struct, frozen=True, gc=False):
    """What an attempt used up of the vendor's limits: tokens by kind, and dollars where the price is known."""

    input_tokens: int = 0
    cached_tokens: int = 0
    """Of the input, read from the vendor's prompt cache: some limits do not count them."""
    output_tokens: int = 0
    dollars: float = 0.0


class Remaining(Struct, frozen=True, gc=False):
    """What a vendor's answer says of one limit: the limit itself, what is left of it, and seconds until it is full
    again. None where it does not say; what makes no sense (negative limits) has been left out already."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


class Headroom(Struct, frozen=True):
    """What the headers of one answer say of the limits of the account's use of that model, by dimension: `requests`, `requests_per_day`,
    `tokens`, `input_tokens`, `output_tokens`."""

    dimensions: dict[str, Remaining]


class FirstContent(Tell, frozen=True):
    """The first content arrived: the deployment is alive. `latency` counts from the sending."""

    permit: int
    deployment: str
    latency: float


class Settle(Tell, frozen=True, kw_only=True):
    """An attempt has ended, in whatever way: the permit comes back.

    `fault` is None for success. `committed`: whether content had begun (and so `FirstContent` was sent).
    `sent`: False when provably nothing was sent. `retry_at`: until when the vendor asked to be left alone;
    `day_ends_at`: when a daily limit begins anew. `used` is None where nothing is known, which leaves the
    reservation as it was; `exact`: the vendor reported it. `seconds`: how long the attempt took.
    """

    permit: int
    deployment: str
    fault: FaultClass | None = None
    status: int | None = None
    answered: bool = False
    """Of an address that could not be connected to: whether somebody there answered, if only with a refusal."""
    committed: bool = False
    sent: bool = True
    retry_at: float | None = None
    day_ends_at: float | None = None
    used: Used | None = None
    exact: bool = True
    headroom: Headroom | None = None
    seconds: float = 0.0


Orders: TypeAlias = Literal["isolate", "force_closed", "automatic", "lift"]
"""`isolate`: no traffic; `force_closed`: traffic whatever happens; `automatic`: as the circuit decides;
`lift`: end cooldowns and quarantines."""


class Order(Ask["VendorSnapshot | None"], frozen=True):
    """An operator's word about one deployment, or about all of the vendor's. Answered with how the vendor stands then;
    None if there is no such deployment."""

    order: Orders
    deployment: str | None = None


class QuotaNews(Tell, frozen=True):
    """What this process holds of limits that it shares with others has changed: what was lacking may be there."""


class Closing(Tell, frozen=True):
    """Another process that serves with this one has closed an account or a deployment (`scope`, see `VendorState.scopes`), for so many
    seconds yet. `day`: until the day ends, as its vendor counts."""

    scope: str
    seconds: float
    cause: Cause
    day: bool = False


class Network(Tell, frozen=True):
    """The router's verdict on this machine's own network: while it is down, no failure counts against a vendor."""

    down: bool


class VendorReport(Ask["VendorSnapshot"], frozen=True):
    """How do you stand?"""


class DeploymentStanding(Struct, frozen=True):
    """One deployment as it stands. `closed_for`: seconds until it may be asked again (0: now)."""

    circuit: str
    in_flight: int
    closed_for: float
    weight: float
    closed_because: str | None = None
    last_transition: str | None = None
    """Of its circuit: from which state to which, and why."""


class VendorSnapshot(Struct, frozen=True):
    """One vendor's deployments as they stand: state of the circuit, requests in flight, closed until when."""

    vendor: str
    deployments: dict[str, DeploymentStanding]
    endpoint: str = "closed"
    """The circuit of the vendor's address."""


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
    ceiling: Decimal | None = None
    """The most that the vendor may have billed: `cost` where that is exact, else the reservation; None as for `cost`."""


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
    superseded: bool = False
    """The loser of a hedged race: its time is a lower bound, and it is no failure."""


class Snapshot(Ask[object], frozen=True):
    """What do the statistics say? Answered with `actors.stats.Statistics`."""
