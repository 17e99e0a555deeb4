"""`POST /v1/embeddings`: OpenAI's interface, whoever makes the vectors."""

from __future__ import annotations

from ..dialects.formats.embeddings import reply as replies
from ..dialects.formats.embeddings.request import read
from ..dispatcher import Dispatcher
from .dispatching import headers_of_reply, with_headers
from .http import Exchange

__all__ = ["embed", "embeddings"]


async def embeddings(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one request for vectors. Raises `InvalidBody` and `DispatchError`."""
    await embed(dispatcher, exchange)


async def embed(dispatcher: Dispatcher, exchange: Exchange, model: str | None = None) -> None:
    """As `embeddings`. `model`: where the path names it, which counts, whatever the body says."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)), model=model)
    reply = await dispatcher.embed(with_headers(wanted.request, exchange), request_id=exchange.request_id)
    pieces = replies.write(reply.embeddings, model=reply.model, encoding=wanted.encoding)
    piece, following = next(pieces), next(pieces, None)
    if following is None:
        await exchange.answer(200, piece, headers_of_reply(reply))
        return
    await exchange.start(200, [(b"content-type", b"application/json"), *headers_of_reply(reply)])
    while following is not None:
        # Many vectors are megabytes: others have their turn while they are written.
        await exchange.write(piece)
        piece, following = following, next(pieces, None)
    await exchange.end(piece)
