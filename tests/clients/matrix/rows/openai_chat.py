"""OpenAI's SDK: chat completions."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import openai
from openai.types.chat import ChatCompletion

from ..contract import Client, Errors, Heard
from ..story import HELLO, LOOK, PIXEL, RESULT, WEATHER, WHEN, City

__all__ = ["OpenAIChat", "answered_turns", "heard_of", "shown"]

TOOLS: Any = [{"type": "function", "function": WEATHER}]
_USAGE: Any = {"stream_options": {"include_usage": True}}


class OpenAIChat(Client):
    """`openai.OpenAI`, plain calls and the helpers for streams and parsing."""

    name = "openai"
    stop = "stop"
    called = "tool_calls"
    errors: ClassVar[Errors] = {400: openai.BadRequestError, 429: openai.RateLimitError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sdk = self.connect(url)

    def connect(self, url: str) -> openai.OpenAI:
        """The SDK, pointed at the daemon."""
        return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self.sdk.close()

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, said(text))

    def _ask(self, model: str, messages: Any, **more: Any) -> Heard:
        return heard_of(self.sdk.chat.completions.create(model=model, messages=messages, **more))

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._listen(model, said(text))

    def _listen(self, model: str, messages: Any, **more: Any) -> Heard:
        with self.sdk.chat.completions.stream(model=model, messages=messages, **_USAGE, **more) as events:
            told = "".join(event.delta for event in events if event.type == "content.delta")
            heard = heard_of(events.get_final_completion())
        assert told == heard.text
        return heard

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, said(WHEN), tools=TOOLS)
        return asked, ask(model, answered_turns(asked), tools=TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""
        reply = self.sdk.chat.completions.parse(model=model, messages=said(HELLO), response_format=City)
        return reply.choices[0].message.parsed

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return self._ask(model, shown())

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        return ask(model, said(HELLO), reasoning_effort="low")

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        with self.sdk.chat.completions.create(model=model, messages=said(text), stream=True) as chunks:
            for _, chunk in zip(range(5), chunks, strict=False):
                assert chunk.choices


def said(text: str) -> Any:
    """One turn."""
    return [{"role": "user", "content": text}]


def shown() -> Any:
    """A turn with the picture."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    return [{"role": "user", "content": [{"type": "text", "text": LOOK}, picture]}]


def answered_turns(asked: Heard) -> Any:
    """The turns up to the tool's result."""
    [(name, arguments)] = asked.calls
    function = {"name": name, "arguments": json.dumps(arguments)}
    calls = [{"id": "call_theirs_1", "type": "function", "function": function}]
    return [
        *said(WHEN),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_theirs_1", "content": RESULT},
    ]


def heard_of(reply: ChatCompletion) -> Heard:
    """What a completion of the SDK says."""
    [choice] = reply.choices
    calls: list[Any] = list(choice.message.tool_calls or ())
    usage = reply.usage
    return Heard(
        text=choice.message.content or "",
        calls=[(each.function.name, json.loads(each.function.arguments)) for each in calls],
        thought=getattr(choice.message, "reasoning_content", None) or "",
        usage=None if usage is None else (usage.prompt_tokens, usage.completion_tokens),
        finish=choice.finish_reason,
    )
