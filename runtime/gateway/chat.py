"""`POST /v1/chat/completions`, plain and streamed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..canon import Request
from ..clock import wall_now
from ..config.units import Seconds, decode
from ..dialects.formats.chat_completions import reply as replies
from ..dialects.formats.chat_completions.request import ClientRequest, InvalidBody, read
from ..dialects.formats.chat_completions.stream import Writer
from ..dispatcher import Dispatcher
from ..errors import DispatchError
from .failures import envelope, stopping
from .http import Exchange, Headers, encode

__all__ = ["chat_completions"]


async def chat_completions(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one chat request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    body = await exchange.body(int(dispatcher.config.server.max_body))
    wanted = _with_headers(read(body), exchange)
    if wanted.stream:
        await _stream(dispatcher, exchange, wanted)
    else:
        await _whole(dispatcher, exchange, wanted.request)


def _with_headers(wanted: ClientRequest, exchange: Exchange) -> ClientRequest:
    """What the body has no field for: `x-dispatch-mode`, `x-dispatch-timeout` (such as `30s`), the criticality."""
    mode = exchange.header(b"x-dispatch-mode")
    timeout = exchange.header(b"x-dispatch-timeout")
    request = wanted.request
    if mode is None and timeout is None and exchange.criticality == request.criticality:
        return wanted
    request = msgspec.structs.replace(request, criticality=exchange.criticality)
    if mode is not None:
        request = msgspec.structs.replace(request, mode=mode)
    if timeout is not None:
        try:
            seconds = decode(Seconds, float(timeout) if timeout.isdigit() else timeout)
        except ValueError as error:
            raise InvalidBody(f"x-dispatch-timeout: {error}", "x-dispatch-timeout") from None
        request = msgspec.structs.replace(request, timeout=float(seconds))
    return msgspec.structs.replace(wanted, request=request)


async def _whole(dispatcher: Dispatcher, exchange: Exchange, request: Request) -> None:
    reply = await dispatcher.send(request, request_id=exchange.request_id)
    body = replies.write(
        reply.completion, id=f"chatcmpl-{exchange.request_id}", model=reply.model, created=int(wall_now())
    )
    headers = _headers(reply.vendor, reply.deployment, reply.model, len(reply.attempts), reply.dropped)
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
        await exchange.start(
            200,
            [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                *headers,
            ],
            farewell=lambda: writer.error(envelope(stopping())),
        )
        try:
            async for event in events:
                piece = writer.write(event)
                if piece:
                    await exchange.write(piece)
        except DispatchError as error:
            await exchange.end(writer.error(envelope(error)))
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
