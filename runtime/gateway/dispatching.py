"""The `x-dispatch-...` headers: what a request's say, and what an answer's tell. Alike in every interface."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar, get_args

import msgspec

from ..attempt import Attempt
from ..canon import Midstream, Request
from ..config.units import Seconds, decode
from ..dialects.base import InvalidBody
from ..passing.passage import Passage
from ..reply import Delivery, Reply
from ..stream import EventStream
from ..vectors import Embed
from .http import Exchange, Headers

__all__ = [
    "cost_comment",
    "cost_of_stream",
    "headers_of_attempt",
    "headers_of_reply",
    "headers_of_stream",
    "with_headers",
]

_PANIC: Final = (b"x-dispatch-panic", b"true")
"""Nobody in good health was left: served by a deployment whose circuit was open."""


W = TypeVar("W", Request, Embed, Passage)


def with_headers(request: W, exchange: Exchange) -> W:
    """What the body has no field for is said in headers: see `_HEADERS`. Raises `InvalidBody` for what none can read.

    What makes no sense of such a request (`x-dispatch-midstream` of embeddings) is passed over.
    """
    changes: dict[str, Any] = {}
    if exchange.criticality != request.criticality:
        changes["criticality"] = exchange.criticality
    for header, name, reader in _HEADERS:
        value = exchange.header(header)
        if value is not None and name in request.__struct_fields__:
            changes[name] = reader(value)
    return msgspec.structs.replace(request, **changes) if changes else request


def _timeout(value: str) -> float:
    try:
        return float(decode(Seconds, float(value) if value.isdigit() else value))
    except ValueError as error:
        raise InvalidBody(f"x-dispatch-timeout: {error}", "x-dispatch-timeout") from None


def _midstream(value: str) -> str:
    if value not in get_args(Midstream):
        words = ", ".join(get_args(Midstream))
        message = f"x-dispatch-midstream: {value!r} is not one of {words}"
        raise InvalidBody(message, "x-dispatch-midstream")
    return value


def _hedge(value: str) -> bool:
    if value not in ("true", "false"):
        message = f"x-dispatch-hedge: {value!r} is neither true nor false"
        raise InvalidBody(message, "x-dispatch-hedge")
    return value == "true"


_HEADERS: Final[tuple[tuple[bytes, str, Callable[[str], Any]], ...]] = (
    (b"x-dispatch-mode", "mode", str),
    (b"x-dispatch-timeout", "timeout", _timeout),
    (b"x-dispatch-midstream", "midstream", _midstream),
    (b"x-dispatch-hedge", "hedge", _hedge),
)
"""Headers that say what the body has no field for, the field of the request that each sets, and how it is read."""


def headers_of_reply(reply: Delivery) -> Headers:
    """Who answered, how it came about, and what it cost."""
    return [
        *_headers(
            reply.vendor, reply.deployment, reply.model, len(reply.attempts), reply.dropped, reply.panic
        ),
        (b"x-dispatch-cost", _dollars(reply.cost)),
    ]


def headers_of_attempt(attempt: Attempt, ended: int) -> Headers:
    """As `headers_of_stream`, by the attempt that answers; `ended`: those that have come to their end."""
    deployment = attempt.deployment
    made = ended + (not attempt.settled)
    return _headers(
        deployment.vendor, deployment.name, deployment.model.name, made, (), attempt.lease.desperate
    )


def headers_of_stream(events: EventStream) -> Headers:
    """Who answers, and how it came about."""
    deployment = events.deployment
    return _headers(
        deployment.vendor,
        deployment.name,
        deployment.model.name,
        events.attempts,
        events.dropped,
        events.panic,
    )


def cost_of_stream(reply: Reply | None) -> str:
    """What a stream cost, in dollars, or `unknown`."""
    return _dollars(None if reply is None else reply.cost).decode()


def cost_comment(reply: Reply | None) -> bytes:
    """What a stream cost, as a comment within it: when its headers were sent nobody knew."""
    return f": x-dispatch-cost {cost_of_stream(reply)}\n\n".encode()


def _headers(
    vendor: str, deployment: str, model: str, attempts: int, dropped: tuple[str, ...], panic: bool
) -> Headers:
    headers: Headers = [
        (b"x-dispatch-vendor", vendor.encode("latin-1", "replace")),
        (b"x-dispatch-deployment", deployment.encode("latin-1", "replace")),
        (b"x-dispatch-model", model.encode("latin-1", "replace")),
        (b"x-dispatch-attempts", str(attempts).encode()),
    ]
    if dropped:
        headers.append((b"x-dispatch-dropped", ", ".join(dropped).encode("latin-1", "replace")))
    if panic:
        headers.append(_PANIC)
    return headers


def _dollars(cost: Decimal | None) -> bytes:
    return b"unknown" if cost is None else f"{cost.normalize():f}".encode()
