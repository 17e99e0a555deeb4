"""OpenAI's SDK: responses."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import openai
from openai.types.responses import Response

from ..contract import Client, Errors, Heard
from ..story import HELLO, LOOK, PIXEL, RESULT, WEATHER, WHEN, City

__all__ = ["OpenAIResponses"]

TOOLS: Any = [{"type": "function", "strict": False, **WEATHER}]
PICTURE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": LOOK},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        ],
    }
]


class OpenAIResponses(Client):
    """`openai.OpenAI().responses`, plain calls and the helpers for streams and parsing."""

    name = "openai, responses"
    stop = "completed"
    called = "completed"
    errors: ClassVar[Errors] = {400: openai.BadRequestError, 429: openai.RateLimitError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)

    def close(self) -> None:
        """See `Client`."""
        self._sdk.close()

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return _heard(self._ask(model, text))

    def _ask(self, model: str, wanted: Any, **more: Any) -> Response:
        response: Response = self._sdk.responses.create(model=model, input=wanted, **more)
        return response

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return _heard(self._listen(model, text))

    def _listen(self, model: str, wanted: Any, **more: Any) -> Response:
        with self._sdk.responses.stream(model=model, input=wanted, **more) as events:
            told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            response = events.get_final_response()
        assert told == response.output_text
        return response

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        asked = ask(model, WHEN, tools=TOOLS)
        [call] = [item for item in asked.output if item.type == "function_call"]
        turns = [
            {"role": "user", "content": WHEN},
            *[item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in asked.output],
            {"type": "function_call_output", "call_id": call.call_id, "output": RESULT},
        ]
        return _heard(asked), _heard(ask(model, turns, tools=TOOLS))

    def structured(self, model: str) -> object:
        """See `Client`."""
        return self._sdk.responses.parse(model=model, input=HELLO, text_format=City).output_parsed

    def image(self, model: str) -> Heard:
        """See `Client`."""
        return _heard(self._ask(model, PICTURE))

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        return _heard(ask(model, HELLO, reasoning={"effort": "low", "summary": "auto"}))

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        with self._sdk.responses.create(model=model, input=text, stream=True) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    return


def _heard(response: Response) -> Heard:
    usage = response.usage
    return Heard(
        text=response.output_text,
        calls=[
            (item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ],
        thought="".join(
            summary.text for item in response.output if item.type == "reasoning" for summary in item.summary
        ),
        usage=None if usage is None else (usage.input_tokens, usage.output_tokens),
        finish=response.status,
    )
