"""OpenAI's chat completions, and every service that is compatible with them.

Options: those of `formats.chat_completions.quirks.Quirks`, and `organization` and `project`, which are sent as
headers; and for models that do more than chat two tables, `embeddings` (`formats.embeddings.options.Options`) and
`completions` (`formats.chat_completions.halves`). Where `max_tokens_field` is not given, OpenAI's own address is told `max_completion_tokens` and every
other one `max_tokens`, which is what compatible services know.
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpx
import msgspec

from .base import Target
from .door import Door
from .formats.chat_completions.dialect import ChatCompletionsDialect
from .formats.chat_completions.halves import OPTIONS, OWN_EMBEDDINGS, embeddings_half, texts_half
from .formats.chat_completions.quirks import Quirks

__all__ = ["OpenAI"]


_OWN_HOST: Final = "api.openai.com"


class OpenAI(ChatCompletionsDialect):
    """`POST {base_url}/chat/completions`, with the key as a bearer token; `/embeddings` and `/completions` beside it."""

    name: ClassVar[str] = "openai"
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "completions", "embeddings"})

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        options = dict(target.options)
        headers = {
            header: str(options.pop(option))
            for option, header in (("organization", "openai-organization"), ("project", "openai-project"))
            if option in options
        }
        if target.key:
            headers["authorization"] = f"Bearer {target.key}"
        embeddings, completions = (options.pop(name, {}) for name in OPTIONS)
        url = httpx.URL(f"{target.base_url}/chat/completions")
        own = url.host == _OWN_HOST
        field = "max_completion_tokens" if own else "max_tokens"
        try:
            self._quirks = msgspec.convert({"max_tokens_field": field, **options}, Quirks)
        except msgspec.ValidationError as error:
            known = ", ".join(("organization", "project", *OPTIONS, *Quirks.__struct_fields__))
            raise ValueError(f"options of the dialect 'openai': {error}; known are {known}") from None
        self._door = Door(url, headers, target)

        def place(path: str) -> Door:
            there = url.copy_with(path=path) if path[0] == "/" else httpx.URL(f"{target.base_url}/{path}")
            return Door(there, headers, target)

        self.embedder = embeddings_half(self, place, OWN_EMBEDDINGS if own else {}, embeddings)
        self.texts = texts_half(self, place, self._quirks, completions)
