"""Anthropic's messages.

```
base_url = "https://api.anthropic.com/v1"
```

Options:

- `default_max_tokens`: Anthropic wants a bound for every answer; this one is sent when the caller gave none
  (4096 if the option is absent).
- `version`: the `anthropic-version` header (`2023-06-01`).
- `betas`: a list of names for the `anthropic-beta` header. A request adds its own in `extra["messages"]["betas"]`.
- `thinking`: `"adaptive"`, `"budget"` or `"none"`: how the model is told to think (see `formats.messages.thinking`);
  by default its name decides.
- `structured`: whether the model can be bound to a JSON schema; by default its name decides. Where it cannot, and for JSON
  without a schema, the answer is asked for as the call of a function (see `by_call`).
- `system_turns`: true for models that take system messages within the conversation (false).
- `max_event_bytes`: the longest streamed event that is taken, 1 MiB by default; documents that the vendor fetches
  come in one event each.
"""

from __future__ import annotations

from typing import ClassVar, Final

import httpx

from .base import Target
from .door import Door
from .formats.messages.dialect import MessagesDialect

__all__ = ["BASE_URL", "Anthropic"]

BASE_URL: Final = "https://api.anthropic.com/v1"
_VERSION: Final = "2023-06-01"


class Anthropic(MessagesDialect):
    """`POST {base_url}/messages`, with the key as `x-api-key`."""

    name: ClassVar[str] = "anthropic"

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        headers = {"anthropic-version": self._options.version or _VERSION, **self._beta_header()}
        if target.key:
            headers["x-api-key"] = target.key
        self._door = Door(httpx.URL(f"{self._base_url(BASE_URL)}/messages"), headers, target)

    def _door_for(self, *, stream: bool) -> Door:
        _ = stream
        return self._door
