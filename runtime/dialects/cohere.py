"""Cohere's chat (`v2/chat`) and embeddings (`v2/embed`).

```
base_url = "https://api.cohere.com/v2"
```

Options:

- `max_event_bytes`: the longest streamed event that is taken, 1 MiB by default; a citation quotes whole documents;
- `embeddings`: a table of those of `formats.cohere_embed.half.Options`, for models that make them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import httpx
import msgspec
from msgspec import Struct

from ..canon import Completion, Fault, Request
from ..wire.sse import MAX_EVENT_BYTES
from .base import Answer, Built, Decoder, Dialect, Target
from .door import Door, address_of
from .formats.cohere_chat import FORMAT, faults, reply, request, stream
from .formats.cohere_embed.half import Embedder, options_of

__all__ = ["BASE_URL", "Cohere"]

BASE_URL: Final = "https://api.cohere.com/v2"


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    max_event_bytes: int = MAX_EVENT_BYTES
    embeddings: dict[str, Any] = {}


class Cohere(Dialect):
    """`POST {base_url}/chat` and `/embed`, with the key as a bearer token."""

    name: ClassVar[str] = "cohere"
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "embeddings"})
    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"a named tool", "text document"})

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = _options(target)
        headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
        self._door = Door(httpx.URL(f"{address_of(target, BASE_URL)}/chat"), headers, target)
        embedding = options_of(self._options.embeddings)
        if "embeddings" in target.operations:
            self.embedder = Embedder(
                Door(httpx.URL(f"{address_of(target, BASE_URL)}/embed"), headers, target), embedding, target
            )

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(wanted, self.target.model, stream=stream, lenient=self.target.lenient)
        return Built(self._door.request(body, stream=stream), dropped)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._options.max_event_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)


def _options(target: Target) -> _Options:
    try:
        options = msgspec.convert(dict(target.options), _Options)
    except msgspec.ValidationError as error:
        known = ", ".join(_Options.__struct_fields__)
        raise ValueError(f"options of the dialect 'cohere': {error}; known are {known}") from None
    if options.max_event_bytes < 1:
        raise ValueError("options of the dialect 'cohere': max_event_bytes must be at least 1")
    return options
