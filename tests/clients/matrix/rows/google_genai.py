"""Google's SDK."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from google import genai
from google.genai import types
from google.genai.errors import ClientError

from ..contract import Client, Errors, Heard
from ..story import HELLO, LOOK, PIXEL, RESULT, SCHEMA, WEATHER, WHEN, City

__all__ = ["GoogleGenAI"]

_DECLARED = types.FunctionDeclaration(
    name=WEATHER["name"], description=WEATHER["description"], parameters_json_schema=SCHEMA
)
TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[_DECLARED])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


class GoogleGenAI(Client):
    """`google.genai.Client().models`."""

    name = "google-genai"
    stop = "STOP"
    called = "STOP"
    errors: ClassVar[Errors] = {400: ClientError, 429: ClientError}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._sdk = genai.Client(api_key="unused", http_options={"base_url": url})

    def close(self) -> None:
        """See `Client`."""
        self._sdk.close()

    def plain(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._ask(model, text)

    def _ask(self, model: str, contents: Any, config: Any = None) -> Heard:
        return _heard([self._sdk.models.generate_content(model=model, contents=contents, config=config)])

    def streamed(self, model: str, text: str) -> Heard:
        """See `Client`."""
        return self._listen(model, text)

    def _listen(self, model: str, contents: Any, config: Any = None) -> Heard:
        chunks = self._sdk.models.generate_content_stream(model=model, contents=contents, config=config)
        return _heard([*chunks])

    def tools(self, model: str, *, streamed: bool) -> tuple[Heard, Heard]:
        """See `Client`."""
        ask = self._listen if streamed else self._ask
        wish = types.Content(role="user", parts=[types.Part(text=WHEN)])
        asked = ask(model, [wish], TOOLS)
        [(name, arguments)] = asked.calls
        call = types.Part(function_call=types.FunctionCall(name=name, args=arguments))
        result = types.Part.from_function_response(name=name, response={"result": RESULT})
        turns = [
            wish,
            types.Content(role="model", parts=[call]),
            types.Content(role="user", parts=[result]),
        ]
        return asked, ask(model, turns, TOOLS)

    def structured(self, model: str) -> object:
        """See `Client`."""
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
        return self._sdk.models.generate_content(model=model, contents=HELLO, config=config).parsed

    def image(self, model: str) -> Heard:
        """See `Client`."""
        picture = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
        return self._ask(model, [LOOK, picture])

    def thinking(self, model: str, *, streamed: bool) -> Heard:
        """See `Client`."""
        thoughts = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
        return (self._listen if streamed else self._ask)(model, HELLO, thoughts)

    def cancelled(self, model: str, text: str) -> None:
        """See `Client`."""
        chunks = self._sdk.models.generate_content_stream(model=model, contents=text)
        for _, chunk in zip(range(3), chunks, strict=False):
            assert chunk.candidates
        chunks.close()  # type: ignore[attr-defined]  # It is a generator, which the SDK's annotation hides.


def _heard(chunks: list[types.GenerateContentResponse]) -> Heard:
    heard = Heard()
    for chunk in chunks:
        usage = chunk.usage_metadata
        if usage is not None:
            heard.usage = (usage.prompt_token_count or 0, usage.candidates_token_count or 0)
        for candidate in chunk.candidates or ():
            if candidate.finish_reason is not None:
                heard.finish = candidate.finish_reason.value
            for part in candidate.content.parts or () if candidate.content else ():
                if part.function_call is not None:
                    heard.calls.append((part.function_call.name or "", part.function_call.args or {}))
                elif part.thought:
                    heard.thought += part.text or ""
                else:
                    heard.text += part.text or ""
    return heard
