"""Google's Gemini API: `generateContent` with a key in `x-goog-api-key`, and embeddings.

```
base_url = "https://generativelanguage.googleapis.com/v1beta"
```

A model is named as in the vendor's list, with or without `models/` before it; `tunedModels/...` works too.
Streams are asked for as server-sent events. Options:

- `thinking`: `"level"` or `"budget"`, how the model is told to think; by default its name decides (a level
  from Gemini 3 on), which cannot be seen in names such as `gemini-flash-latest`;
- `max_event_bytes`: the longest streamed event that is taken, 1 MiB by default; models that make pictures
  send each in one event;
- `embeddings`: a table of those of `formats.embed_content.half.Options`, for models that make them. Which of Google's ways
  of asking for them a model takes is found by its name and the address.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, Final
from urllib.parse import quote

from .base import Target
from .formats.generate_content.dialect import GenerateContentDialect

__all__ = ["BASE_URL", "Google"]

BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"

_COLLECTIONS: Final = ("models/", "tunedModels/")


class Google(GenerateContentDialect):
    """One model of the Gemini API. `rng` serves the ids of tool calls where the vendor gives none."""

    name: ClassVar[str] = "google"

    def __init__(self, target: Target, rng: Random | None = None) -> None:
        super().__init__(target, rng)
        model = target.model if target.model.startswith(_COLLECTIONS) else f"models/{target.model}"
        headers = {} if target.key is None else {"x-goog-api-key": target.key}
        self._settle_at(f"{self._base_url(BASE_URL)}/{quote(model, safe='/-._~:@')}", headers, model)
