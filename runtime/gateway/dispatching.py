"""The `x-dispatch-...` headers: what a request's say, and what an answer's tell. Alike in every interface."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..canon import Request
from ..config.units import Seconds, decode
from ..dialects.base import InvalidBody
from ..dispatch import EventStream
from ..reply import Reply
from .http import Exchange, Headers

__all__ = ["STREAM_HEADERS", "cost_comment", "headers_of_reply", "headers_of_stream", "with_headers"]

STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]


def with_headers(request: Request, exchange: Exchange) -> Request:
    """`x-dispatch-mode` and `x-dispatch-timeout` (such as `30s`) say what the body has no field for.

    Raises `InvalidBody` for a timeout that is none.
    """
    mode = exchange.header(b"x-dispatch-mode")
    timeout = exchange.header(b"x-dispatch-timeout")
    if mode is not None:
        request = msgspec.structs.replace(request, mode=mode)
    if timeout is not None:
        try:
            seconds = decode(Seconds, float(timeout) if timeout.isdigit() else timeout)
        except ValueError as error:
            raise InvalidBody(f"x-dispatch-timeout: {error}", "x-dispatch-timeout") from None
        request = msgspec.structs.replace(request, timeout=float(seconds))
    return request


def headers_of_reply(reply: Reply) -> Headers:
    """Who answered, how it came about, and what it cost."""
    return [
        *_headers(reply.vendor, reply.deployment, reply.model, len(reply.attempts), reply.dropped),
        (b"x-dispatch-cost", _dollars(reply.cost)),
    ]


def headers_of_stream(events: EventStream) -> Headers:
    """Who answers, and how it came about."""
    deployment = events.deployment
    return _headers(
        deployment.vendor, deployment.name, deployment.model.name, events.attempts, events.dropped
    )


def cost_comment(reply: Reply | None) -> bytes:
    """What a stream cost, as a comment within it: when its headers were sent nobody knew."""
    return b": x-dispatch-cost " + _dollars(None if reply is None else reply.cost) + b"\n\n"


def _headers(vendor: str, deployment: str, model: str, attempts: int, dropped: tuple[str, ...]) -> Headers:
    headers: Headers = [
        (b"x-dispatch-vendor", vendor.encode("latin-1", "replace")),
        (b"x-dispatch-deployment", deployment.encode("latin-1", "replace")),
        (b"x-dispatch-model", model.encode("latin-1", "replace")),
        (b"x-dispatch-attempts", str(attempts).encode()),
    ]
    if dropped:
        headers.append((b"x-dispatch-dropped", ", ".join(dropped).encode("latin-1", "replace")))
    return headers


def _dollars(cost: Decimal | None) -> bytes:
    return b"unknown" if cost is None else f"{cost.normalize():f}".encode()
