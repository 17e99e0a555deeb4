"""`POST /v1/chat/completions`, plain and streamed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec
import trio

from ..canon import Midstream, Request
from ..clock import wall_now
from ..config.units import Seconds, decode
from ..dialects.formats.chat_completions import reply as replies
from ..dialects.formats.chat_completions.request import ClientRequest, InvalidBody, read
from ..dialects.formats.chat_completions.stream import Writer
from ..dispatcher import Dispatcher
from ..errors import DispatchError
from ..stream import EventStream
from .failures import envelope
from .http import Exchange, Headers, encode

__all__ = ["chat_completions"]

_EVENT_STREAM: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]
_PANIC: Final = (b"x-dispatch-panic", b"true")
"""Nobody in good health was left: served by a deployment whose circuit was open."""
_LAST_WORDS: Final = 0.2
"""Seconds after a request's deadline that its error may take to be written."""


async def chat_completions(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one chat request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    body = await exchange.body(int(dispatcher.config.server.max_body))
    wanted = _with_headers(read(body), exchange)
    if wanted.stream:
        await _stream(dispatcher, exchange, wanted)
    else:
        await _whole(dispatcher, exchange, wanted.request)


def _with_headers(wanted: ClientRequest, exchange: Exchange) -> ClientRequest:
    """What the body has no field for is said in headers: see `_HEADERS`."""
    changes: dict[str, Any] = {}
    for header, name, reader in _HEADERS:
        value = exchange.header(header)
        if value is not None:
            changes[name] = reader(value)
    if not changes:
        return wanted
    return msgspec.structs.replace(wanted, request=msgspec.structs.replace(wanted.request, **changes))


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
"""Headers that say what the body has no field for, the field of `Request` that each sets, and how it is read."""


async def _whole(dispatcher: Dispatcher, exchange: Exchange, request: Request) -> None:
    reply = await dispatcher.send(request, request_id=exchange.request_id)
    body = replies.write(
        reply.completion, id=f"chatcmpl-{exchange.request_id}", model=reply.model, created=int(wall_now())
    )
    headers = _headers(reply.vendor, reply.deployment, reply.model, len(reply.attempts), reply.dropped)
    if reply.panic:
        headers.append(_PANIC)
    headers.append((b"x-dispatch-cost", _dollars(reply.cost)))
    await exchange.answer(200, encode(body), headers)


async def _stream(dispatcher: Dispatcher, exchange: Exchange, wanted: ClientRequest) -> None:
    """Stream the answer. After the first content an error can only be an event, and the stream has no proper end."""
    async with dispatcher.stream(wanted.request, request_id=exchange.request_id) as events:
        deployment = events.deployment
        writer = Writer(
            id=f"chatcmpl-{exchange.request_id}",
            model=deployment.model.name,
            created=int(wall_now()),
            include_usage=wanted.include_usage,
        )
        headers = _headers(
            deployment.vendor, deployment.name, deployment.model.name, events.attempts, events.dropped
        )
        if events.panic:
            headers.append(_PANIC)
        # A client who does not take what is written would keep the request beyond its deadline.
        with trio.CancelScope(deadline=events.deadline + _LAST_WORDS):
            await exchange.start(200, [*_EVENT_STREAM, *headers])
            await _write(events, writer, exchange)


async def _write(events: EventStream, writer: Writer, exchange: Exchange) -> None:
    try:
        async for event in events:
            piece = writer.write(event)
            if piece:
                await exchange.write(piece)
    except DispatchError as error:
        # The body is left without its end, so that the connection closes: nobody can take this for a whole answer.
        await exchange.write(writer.error(envelope(error)))
        return
    reply = events.reply
    cost = b": x-dispatch-cost " + _dollars(None if reply is None else reply.cost) + b"\n\n"
    await exchange.end(cost + writer.close())


def _headers(vendor: str, deployment: str, model: str, attempts: int, dropped: tuple[str, ...]) -> Headers:
    """Who answered, and how it came about."""
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
