"""What can be said of a request before it is sent: its size in tokens, its kinds, what it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from .canon import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

__all__ = ["BYTES_PER_TOKEN", "Facts", "characters_of", "facts_of", "most_tokens"]

BYTES_PER_TOKEN: Final = 3.5
"""Characters a token, for a mixture of prose and code: on the safe side for English."""
_MESSAGE_TOKENS: Final = 4
_IMAGE_TOKENS: Final = 1000
"""What vendors charge for one image of common size: 765 (OpenAI, 1024 x 1024), 1,600 (Anthropic, largest), 258 (Gemini)."""
_FILE_TOKENS: Final = 3000
"""A document at a URL, of which nothing else is known: a page or two."""
_FILE_BYTES_PER_TOKEN: Final = 50
"""Base64 of a PDF: a page is some 100 KB and costs 1,500 to 3,000 tokens, since vendors read it as text and as an image."""
_AUDIO_BYTES_PER_TOKEN: Final = 700
"""Base64 of sound: a second of MP3 is 16 KB and costs 32 tokens (Gemini) or fewer (OpenAI)."""
_BLOBS: Final = frozenset({"data", "file_data"})
"""Fields whose texts are base64, whichever format they stand in."""
_MOST_FILE_TOKENS: Final = 300_000
"""More than any vendor is known to read of one document: a hundred pages (Anthropic)."""
_MOST_IMAGE_TOKENS: Final = 20_000
"""More than any vendor is known to charge for one image."""
_CACHED_TOKENS: Final = 1024
"""The shortest beginning that OpenAI and Anthropic keep in their prompt caches."""
_DEFAULT_OUTPUT: Final = 1024
"""Tokens reserved for an answer when the request sets no bound; settled afterwards against the real number."""


class Facts(Struct, frozen=True):
    """A request's estimated size, and what a deployment must be able to do to serve it."""

    input_tokens: int
    output_tokens: int
    kinds: frozenset[str]
    needs: frozenset[str]
    size: int
    """Characters of text, and of images that are sent along: about the bytes that the request keeps in memory."""
    prefix: int | None = None
    """A digest of how the request begins, if it is long enough for vendors to keep that in a cache."""
    window: int | None = None
    """Tokens that have to fit into a context window, where those are not all that goes in."""


_NONE: Final = frozenset[str]()
_CHAT: Final = frozenset({"chat"})


def facts_of(request: Request, long_context: int) -> Facts:
    """Size, kinds and needs of `request`; from `long_context` input tokens on it is of that kind."""
    size = _Size()
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            size.characters += len(content)
        else:
            size.add(content)
    for tool in request.tools:
        size.characters += (
            len(tool.name)
            + len(tool.description or "")
            + (len(str(tool.parameters)) if tool.parameters else 0)
        )
        if tool.extra:
            size.add_fields(tool.extra.values())
    tools = bool(request.tools)
    if request.extra:
        # The vendors' own tools are here, and documents that stand beside the messages.
        size.add_fields(request.extra.values())
        tools = tools or any("tools" in fields for fields in request.extra.values())
    tokens = size.tokens + _MESSAGE_TOKENS * len(request.messages)
    output = (request.max_tokens or _DEFAULT_OUTPUT) * (request.n or 1)
    kept = size.characters + size.data
    if not (tools or size.images or request.output) and tokens < long_context:
        return Facts(tokens, output, _NONE, _CHAT, kept, _prefix_of(request, tokens))
    needs = {
        name
        for name, wanted in (("tools", tools), ("vision", size.images), ("json", request.output))
        if wanted
    }
    kinds = needs | {"long_context"} if tokens >= long_context else needs
    prefix = _prefix_of(request, tokens)
    return Facts(tokens, output, frozenset(kinds), _CHAT | needs, kept, prefix)


