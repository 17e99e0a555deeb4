"""`POST /v1/embeddings`: OpenAI's interface, whoever makes the vectors."""

from __future__ import annotations

from ..dialects.formats.embeddings import reply as replies
from ..dialects.formats.embeddings.request import read
from ..dispatcher import Dispatcher
from .dispatching import headers_of_reply, with_headers
from .http import Exchange, encode

__all__ = ["embed", "embeddings"]


async def embeddings(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one request for vectors. Raises `InvalidBody` and `DispatchError`."""
    await embed(dispatcher, exchange)


async def embed(dispatcher: Dispatcher, exchange: Exchange, model: str | None = None) -> None:
    """As `embeddings`. `model`: where the path names it, which counts, whatever the body says."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)), model=model)
    reply = await dispatcher.embed(with_headers(wanted.request, exchange), request_id=exchange.request_id)
    body = replies.write(reply.embeddings, model=reply.model, encoding=wanted.encoding)
    await exchange.answer(200, encode(body), headers_of_reply(reply))
