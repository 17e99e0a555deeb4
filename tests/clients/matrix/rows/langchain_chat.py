"""LangChain's chat model for OpenAI's interface."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any, ClassVar

import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from ..contract import Client, Errors, Heard, Reasons
from ..story import HELLO, RESULT, WHEN, City
from .openai_chat import TOOLS, said, shown

__all__ = ["LangChain"]


class LangChain(Client):
    """`langchain_openai.ChatOpenAI`."""

    name = "langchain-openai"
    stop = "stop"
    called = "tool_calls"
    lacks: ClassVar[Reasons] = {"thinking": "ChatOpenAI passes over thoughts in chat completions"}
    errors: ClassVar[Errors] = {400: openai.BadRequestError, 429: openai.RateLimitError}

    def _model(self, model: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=model,
            base_url=f"{self.url}/v1",
            api_key=SecretStr("unused"),
            max_retries=0,
            stream_usage=True,
        )

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return _heard(self._model(model).invoke(said(text)))

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return _heard(_listened(self._model(model), said(text)))

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        bound = self._model(model).bind_tools(TOOLS)
        asked = _listened(bound, said(WHEN)) if streamed else bound.invoke(said(WHEN))
        turns = [
            *said(WHEN),
            asked,
            {"role": "tool", "tool_call_id": asked.tool_calls[0]["id"], "content": RESULT},
        ]
        answered = _listened(bound, turns) if streamed else bound.invoke(turns)
        return _heard(asked), _heard(answered)

    def structured(self, model: str) -> object:
        """See `Client`."""
        found: object = self._model(model).with_structured_output(City, method="json_schema").invoke(HELLO)
        return found

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return _heard(self._model(model).invoke(shown()))

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        chunks: Any = self._model(model).stream(said(text))
        for _, chunk in zip(range(3), chunks, strict=False):
            assert chunk is not None
        chunks.close()


def _listened(model: Any, turns: Any) -> Any:
    return reduce(operator.add, model.stream(turns))


def _heard(message: Any) -> Heard:
    usage = message.usage_metadata
    return Heard(
        text=message.content,
        calls=[(each["name"], each["args"]) for each in message.tool_calls],
        usage=None if usage is None else (usage["input_tokens"], usage["output_tokens"]),
        finish=message.response_metadata.get("finish_reason"),
    )
