"""The dispatcher in this process, as a library: no daemon, and to simulated vendors no network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ....runtime import Dispatcher, DispatchError, Message, Reply, Request
from ....runtime.canon import RefusalDelta, TextDelta, ThinkingDelta
from ....runtime.reply import AttemptRecord
from ..jobs import Job, prompt
from ..watch import Watch
from .base import Target

__all__ = ["in_process"]

_SPOKEN: Final = (TextDelta, ThinkingDelta, RefusalDelta)


class _InProcess(Target):
    in_process = True

    def __init__(self, dispatcher: Dispatcher, description: str, model: str, *, stream: bool) -> None:
        self.description = description
        self._dispatcher = dispatcher
        self._model = model
        self._stream = stream

    async def send(self, job: Job, watch: Watch) -> None:
        request = Request(
            model=self._model, messages=[Message("user", prompt(job))], max_tokens=job.output_tokens
        )
        try:
            reply = await (self._streamed(request, watch) if self._stream else self._dispatcher.send(request))
        except DispatchError as error:
            watch.fail(type(error).__name__, error.message)
            _count(watch, error.attempts)
            return
        if reply is None:
            watch.fail("no reply", "a stream ended without its reply")
            return
        if not self._stream:
            watch.characters = len(reply.text)
        watch.vendor = reply.vendor
        watch.cost = reply.cost
        watch.attempts = len(reply.attempts)
        if reply.usage is not None:
            watch.input_tokens = reply.usage.input_tokens
            watch.output_tokens = reply.usage.output_tokens

    async def _streamed(self, request: Request, watch: Watch) -> Reply | None:
        async with self._dispatcher.stream(request) as events:
            async for event in events:
                if isinstance(event, _SPOKEN):
                    watch.content(len(event.text))
            return events.reply


def _count(watch: Watch, attempts: tuple[AttemptRecord, ...]) -> None:
    """What a request cost that failed in the end."""
    watch.attempts = len(attempts)
    costs = [each.cost for each in attempts if each.cost is not None]
    watch.cost = sum(costs[1:], costs[0]) if costs else None


@asynccontextmanager
async def in_process(
    dispatcher: Dispatcher, description: str, model: str, *, stream: bool
) -> AsyncIterator[Target]:
    """`dispatcher`, which is entered and left here. `model`: what is asked for, as any caller names it."""
    async with dispatcher:
        yield _InProcess(dispatcher, description, model, stream=stream)
