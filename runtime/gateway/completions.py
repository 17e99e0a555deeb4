"""`POST /v1/completions`, plain and streamed: text completion, the interface before chat.

Of models that are configured with the operation `completions` the vendor is asked in that very interface; of all others in
a chat, with the prompt as the user's message (`runtime.operations.texts`). Several prompts in one request are several
requests here, each with routing and retries of its own, and one answer with a choice for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import trio

from ..canon import Request
from ..clock import wall_now
from ..dialects.formats.completions import reply as replies
from ..dialects.formats.completions.request import read
from ..dialects.formats.completions.stream import Writer
from ..dispatcher import Dispatcher
from ..errors import DispatchError
from ..reply import Reply, cost_of_attempts
from .dispatching import headers_of_reply, with_headers
from .http import Exchange, encode
from .streaming import deliver

__all__ = ["complete", "text_completions"]

_MOST_AT_ONCE: Final = 8
"""Prompts of one request that are under way at once."""


async def text_completions(dispatcher: Dispatcher, exchange: Exchange) -> None:
    """Answer one request. Raises `InvalidBody` and `DispatchError` before the answer has begun."""
    await complete(dispatcher, exchange)


async def complete(dispatcher: Dispatcher, exchange: Exchange, model: str | None = None) -> None:
    """As `text_completions`. `model`: where the path names it, which counts, whatever the body says."""
    wanted = read(await exchange.body(int(dispatcher.config.server.max_body)), model=model)
    requests = [with_headers(each, exchange) for each in wanted.requests]
    if wanted.stream:
        await _stream(dispatcher, exchange, requests[0], include_usage=wanted.include_usage)
        return
    answers = await _All(dispatcher, exchange.request_id, requests).replies()
    body = replies.write(
        [each.completion for each in answers],
        n=requests[0].n or 1,
        id=f"cmpl-{exchange.request_id}",
        model=answers[0].model,
        created=int(wall_now()),
    )
    await exchange.answer(200, encode(body), headers_of_reply(_together(answers)))


async def _stream(
    dispatcher: Dispatcher, exchange: Exchange, request: Request, *, include_usage: bool
) -> None:
    """Stream the answer. After the first content an error can only be an event, and the stream has no proper end."""
    async with dispatcher.stream(request, request_id=exchange.request_id) as events:
        writer = Writer(
            id=f"cmpl-{exchange.request_id}",
            model=events.deployment.model.name,
            created=int(wall_now()),
            include_usage=include_usage,
        )
        await deliver(events, writer, exchange)


class _All:
    """The answers to every prompt, a few at once. The first failure ends it."""

    def __init__(self, dispatcher: Dispatcher, request_id: str, requests: list[Request]) -> None:
        self._dispatcher = dispatcher
        self._request_id = request_id
        self._requests = requests
        self._replies: dict[int, Reply] = {}
        self._error: DispatchError | None = None

    async def replies(self) -> list[Reply]:
        """In the order of the prompts. Raises `DispatchError`."""
        if len(self._requests) == 1:
            return [await self._dispatcher.send(self._requests[0], request_id=self._request_id)]
        queue = iter(enumerate(self._requests))
        async with trio.open_nursery() as nursery:
            for _ in range(min(_MOST_AT_ONCE, len(self._requests))):
                nursery.start_soon(self._send_some, queue, nursery)
        if self._error is not None:
            raise self._error
        return [self._replies[number] for number in range(len(self._requests))]

    async def _send_some(self, queue: Iterator[tuple[int, Request]], nursery: trio.Nursery) -> None:
        try:
            for number, request in queue:
                self._replies[number] = await self._dispatcher.send(request, request_id=self._request_id)
        except DispatchError as error:
            if self._error is None:
                self._error = error
                nursery.cancel_scope.cancel()


def _together(answers: list[Reply]) -> Reply:
    """How all of them came about, for the headers; the vendor is that of the first."""
    if len(answers) == 1:
        return answers[0]
    attempts = tuple([record for answer in answers for record in answer.attempts])
    return msgspec.structs.replace(
        answers[0],
        attempts=attempts,
        cost=cost_of_attempts(attempts),
        dropped=tuple(dict.fromkeys([name for answer in answers for name in answer.dropped])),
        panic=any(answer.panic for answer in answers),
    )
