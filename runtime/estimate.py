"""What can be said of a request before it is sent: its size in tokens, its kinds, what it needs."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .canon import Image, Message, Request, Text, Thinking, ToolCall, ToolResult

__all__ = ["Facts", "facts_of"]

BYTES_PER_TOKEN: Final = 3.5
"""Characters a token, for a mixture of prose and code: on the safe side for English."""
_MESSAGE_TOKENS: Final = 4
_IMAGE_TOKENS: Final = 1000
"""What vendors charge for one image of common size: 765 (OpenAI, 1024 x 1024), 1,600 (Anthropic, largest), 258 (Gemini)."""
_DEFAULT_OUTPUT: Final = 1024
"""Tokens reserved for an answer when the request sets no bound; settled afterwards against the real number."""


class Facts(Struct, frozen=True):
    """A request's estimated size, and what a deployment must be able to do to serve it."""

    input_tokens: int
    output_tokens: int
    kinds: frozenset[str]
    needs: frozenset[str]


_NONE: Final = frozenset[str]()


def facts_of(request: Request, long_context: int) -> Facts:
    """Size, kinds and needs of `request`; from `long_context` input tokens on it is of that kind."""
    characters = 0
    images = 0
    for message in request.messages:
        size, pictures = _size(message)
        characters += size
        images += pictures
    for tool in request.tools:
        characters += (
            len(tool.name)
            + len(tool.description or "")
            + (len(str(tool.parameters)) if tool.parameters else 0)
        )
    tokens = (
        int(characters / BYTES_PER_TOKEN) + _MESSAGE_TOKENS * len(request.messages) + _IMAGE_TOKENS * images
    )
    output = (request.max_tokens or _DEFAULT_OUTPUT) * (request.n or 1)
    if not (request.tools or images or request.output) and tokens < long_context:
        return Facts(tokens, output, _NONE, _NONE)
    needs = {
        name
        for name, wanted in (("tools", request.tools), ("vision", images), ("json", request.output))
        if wanted
    }
    kinds = needs | {"long_context"} if tokens >= long_context else needs
    return Facts(tokens, output, frozenset(kinds), frozenset(needs))


def _size(message: Message) -> tuple[int, int]:
    """Characters and images of one message."""
    content = message.content
    if isinstance(content, str):
        return len(content), 0
    characters = images = 0
    for part in content:
        if isinstance(part, Text | Thinking):
            characters += len(part.text)
        elif isinstance(part, Image):
            images += 1
        elif isinstance(part, ToolCall):
            characters += len(part.name) + len(part.arguments)
        elif isinstance(part, ToolResult):
            size, pictures = _size(Message("tool", part.content))
            characters += size
            images += pictures
    return characters, images
