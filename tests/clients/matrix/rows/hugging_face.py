"""Hugging Face's client for inference, by the address of a server."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from ..contract import Client, Errors, Heard, Reasons
from ..story import HELLO, WHEN, City
from .openai_async import put_together
from .openai_chat import TOOLS, answered_turns, said, shown

__all__ = ["HuggingFace"]


class HuggingFace(Client):
    """`huggingface_hub.InferenceClient(base_url=...)`, through the part of it that is called as OpenAI's client."""

    name = "huggingface_hub"
    stop = "stop"
    called = "tool_calls"
    lacks: ClassVar[Reasons] = {"thinking": "the client has no field that asks for thoughts"}
    errors: ClassVar[Errors] = {400: HfHubHTTPError, 429: HfHubHTTPError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sdk = InferenceClient(base_url=f"{url}/v1", api_key="unused")

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, said(text))

    def _ask(self, model: str, messages: Any, **more: Any) -> Heard:
        reply = self._sdk.chat.completions.create(model=model, messages=messages, **more)
        choice = reply.choices[0]
        calls = choice.message.tool_calls or ()
        return Heard(
            text=choice.message.content or "",
            calls=[(each.function.name, json.loads(each.function.arguments)) for each in calls],
            usage=(reply.usage.prompt_tokens, reply.usage.completion_tokens),
            finish=choice.finish_reason,
        )

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._listen(model, said(text))

    def _listen(self, model: str, messages: Any, **more: Any) -> Heard:
        options: Any = {"include_usage": True}
        chunks = self._sdk.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options=options, **more
        )
        return put_together([*chunks])

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, said(WHEN), tools=TOOLS)
        return asked, ask(model, answered_turns(asked), tools=TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""
        wanted: Any = {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": City.model_json_schema(), "strict": False},
        }
        return json.loads(self._ask(model, said(HELLO), response_format=wanted).text)

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return self._ask(model, shown())

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        chunks: Any = self._sdk.chat.completions.create(model=model, messages=said(text), stream=True)
        for _, chunk in zip(range(3), chunks, strict=False):
            assert chunk.choices
        chunks.close()
