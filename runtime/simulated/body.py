"""What a simulated vendor reads of a chat-completions request, or one for a text completion, and how it counts tokens.

Fields it has no use for are passed over, as a vendor that knows them would accept them.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Body",
    "Function",
    "Rejected",
    "prompt_tokens",
    "read_body",
    "read_text_body",
]

T = TypeVar("T")

CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English text."""

_PER_MESSAGE: Final = 4
"""Tokens for a message's role and separators, as OpenAI's cookbook counts them, roughly."""

_PER_IMAGE: Final = 85
"""Tokens of one image at low detail, by OpenAI's price page."""

Count = Annotated[int, Meta(ge=1)]


class Rejected(Exception):
    """The request is not one that the interface understands: an answer of status 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ContentPart(Struct):
    """A part of a message; only text and the presence of an image matter here."""

    type: str
    text: str = ""


class Turn(Struct):
    """One message."""

    role: str
    content: str | list[ContentPart] | None = None

    @property
    def text(self) -> str:
        """All text of the message."""
        if isinstance(self.content, str):
            return self.content
        return " ".join([part.text for part in self.content or () if part.text])

    @property
    def tokens(self) -> int:
        """What the message counts for."""
        parts = self.content if isinstance(self.content, list) else ()
        images = sum(part.type == "image_url" for part in parts)
        return math.ceil(len(self.text) / CHARACTERS_PER_TOKEN) + _PER_MESSAGE + images * _PER_IMAGE


class Function(Struct):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolSpec(Struct):
    """A tool; only functions are known."""

    function: Function


class NamedFunction(Struct):
    """Which function must be called."""

    name: str


class NamedTool(Struct):
    """The form of `tool_choice` that names a function."""

    function: NamedFunction


class SchemaFormat(Struct):
    """What `json_schema` of a response format holds."""

    name: str = "answer"
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct):
    """Whether the answer shall be text, any JSON object, or JSON by a schema."""

    type: str = "text"
    json_schema: SchemaFormat | None = None


class StreamOptions(Struct):
    """Only whether usage is reported at the end of a stream."""

    include_usage: bool | None = None


class Body(Struct, kw_only=True):
    """A chat-completions request, as far as it changes the answer."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | NamedTool | None = None
    response_format: ResponseFormat | None = None

    @property
    def most_tokens(self) -> int | None:
        """The limit on the answer's length, or None."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The texts before which the answer ends."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]

    @property
    def include_usage(self) -> bool:
        """Whether a stream reports usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class TextBody(Struct, kw_only=True):
    """A text-completion request, as far as it changes the answer."""

    model: Annotated[str, Meta(min_length=1)]
    prompt: str | list[int]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None

    def as_chat(self) -> Body:
        """The same of a user who says the prompt; what is made up in answer means as little."""
        prompt = self.prompt if isinstance(self.prompt, str) else " ".join(map(str, self.prompt))
        names = ("model", "stream", "stream_options", "max_tokens", "n", "stop", "seed")
        fields = {name: getattr(self, name) for name in names}
        return Body(messages=[Turn("user", prompt)], **fields)


_DECODER: Final = msgspec.json.Decoder(Body)
_TEXT_DECODER: Final = msgspec.json.Decoder(TextBody)


def read_body(raw: bytes) -> Body:
    """The request. Raises `Rejected`, saying where it is wrong."""
    body = _decoded(raw, _DECODER)
    _check_tools(body)
    return body


def read_text_body(raw: bytes) -> Body:
    """The same of a text completion. Raises `Rejected`."""
    return _decoded(raw, _TEXT_DECODER).as_chat()


def _decoded(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Rejected(f"Invalid request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"We could not parse the JSON body of your request: {error}") from error


def _check_tools(body: Body) -> None:
    choice = body.tool_choice
    names = [tool.function.name for tool in body.tools or ()]
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            raise Rejected(f"Tool choice '{choice.function.name}' is not among the tools", "tool_choice")
    elif choice not in (None, "auto", "none", "required"):
        raise Rejected(f"Invalid value for tool_choice: '{choice}'", "tool_choice")
    elif choice == "required" and not names:
        raise Rejected("tool_choice 'required' needs tools", "tool_choice")


def prompt_tokens(body: Body) -> int:
    """About how many tokens the request counts for, tools included."""
    tokens = sum([turn.tokens for turn in body.messages]) + 3
    if body.tools:
        tokens += math.ceil(len(msgspec.json.encode(body.tools)) / CHARACTERS_PER_TOKEN)
    return tokens
