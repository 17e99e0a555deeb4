"""Ollama's own interface, which can do what its OpenAI-compatible one cannot: thinking switched on and off, the size of
the context, how long a model stays loaded.

```
base_url = "http://127.0.0.1:11434"
```

Options:

- `parameters`: Ollama's own options for every request, such as `{ num_ctx = 32768 }`. Without `num_ctx` the server cuts what
  is longer than its own default, from the beginning and without a word: give it, and the model's `context` to match.
- `keep_alive`: how long a model stays loaded after a request (`"10m"`, -1 for ever).
- `max_event_bytes`: the longest line of a stream that is taken, 1 MiB by default.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import httpx
import msgspec
from msgspec import Struct

from ..canon import Completion, Fault, Request
from ..wire.ndjson import MAX_LINE_BYTES
from .base import Answer, Built, Decoder, Dialect, Target
from .door import Door, address_of
from .formats.ollama_chat import FORMAT, reply, request, stream
from .recognise import fault_of
from .spellings.compatible import COMPATIBLE

__all__ = ["BASE_URL", "Ollama"]

BASE_URL: Final = "http://127.0.0.1:11434"


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    parameters: dict[str, Any] = {}
    keep_alive: str | int | None = None
    max_event_bytes: int = MAX_LINE_BYTES


class Ollama(Dialect):
    """`POST {base_url}/api/chat`, with the key, if there is one, as a bearer token."""

    name: ClassVar[str] = "ollama"
    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"no tool", "text document"})

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = _options(target)
        headers = {"accept": "application/x-ndjson"}
        if target.key:
            headers["authorization"] = f"Bearer {target.key}"
        self._door = Door(httpx.URL(f"{_base_url(target)}/api/chat"), headers, target)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(
            wanted,
            self.target.model,
            stream=stream,
            parameters=self._options.parameters,
            keep_alive=self._options.keep_alive,
            lenient=self.target.lenient,
        )
        return Built(self._door.request(body, stream=stream), dropped)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._options.max_event_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return fault_of(answer, COMPATIBLE)


def _base_url(target: Target) -> str:
    # With /v1 it is the address of the OpenAI-compatible interface of the same server.
    return address_of(target, BASE_URL).removesuffix("/v1")


def _options(target: Target) -> _Options:
    try:
        options = msgspec.convert(dict(target.options), _Options)
    except msgspec.ValidationError as error:
        known = ", ".join(_Options.__struct_fields__)
        raise ValueError(f"options of the dialect 'ollama': {error}; known are {known}") from None
    if options.max_event_bytes < 1:
        raise ValueError("options of the dialect 'ollama': max_event_bytes must be at least 1")
    return options
