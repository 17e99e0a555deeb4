"""Pydantic AI: agents that run tools themselves."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import openai
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from ..contract import Client, Errors, Heard, Reasons
from ..story import HELLO, LOOK, PIXEL, RESULT, WHEN, City

__all__ = ["PydanticAI"]

T = TypeVar("T")


class PydanticAI(Client):
    """`pydantic_ai.Agent` with the model of OpenAI's interface."""

    name = "pydantic-ai"
    stop = "stop"
    called = "tool_call"
    lacks: ClassVar[Reasons] = {
        "thinking": "which thoughts an agent keeps is a matter of the model's profile"
    }
    errors: ClassVar[Errors] = {400: ModelHTTPError, 429: ModelHTTPError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._runner = asyncio.Runner()
        self._sdk = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self._runner.run(self._sdk.close())
        self._runner.close()

    def _run(self, model: str, work: Callable[[Agent[None, Any]], Coroutine[Any, Any, T]], **more: Any) -> T:
        chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=self._sdk))
        return self._runner.run(work(Agent(chat, **more)))

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, text)

    def _ask(self, model: str, wanted: Any) -> Heard:
        async def work(agent: Agent[None, Any]) -> Heard:
            return _heard((await agent.run(wanted)).response)

        return self._run(model, work)

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""

        async def work(agent: Agent[None, Any]) -> Heard:
            async with agent.run_stream(text) as run:
                told = "".join([each async for each in run.stream_text(delta=True, debounce_by=None)])
                heard = _heard(run.response)
            assert told == heard.text
            return heard

        return self._run(model, work)

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""

        def weather(city: str, days: int) -> str:
            """Tells the weather."""
            assert (type(city), type(days)) == (str, int)
            return RESULT

        async def work(agent: Agent[None, Any]) -> tuple[Heard, Heard]:
            if streamed:
                async with agent.run_stream(WHEN) as run:
                    await run.get_output()
                    messages = run.all_messages()
            else:
                messages = (await agent.run(WHEN)).all_messages()
            asked, answered = [each for each in messages if isinstance(each, ModelResponse)]
            heard = _heard(asked)
            # Nothing of the signature says how many days a forecast has.
            heard.calls = [(name, {**args, "days": min(args["days"], 7)}) for name, args in heard.calls]
            return heard, _heard(answered)

        return self._run(model, work, tools=[weather])

    def structured(self, model: str) -> object:
        """See `Client`."""

        async def work(agent: Agent[None, Any]) -> object:
            return (await agent.run(HELLO)).output

        return self._run(model, work, output_type=NativeOutput(City))

    def image(self, model: str) -> Heard:
        """See `Client`."""
        picture = BinaryContent(data=base64.b64decode(PIXEL), media_type="image/png")
        return self._ask(model, [LOOK, picture])

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`: the task that runs the agent is cancelled."""

        async def work(agent: Agent[None, Any]) -> None:
            heard = asyncio.Event()

            async def listen() -> None:
                async with agent.run_stream(text) as run:
                    async for _ in run.stream_text(delta=True, debounce_by=None):
                        heard.set()

            task = asyncio.create_task(listen())
            await asyncio.wait_for(heard.wait(), 10)
            task.cancel()
            await asyncio.wait([task])

        self._run(model, work)


def _heard(response: ModelResponse) -> Heard:
    return Heard(
        text="".join(part.content for part in response.parts if isinstance(part, TextPart)),
        calls=[
            (part.tool_name, part.args_as_dict()) for part in response.parts if isinstance(part, ToolCallPart)
        ],
        usage=(response.usage.input_tokens, response.usage.output_tokens),
        finish=response.finish_reason,
    )
