"""Google's interface: what is asked of a model below `/v1beta/models/`, by its name and a method.

```
POST /v1beta/models/{model}:generateContent
POST /v1beta/models/{model}:streamGenerateContent       a JSON array; server-sent events with ?alt=sse
POST /v1beta/models/{model}:countTokens
POST /v1beta/models/{model}:embedContent                 one text
POST /v1beta/models/{model}:batchEmbedContents           several
POST /v1beta/models/{model}:predict                      Vertex AI's way of asking for embeddings
```

`v1` and `v1beta1` stand for `v1beta` everywhere. A model may be named as Vertex AI does it, below `projects/.../locations/...`
and `publishers/{publisher}`: of the publisher `google` its name alone counts, of another one `publisher/model`, which is how
Google's own SDK spells a name that holds a slash. Keys, projects and locations are not looked at.

A client's `x-server-timeout`, in seconds, is the request's deadline unless `x-dispatch-timeout` is there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qs

import msgspec

from ...actors.faults import FaultClass
from ..canon import Request
from ..dialects.base import InvalidBody
from ..dialects.formats.embed_content import reply as vectors
from ..dialects.formats.embed_content.reading import read_batch, read_predict, read_single
from ..dialects.formats.generate_content import FORMAT
from ..dialects.formats.generate_content import reply as replies
from ..dialects.formats.generate_content.reading import read_body, read_count
from ..dialects.formats.generate_content.writer import Writer
from ..dispatcher import Dispatcher
from ..errors import RequestRejected
from ..vectors import Embed, Embeddings
from .count_tokens import estimate
from .dispatching import cost_of_stream, headers_of_reply, with_headers
from .http import Exchange, encode
from .streaming import deliver

__all__ = ["ask_model", "model_in"]

_PATH: Final = re.compile(
    r"/v1(?:beta1?)?/(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/(?P<publisher>[^/]+)/)?models/(?P<rest>.+)"
)

W = TypeVar("W", Request, Embed)

_Method: TypeAlias = Callable[[Dispatcher, Exchange, str], Awaitable[None]]


async def ask_model(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer what is asked of a model. Raises `RequestRejected`, `InvalidBody` and `DispatchError` before the answer has begun."""
    path = exchange.scope["path"]
    named, _, method = path.rpartition(":")
    model = model_in(named)
    found = _METHODS.get(method)
    if model is None or found is None:
        raise RequestRejected(
            f"there is nothing at {path}; of a model one asks {', '.join(_METHODS)}, as in "
            "/v1beta/models/{model}:generateContent",
            kind=FaultClass.BAD_REQUEST,
            status=404,
            code="not_found",
        )
    await found(dispatcher, exchange, model)


def model_in(path: str) -> str | None:
    """The model that a path of Google's interface names, its method taken off; None if it names none."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    publisher = found["publisher"]
    return found["rest"] if publisher in (None, "google") else f"{publisher}/{found['rest']}"


async def _generate(dispatcher: Dispatcher, exchange: Exchange, model: str) -> None:
    request = await _request(dispatcher, exchange, model)
    reply = await dispatcher.send(request, request_id=exchange.request_id)
    body = replies.write(
        reply.completion, id=exchange.request_id, model=reply.model, thoughts=_wants_thoughts(request)
    )
    await exchange.answer(200, encode(body), headers_of_reply(reply))


async def _stream(dispatcher: Dispatcher, exchange: Exchange, model: str) -> None:
    """Stream the answer. After the first content an error can only be a chunk, and no reason for the end follows it."""
    request = await _request(dispatcher, exchange, model)
    async with dispatcher.stream(request, request_id=exchange.request_id) as events:
        deployment = events.deployment
        writer = Writer(
            id=exchange.request_id,
            model=deployment.model.name,
            own=deployment.dialect.format == FORMAT,
            thoughts=_wants_thoughts(request),
            array=_alt(exchange) != "sse",
        )
        await deliver(
            events,
            writer,
            exchange,
            content_type=writer.content_type,
            cost=lambda reply: writer.costs(cost_of_stream(reply)),
        )


async def _count_tokens(dispatcher: Dispatcher, exchange: Exchange, model: str) -> None:
    body = await exchange.body(int(dispatcher.config.server.max_body))
    tokens = estimate(dispatcher, with_headers(read_count(body, model=model), exchange))
    told = {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}
    await exchange.answer(200, encode(told))


async def _embed(
    read: Callable[..., Embed],
    write: Callable[[Embeddings], dict[str, Any]],
    dispatcher: Dispatcher,
    exchange: Exchange,
    model: str,
) -> None:
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)), model=model)
    request = _patient(with_headers(wanted, exchange), exchange)
    reply = await dispatcher.embed(request, request_id=exchange.request_id)
    await exchange.answer(200, encode(write(reply.embeddings)), headers_of_reply(reply))


_METHODS: Final[dict[str, _Method]] = {
    "generateContent": _generate,
    "streamGenerateContent": _stream,
    "countTokens": _count_tokens,
    "embedContent": partial(_embed, read_single, vectors.write_single),
    "batchEmbedContents": partial(_embed, read_batch, vectors.write_batch),
    "predict": partial(_embed, read_predict, vectors.write_predict),
}


async def _request(dispatcher: Dispatcher, exchange: Exchange, model: str) -> Request:
    """The request of a client, with what its headers say. Raises `InvalidBody`."""
    request = read_body(await exchange.body(int(dispatcher.config.server.max_body)), model=model)
    return _patient(with_headers(request, exchange), exchange)


def _patient(request: W, exchange: Exchange) -> W:
    """With the client's `x-server-timeout`. Raises `InvalidBody` for one that is none."""
    patience = exchange.header(b"x-server-timeout")
    if patience is None or request.timeout is not None:
        return request
    try:
        seconds = float(patience)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < _LONGEST:
        raise InvalidBody(f"x-server-timeout: {patience!r} is no number of seconds", "x-server-timeout")
    return msgspec.structs.replace(request, timeout=seconds)


_LONGEST: Final = 86_400.0
"""Seconds that a client may say it waits."""


def _wants_thoughts(request: Request) -> bool:
    return request.reasoning is not None and request.reasoning.include is True


def _alt(exchange: Exchange) -> str:
    """In which form a stream is wanted."""
    raw: bytes = exchange.scope.get("query_string", b"")
    query = parse_qs(raw.decode("latin-1"))
    return (query.get("alt") or query.get("$alt") or ["json"])[-1]