def _prefix_of(request: Request, tokens: int) -> int | None:
    """The digest of the first `_CACHED_TOKENS`: tools first, as vendors lay a prompt out, then the messages.

    A hash that is the same in every process, so that several dispatchers send the same prefix to the same place.
    """
    if tokens < _CACHED_TOKENS:
        return None
    left = int(_CACHED_TOKENS * BYTES_PER_TOKEN)
    digest = hashlib.blake2b(digest_size=8)
    for part in (*request.tools, *request.messages):
        text = part.content if isinstance(part, Message) and isinstance(part.content, str) else None
        data = msgspec.json.encode(part) if text is None else text[:left].encode("utf-8", "surrogatepass")
        digest.update(data[:left])
        left -= len(data)
        if left <= 0:
            break
    return int.from_bytes(digest.digest(), "big")


def most_tokens(request: Request, most_output: int) -> Usage:
    """The largest usage that `request` can come to where an answer has at most `most_output` tokens.

    A token is at least one byte of what is sent. What a vendor adds by itself (a hidden prompt, the results of
    tools that it runs on its side) cannot be known here and is not included.
    """
    size = len(msgspec.json.encode(request))
    for message in request.messages:
        if not isinstance(message.content, str):
            found = _Size()
            found.add(message.content)
            # What an image costs depends on its pixels, and what a document costs on its pages, not on the bytes sent.
            size += found.images * _MOST_IMAGE_TOKENS - found.image_data + found.files * _MOST_FILE_TOKENS
    output = min(request.max_tokens or most_output, most_output)
    return Usage(input_tokens=size, output_tokens=output * (request.n or 1))


def characters_of(parts: Sequence[Part]) -> int:
    """Characters of text and of tool calls in an answer's parts. What only its format understands (the results of a vendor's
    own tools) is not what the model wrote."""
    size = _Size()
    size.add([part for part in parts if not isinstance(part, Opaque)])
    return size.characters


class _Size:
    """Of messages' parts: characters of text; how many images and documents; base64 of images, and of all media; tokens
    of documents and sound."""

    __slots__ = ("characters", "data", "files", "image_data", "images", "media_tokens")

    def __init__(self) -> None:
        self.characters = self.images = self.files = self.image_data = self.data = self.media_tokens = 0

    @property
    def tokens(self) -> int:
        """About so many, of everything together."""
        return int(self.characters / BYTES_PER_TOKEN) + _IMAGE_TOKENS * self.images + self.media_tokens

    def add(self, parts: Sequence[Part]) -> None:
        """Add a message's parts."""
        for part in parts:
            if isinstance(part, Text | Thinking | Refusal):
                self.characters += len(part.text)
            elif isinstance(part, ToolCall):
                self.characters += len(part.name) + len(part.arguments)
            elif isinstance(part, ToolResult):
                if isinstance(part.content, str):
                    self.characters += len(part.content)
                else:
                    self.add(part.content)
            elif isinstance(part, Image | File | Audio):
                self._media(part)
            elif isinstance(part, Opaque):
                self.add_fields([part.payload])

    def add_fields(self, values: Iterable[Any]) -> None:
        """Add the texts within JSON values, such as parts and tools that only one format understands; base64 is data."""
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                self.characters += len(value)
            elif isinstance(value, dict):
                for name, inner in value.items():
                    if name in _BLOBS and isinstance(inner, str) and value.get("type") != "text":
                        self.data += len(inner)
                        self.media_tokens += len(inner) // _FILE_BYTES_PER_TOKEN
                    else:
                        waiting.append(inner)
            elif isinstance(value, list):
                waiting += value

    def _media(self, part: Image | File | Audio) -> None:
        size = len(part.data or "")
        self.data += size
        if isinstance(part, Image):
            self.images += 1
            self.image_data += size
        elif isinstance(part, Audio):
            self.media_tokens += size // _AUDIO_BYTES_PER_TOKEN
        elif (part.media_type or "").startswith("text/"):
            self.files += not part.data
            self.media_tokens += int(size * 0.75 / BYTES_PER_TOKEN)
        else:
            self.files += 1
            self.media_tokens += size // _FILE_BYTES_PER_TOKEN if size else _FILE_TOKENS
