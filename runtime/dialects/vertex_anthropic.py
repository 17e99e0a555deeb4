"""Anthropic's models on Vertex AI: the messages format, with the model in the address and the version in the body.

```
base_url = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/locations/us-east5"
api_key = "/path/of/service-account.json"
```

The key is as of the dialect `vertex` (an API key does not do here), the options as of `anthropic`. A model is named as in
Vertex's list: `claude-sonnet-4-6`, or with a version `claude-haiku-4-5@20251001`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

import httpx

from ..credentials.base import Credentials
from ..credentials.google import GoogleToken, grant_of, names_a_grant
from .base import Target
from .door import Door
from .formats.messages.dialect import MessagesDialect

__all__ = ["BASE_URL", "VertexAnthropic"]

BASE_URL: Final = "https://us-east5-aiplatform.googleapis.com/v1/projects/my-project/locations/us-east5"
_VERSION: Final = "vertex-2023-10-16"


class VertexAnthropic(MessagesDialect):
    """`POST {base_url}/publishers/anthropic/models/{model}:rawPredict`, or `:streamRawPredict`."""

    name: ClassVar[str] = "vertex-anthropic"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._named = bool(target.key) and names_a_grant(target.key or "")
        headers = self._beta_header()
        if target.key and not self._named:
            headers["authorization"] = f"Bearer {target.key}"
        model = quote(target.model, safe="-._~@")
        address = f"{self._base_url(BASE_URL)}/publishers/anthropic/models/{model}"
        self._plain = Door(httpx.URL(f"{address}:rawPredict"), headers, target)
        self._streamed = Door(httpx.URL(f"{address}:streamRawPredict"), headers, target)

    def credentials(self) -> Credentials | None:
        """See `Dialect.credentials`. Raises `ValueError` for a file that cannot be used."""
        return GoogleToken(grant_of(self.target.key or "")) if self._named else None

    def _door_for(self, *, stream: bool) -> Door:
        return self._streamed if stream else self._plain

    def _opening(self) -> Mapping[str, Any]:
        return {"anthropic_version": self._options.version or _VERSION}
