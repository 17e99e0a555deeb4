"""Azure OpenAI: responses. The deployment's name goes into the body as `model`.

Options, beside those of `formats.responses.options.Options`:

- `api_version`: `v1` (the default) speaks the interface without versions; an older one is named by its date, such as
  `2025-03-01-preview`.
- `bearer`: true if the key is an Entra ID (AAD) token and not an API key.

Whether a model thinks is guessed from the deployment's name; where that says nothing, set `sealed_thoughts`.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

import httpx

from .base import Target
from .door import Door
from .formats.responses.dialect import ResponsesDialect, options_of

__all__ = ["AzureResponses"]


class AzureResponses(ResponsesDialect):
    """`POST {endpoint}/openai/v1/responses`, or `{endpoint}/openai/responses?api-version=...`."""

    name: ClassVar[str] = "azure-responses"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        options = dict(target.options)
        version = str(options.pop("api_version", "v1"))
        bearer = bool(options.pop("bearer", False))
        base = target.base_url.removesuffix("/openai/v1").removesuffix("/openai")
        path = "v1/responses" if version == "v1" else f"responses?api-version={quote(version)}"
        headers: dict[str, str] = {}
        if target.key:
            headers = {"authorization": f"Bearer {target.key}"} if bearer else {"api-key": target.key}
        self._options = options_of(self.name, options, "api_version", "bearer")
        self._door = Door(httpx.URL(f"{base}/openai/{path}"), headers, target)
