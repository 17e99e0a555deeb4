"""Mistral's SDK, whose interface is OpenAI's but for details."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from ..contract import Client, Errors, Heard, Reasons
from ..story import HELLO, WHEN, City
from .openai_chat import TOOLS, answered_turns, said, shown

__all__ = ["MistralAI"]


class MistralAI(Client):
    """`mistralai.Mistral().chat`."""

    name = "mistralai"
    stop = "stop"
    called = "tool_calls"
    lacks: ClassVar[Reasons] = {"thinking": "Mistral's interface has thoughts of Mistral's own models only"}
    errors: ClassVar[Errors] = {400: SDKError, 429: SDKError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sdk = Mistral(api_key="unused", server_url=url)

    def close(self) -> None:
        """See `Client`."""
        self._sdk.__exit__(None, None, None)

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, said(text))

    def _ask(self, model: str, messages: Any, **more: Any) -> Heard:
        reply = self._sdk.chat.complete(model=model, messages=messages, **more)
        choice = reply.choices[0]
        return Heard(
            text=choice.message.content or "",
            calls=_calls(choice.message),
            usage=(reply.usage.prompt_tokens or 0, reply.usage.completion_tokens or 0),
            finish=str(choice.finish_reason),
        )

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._listen(model, said(text))

    def _listen(self, model: str, messages: Any, **more: Any) -> Heard:
        heard, name, arguments = Heard(), "", ""
        with self._sdk.chat.stream(model=model, messages=messages, **more) as events:
            for event in events:
                for choice in event.data.choices:
                    heard.text += str(choice.delta.content or "")
                    heard.finish = str(choice.finish_reason) if choice.finish_reason else heard.finish
                    for call in choice.delta.tool_calls or ():
                        name += call.function.name or ""
                        arguments += str(call.function.arguments or "")
        if name:
            heard.calls = [(name, json.loads(arguments))]
        return heard

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, said(WHEN), tools=TOOLS)
        return asked, ask(model, answered_turns(asked), tools=TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""
        reply = self._sdk.chat.parse(response_format=City, model=model, messages=said(HELLO))
        return reply.choices[0].message.parsed

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return self._ask(model, shown())

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        with self._sdk.chat.stream(model=model, messages=said(text)) as events:
            for _, event in zip(range(3), events, strict=False):
                assert event.data.choices


def _calls(message: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
