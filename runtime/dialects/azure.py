"""Azure OpenAI: chat completions behind deployment-based paths.

Options, beside those of `formats.chat_completions.quirks.Quirks`:

- `api_version`: such as `2024-10-21` (the default). `v1` speaks the newer interface without versions, where
  the deployment's name goes into the body as `model`.
- `bearer`: true if the key is an Entra ID (AAD) token and not an API key.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

import httpx
import msgspec

from .base import Target
from .door import Door
from .formats.chat_completions.dialect import ChatCompletionsDialect
from .formats.chat_completions.quirks import Quirks

__all__ = ["Azure"]


class Azure(ChatCompletionsDialect):
    """`POST {endpoint}/openai/deployments/{deployment}/chat/completions?api-version=...`."""

    name: ClassVar[str] = "azure"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        options = dict(target.options)
        version = str(options.pop("api_version", "2024-10-21"))
        bearer = bool(options.pop("bearer", False))
        base = target.base_url.removesuffix("/openai/v1").removesuffix("/openai")
        if version == "v1":
            url = f"{base}/openai/v1/chat/completions"
        else:
            deployment = quote(target.model, safe="")
            url = f"{base}/openai/deployments/{deployment}/chat/completions?api-version={quote(version)}"
        try:
            self._quirks = msgspec.convert(options, Quirks)
        except msgspec.ValidationError as error:
            known = ", ".join(("api_version", "bearer", *Quirks.__struct_fields__))
            raise ValueError(f"options of the dialect 'azure': {error}; known are {known}") from None
        headers: dict[str, str] = {}
        if target.key:
            headers = {"authorization": f"Bearer {target.key}"} if bearer else {"api-key": target.key}
        self._door = Door(httpx.URL(url), headers, target)
