"""`POST /v1/chat/completions`, plain and streamed."""

from __future__ import annotations

import msgspec

from ..canon import Request
from ..clock import wall_now
from ..dialects.formats.chat_completions import reply as replies
from ..dialects.formats.chat_completions.request import ClientRequest, read
from ..dialects.formats.chat_completions.stream import Writer
from ..dispatcher import Dispatcher
from .dispatching import headers_of_reply, with_headers
from .http import Exchange, encode
from .streaming import deliver

__all__ = ["chat", "chat_completions"]


async def chat_completions(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one chat request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    await chat(dispatcher, exchange, None)


async def chat(dispatcher: Dispatcher, exchange: Exchange, model: str | None) -> None:
    """As `chat_completions`, of the `model` that the path names, if it names one."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)), model)
    wanted = msgspec.structs.replace(wanted, request=with_headers(wanted.request, exchange))
    if wanted.stream:
        await _stream(dispatcher, exchange, wanted)
    else:
        await _whole(dispatcher, exchange, wanted.request)


async def _whole(dispatcher: Dispatcher, exchange: Exchange, request: Request) -> None:
    reply = await dispatcher.send(request, request_id=exchange.request_id)
    body = replies.write(
        reply.completion, id=f"chatcmpl-{exchange.request_id}", model=reply.model, created=int(wall_now())
    )
    await exchange.answer(200, encode(body), headers_of_reply(reply))


async def _stream(dispatcher: Dispatcher, exchange: Exchange, wanted: ClientRequest) -> None:
    """Stream the answer. After the first content an error can only be an event, and the stream has no proper end."""
    async with dispatcher.stream(wanted.request, request_id=exchange.request_id) as events:
        writer = Writer(
            id=f"chatcmpl-{exchange.request_id}",
            model=events.deployment.model.name,
            created=int(wall_now()),
            include_usage=wanted.include_usage,
        )
        await deliver(events, writer, exchange)
