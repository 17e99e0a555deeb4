"""`POST /v1/responses`, plain and streamed: OpenAI's newer interface. What is below it asks for what nobody has.

Nothing is stored. `store` is taken and means nothing, since clients that say nothing would have it be true; answers say
`"store": false`. What would need an earlier answer is refused with a remedy: `previous_response_id` and the like in a
request's body (`formats.responses.reading`), and here whatever asks for an answer by its id.
"""

from __future__ import annotations

import msgspec

from ...actors.faults import FaultClass
from ..clock import wall_now
from ..dialects.formats.responses import FORMAT
from ..dialects.formats.responses import reply as replies
from ..dialects.formats.responses.request import ClientRequest, read
from ..dialects.formats.responses.stream import Writer
from ..dispatcher import Dispatcher
from ..errors import RequestRejected
from .dispatching import headers_of_reply, with_headers
from .http import Exchange, encode
from .streaming import deliver

__all__ = ["responses", "stored_response"]


async def responses(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)))
    wanted = msgspec.structs.replace(wanted, request=with_headers(wanted.request, exchange))
    if wanted.stream:
        await _stream(dispatcher, exchange, wanted)
    else:
        await _whole(dispatcher, exchange, wanted)


async def stored_response(_dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Raises `RequestRejected`: there is no answer to be had by its id."""
    raise RequestRejected(
        f"there is nothing at {exchange.scope['path']}: answers are not stored here; keep what POST /v1/responses "
        "answers, and send the whole conversation as `input`",
        kind=FaultClass.BAD_REQUEST,
        status=404,
        code="not_found",
    )


async def _whole(dispatcher: Dispatcher, exchange: Exchange, wanted: ClientRequest) -> None:
    reply = await dispatcher.send(wanted.request, request_id=exchange.request_id)
    body = replies.write(
        reply.completion,
        wanted.asked,
        id=f"resp_{exchange.request_id}",
        model=reply.model,
        created=int(wall_now()),
    )
    await exchange.answer(200, encode(body), headers_of_reply(reply))


async def _stream(dispatcher: Dispatcher, exchange: Exchange, wanted: ClientRequest) -> None:
    """Stream the answer. After the first content an error can only be an event, and the answer is told to have failed."""
    async with dispatcher.stream(wanted.request, request_id=exchange.request_id) as events:
        deployment = events.deployment
        writer = Writer(
            wanted.asked,
            id=f"resp_{exchange.request_id}",
            model=deployment.model.name,
            created=int(wall_now()),
            own=deployment.dialect.format == FORMAT,
        )
        await deliver(events, writer, exchange)
