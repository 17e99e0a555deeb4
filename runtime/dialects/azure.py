"""Azure OpenAI: chat completions, embeddings and text completions behind deployment-based paths.

Options, beside those of `formats.chat_completions.quirks.Quirks`:

- `api_version`: such as `2024-10-21` (the default). `v1` speaks the newer interface without versions, where
  the deployment's name goes into the body as `model`.
- `bearer`: true if the key is an Entra ID (AAD) token and not an API key;
- `embeddings` and `completions`: tables, as of the dialect `openai`.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

import httpx
import msgspec

from .base import Target
from .door import Door
from .formats.chat_completions.dialect import ChatCompletionsDialect
from .formats.chat_completions.halves import OPTIONS, OWN_EMBEDDINGS, embeddings_half, texts_half
from .formats.chat_completions.quirks import Quirks

__all__ = ["Azure"]


class Azure(ChatCompletionsDialect):
    """`POST {endpoint}/openai/deployments/{deployment}/chat/completions?api-version=...`, and so on."""

    name: ClassVar[str] = "azure"
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "completions", "embeddings"})

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        options = dict(target.options)
        version = str(options.pop("api_version", "2024-10-21"))
        bearer = bool(options.pop("bearer", False))
        embeddings, completions = (options.pop(name, {}) for name in OPTIONS)
        base = target.base_url.removesuffix("/openai/v1").removesuffix("/openai")
        if version == "v1":
            before, after = f"{base}/openai/v1/", ""
        else:
            before = f"{base}/openai/deployments/{quote(target.model, safe='')}/"
            after = f"?api-version={quote(version)}"
        try:
            self._quirks = msgspec.convert(options, Quirks)
        except msgspec.ValidationError as error:
            known = ", ".join(("api_version", "bearer", *OPTIONS, *Quirks.__struct_fields__))
            raise ValueError(f"options of the dialect 'azure': {error}; known are {known}") from None
        headers: dict[str, str] = {}
        if target.key:
            headers = {"authorization": f"Bearer {target.key}"} if bearer else {"api-key": target.key}

        def place(path: str) -> Door:
            return Door(httpx.URL(f"{before}{path}{after}"), headers, target)

        self._door = place("chat/completions")
        self.embedder = embeddings_half(self, place, OWN_EMBEDDINGS, embeddings)
        self.texts = texts_half(self, place, self._quirks, completions)
