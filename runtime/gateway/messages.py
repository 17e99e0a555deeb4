"""`POST /v1/messages`, plain and streamed: Anthropic's interface.

A client's `anthropic-version` is not looked at: the configuration says in which version a vendor is asked. The
names in its `anthropic-beta` go to vendors of the same format, and to no others.
"""

from __future__ import annotations

import msgspec

from ..canon import Request
from ..dialects.base import InvalidBody, VendorFault
from ..dialects.formats.messages import FORMAT
from ..dialects.formats.messages import reply as replies
from ..dialects.formats.messages.request import ClientRequest, read
from ..dialects.formats.messages.stream import Writer
from ..dispatcher import Dispatcher
from ..errors import error_for
from .dispatching import headers_of_reply, with_headers
from .http import Exchange, encode
from .streaming import deliver

__all__ = ["messages", "read_request"]


async def messages(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    wanted = await read_request(dispatcher, exchange)
    if wanted.stream:
        await _stream(dispatcher, exchange, wanted.request)
    else:
        await _whole(dispatcher, exchange, wanted.request)


async def read_request(dispatcher: Dispatcher, exchange: Exchange) -> ClientRequest:
    """The request of a client, with what its headers say. Raises `InvalidBody`."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)))
    request = _with_betas(with_headers(wanted.request, exchange), exchange)
    return msgspec.structs.replace(wanted, request=request)


def _with_betas(request: Request, exchange: Exchange) -> Request:
    header = exchange.header(b"anthropic-beta")
    names = [name for name in (each.strip() for each in (header or "").split(",")) if name]
    if not names:
        return request
    own = request.extra.get(FORMAT) or {}
    given = own.get("betas") or []
    if not isinstance(given, list):
        raise InvalidBody("betas: a list of names is needed", "betas")
    extra = {**request.extra, FORMAT: {**own, "betas": [*given, *names]}}
    return msgspec.structs.replace(request, extra=extra)


async def _whole(dispatcher: Dispatcher, exchange: Exchange, request: Request) -> None:
    reply = await dispatcher.send(request, request_id=exchange.request_id)
    try:
        body = replies.write(reply.completion, id=f"msg_{exchange.request_id}", model=reply.model)
    except VendorFault as unsayable:
        raise error_for(unsayable.fault, reply.attempts) from None
    await exchange.answer(200, encode(body), headers_of_reply(reply))


async def _stream(dispatcher: Dispatcher, exchange: Exchange, request: Request) -> None:
    """Stream the answer. After the first content an error can only be an event, and no `message_stop` follows it."""
    async with dispatcher.stream(request, request_id=exchange.request_id) as events:
        deployment = events.deployment
        writer = Writer(
            id=f"msg_{exchange.request_id}",
            model=deployment.model.name,
            own=deployment.dialect.format == FORMAT,
        )
        await deliver(events, writer, exchange)
