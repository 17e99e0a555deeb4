"""Vertex AI: Gemini models, and others that speak its format, in a project of Google's cloud.

```
base_url = "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/us-central1"
base_url = "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global"
api_key = "/path/of/service-account.json"
```

The key is one of these:

- the path of a file of credentials: of a service account (with the extra `vertex`), or what `gcloud auth
  application-default login` leaves behind;
- `metadata`, on a machine of Google's cloud: the machine's own account;
- an access token (`ya29....`, as `gcloud auth print-access-token` prints it), which expires within the hour;
- an API key.

A model is named as in Vertex's list (`gemini-3.8-flash`), or by its path from the project on (`publishers/meta/models/...`,
`endpoints/...`). Options: those of the dialect `google`.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, Final
from urllib.parse import quote

from ..credentials.base import Credentials
from ..credentials.google import GoogleToken, grant_of, names_a_grant
from .base import Target
from .formats.generate_content.dialect import GenerateContentDialect

__all__ = ["BASE_URL", "Vertex"]

BASE_URL: Final = "https://us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/us-central1"

_COLLECTIONS: Final = ("publishers/", "endpoints/")
_ACCESS_TOKEN: Final = "ya29."


class Vertex(GenerateContentDialect):
    """`POST {base_url}/publishers/google/models/{model}:generateContent`, or `:streamGenerateContent`."""

    name: ClassVar[str] = "vertex"

    def __init__(self, target: Target, rng: Random | None = None) -> None:
        super().__init__(target, rng)
        model = target.model
        path = model if model.startswith(_COLLECTIONS) else f"publishers/google/models/{model}"
        self._named = bool(target.key) and names_a_grant(target.key or "")
        headers: dict[str, str] = {}
        if target.key and target.key.startswith(_ACCESS_TOKEN):
            headers["authorization"] = f"Bearer {target.key}"
        elif target.key and not self._named:
            headers["x-goog-api-key"] = target.key
        self._settle_at(f"{self._base_url(BASE_URL)}/{quote(path, safe='/-._~:@')}", headers, path)

    def credentials(self) -> Credentials | None:
        """See `Dialect.credentials`. Raises `ValueError` for a file that cannot be used."""
        return GoogleToken(grant_of(self.target.key or "")) if self._named else None
