"""Anthropic's SDK: messages."""

from __future__ import annotations

from typing import Any, ClassVar

import anthropic
from anthropic.types import Message

from ..contract import Client, Errors, Heard
from ..story import HELLO, LOOK, PIXEL, RESULT, SCHEMA, WEATHER, WHEN, City

__all__ = ["AnthropicMessages"]

TOOLS: Any = [{"name": WEATHER["name"], "description": WEATHER["description"], "input_schema": SCHEMA}]
PICTURE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


class AnthropicMessages(Client):
    """`anthropic.Anthropic`, plain calls and the helper for streams; `count_tokens` on the way."""

    name = "anthropic"
    stop = "end_turn"
    called = "tool_use"
    errors: ClassVar[Errors] = {400: anthropic.BadRequestError, 429: anthropic.RateLimitError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sdk = anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self._sdk.close()

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        assert self._sdk.messages.count_tokens(model=model, messages=_said(text)).input_tokens > 0
        return _heard(self._ask(model, _said(text)))

    def _ask(self, model: str, messages: Any, **more: Any) -> Message:
        message: Message = self._sdk.messages.create(model=model, messages=messages, max_tokens=4000, **more)
        return message

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return _heard(self._listen(model, _said(text)))

    def _listen(self, model: str, messages: Any, **more: Any) -> Message:
        with self._sdk.messages.stream(model=model, messages=messages, max_tokens=4000, **more) as stream:
            told = "".join(stream.text_stream)
            message = stream.get_final_message()
        assert told == _heard(message).text
        return message

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, _said(WHEN), tools=TOOLS)
        [call] = [block for block in asked.content if block.type == "tool_use"]
        turns = [
            *_said(WHEN),
            {"role": "assistant", "content": asked.content},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.id, "content": RESULT}],
            },
        ]
        return _heard(asked), _heard(ask(model, turns, tools=TOOLS))

    def structured(self, model: str) -> object:
        """See `Client`."""
        reply = self._sdk.messages.parse(
            model=model, messages=_said(HELLO), max_tokens=4000, output_format=City
        )
        return reply.parsed_output

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return _heard(
            self._ask(model, [{"role": "user", "content": [PICTURE, {"type": "text", "text": LOOK}]}])
        )

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        return _heard(ask(model, _said(HELLO), thinking={"type": "adaptive", "display": "summarized"}))

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        with self._sdk.messages.stream(model=model, messages=_said(text), max_tokens=4000) as stream:
            for _, piece in zip(range(3), stream.text_stream, strict=False):
                assert piece


def _said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def _heard(message: Message) -> Heard:
    blocks = message.content
    return Heard(
        text="".join(block.text for block in blocks if block.type == "text"),
        calls=[(block.name, dict(block.input)) for block in blocks if block.type == "tool_use"],
        thought="".join(block.thinking for block in blocks if block.type == "thinking"),
        usage=(message.usage.input_tokens, message.usage.output_tokens),
        finish=message.stop_reason,
    )
