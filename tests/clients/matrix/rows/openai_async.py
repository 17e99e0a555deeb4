"""OpenAI's SDK: the asynchronous client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import openai

from ..contract import Client, Errors, Heard
from ..story import HELLO, WHEN, City
from .openai_chat import TOOLS, answered_turns, heard_of, said, shown

__all__ = ["OpenAIAsync"]

T = TypeVar("T")


class OpenAIAsync(Client):
    """`openai.AsyncOpenAI`. Streams are put together by hand, from the chunks."""

    name = "openai, asynchronous"
    stop = "stop"
    called = "tool_calls"
    errors: ClassVar[Errors] = {400: openai.BadRequestError, 429: openai.RateLimitError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._runner = asyncio.Runner()
        self._sdk = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self._runner.run(self._sdk.close())
        self._runner.close()

    def _run(self, work: Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, T]]) -> T:
        return self._runner.run(work(self._sdk))

    def _ask(self, model: str, messages: Any, **more: Any) -> Heard:
        async def work(sdk: openai.AsyncOpenAI) -> Heard:
            reply = await sdk.chat.completions.create(model=model, messages=messages, **more)
            return heard_of(reply)

        return self._run(work)

    def _listen(self, model: str, messages: Any, **more: Any) -> Heard:
        async def work(sdk: openai.AsyncOpenAI) -> Heard:
            chunks = await sdk.chat.completions.create(
                model=model, messages=messages, stream=True, stream_options={"include_usage": True}, **more
            )
            return put_together([chunk async for chunk in chunks])

        return self._run(work)

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, said(text))

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._listen(model, said(text))

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, said(WHEN), tools=TOOLS)
        return asked, ask(model, answered_turns(asked), tools=TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""

        async def work(sdk: openai.AsyncOpenAI) -> object:
            async with sdk.chat.completions.stream(
                model=model, messages=said(HELLO), response_format=City
            ) as events:
                completion = await events.get_final_completion()
            return completion.choices[0].message.parsed

        return self._run(work)

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return self._ask(model, shown())

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        return ask(model, said(HELLO), reasoning_effort="low")

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`: the task that listens is cancelled."""

        async def work(sdk: openai.AsyncOpenAI) -> None:
            heard = asyncio.Event()

            async def listen() -> None:
                async for _ in await sdk.chat.completions.create(
                    model=model, messages=said(text), stream=True
                ):
                    heard.set()

            task = asyncio.create_task(listen())
            await asyncio.wait_for(heard.wait(), 10)
            task.cancel()
            await asyncio.wait([task])

        self._run(work)


def put_together(chunks: list[Any]) -> Heard:
    """What the chunks of a stream add up to."""
    heard, name, arguments = Heard(), "", ""
    for chunk in chunks:
        if chunk.usage is not None:
            heard.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            heard.text += choice.delta.content or ""
            heard.thought += getattr(choice.delta, "reasoning_content", None) or ""
            heard.finish = choice.finish_reason or heard.finish
            for call in choice.delta.tool_calls or ():
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    if name:
        heard.calls = [(name, json.loads(arguments))]
    return heard
