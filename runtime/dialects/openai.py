"""OpenAI's chat completions, and every service that is compatible with them.

Options: those of `formats.chat_completions.quirks.Quirks`, and `organization` and `project`, which are sent as
headers; `embeddings`, a table of those of `formats.embeddings.options.Options`, for models that make them. Where `max_tokens_field` is not given, OpenAI's own address is told `max_completion_tokens` and every
other one `max_tokens`, which is what compatible services know.
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpx
import msgspec

from .base import Target
from .door import Door
from .formats.chat_completions.dialect import ChatCompletionsDialect
from .formats.chat_completions.quirks import Quirks

__all__ = ["OpenAI"]


_OWN_HOST: Final = "api.openai.com"
_OWN_EMBEDDINGS: Final = {"most_inputs": 2048, "most_tokens": 300_000, "base64": True, "tokens": True}
"""What OpenAI's own address takes: its API reference, and the bound on tokens that its refusals tell of."""


class OpenAI(ChatCompletionsDialect):
    """`POST {base_url}/chat/completions`, with the key as a bearer token; `/embeddings` beside it."""

    name: ClassVar[str] = "openai"
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "embeddings"})

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
        url = httpx.URL(f"{target.base_url}/chat/completions")
        own = url.host == _OWN_HOST
        embeddings = options.pop("embeddings", {})
        field = "max_completion_tokens" if own else "max_tokens"
        try:
            self._quirks = msgspec.convert({"max_tokens_field": field, **options}, Quirks)
        except msgspec.ValidationError as error:
            known = ", ".join(("organization", "project", "embeddings", *Quirks.__struct_fields__))
            raise ValueError(f"options of the dialect 'openai': {error}; known are {known}") from None
        self._door = Door(url, headers, target)
        if "embeddings" in target.operations:
            from .formats.embeddings.half import Embedder
            from .formats.embeddings.options import options_of

            door = Door(httpx.URL(f"{target.base_url}/embeddings"), headers, target)
            wishes = options_of(self.name, _OWN_EMBEDDINGS if own else {}, embeddings)
            self.embedder = Embedder(door, wishes, target)
