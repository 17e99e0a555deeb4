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

import httpx
import msgspec

from ..canon import Completion, Fault, Request
from .base import Answer, Built, Decoder, Dialect, Target
from .door import Door
from .formats.embed_content.half import Embedder, options_of
from .formats.generate_content import FORMAT, StreamDecoder, read_completion, read_fault, write
from .formats.generate_content.stream import EVENT_LIMIT

__all__ = ["BASE_URL", "Google"]

BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"

_COLLECTIONS: Final = ("models/", "tunedModels/")
_OPTIONS: Final = ("embeddings", "max_event_bytes", "thinking")


class Google(Dialect):
    """One model of the Gemini API. `rng` serves the ids of tool calls where the vendor gives none."""

    name: ClassVar[str] = "google"
    format: ClassVar[str] = FORMAT
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "embeddings"})

    def __init__(self, target: Target, rng: Random | None = None) -> None:
        super().__init__(target)
        self._rng = rng or Random()
        self._thinking = _thinking(target)
        self._limit = _limit(target)
        model = target.model if target.model.startswith(_COLLECTIONS) else f"models/{target.model}"
        address = f"{_base_url(target)}/{quote(model, safe='/-._~:@')}"
        self._url = httpx.URL(f"{address}:generateContent")
        self._stream_url = httpx.URL(f"{address}:streamGenerateContent?alt=sse")
        self._headers = _headers(target, self._url)
        embedding = options_of(target, self._url.host)
        if "embeddings" in target.operations:
            key = {} if target.key is None else {"x-goog-api-key": target.key}

            def place(method: str) -> Door:
                return Door(httpx.URL(f"{address}:{method}"), key, target)

            self.embedder = Embedder(place, model, embedding, target)

    def build(self, request: Request, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = write(
            request, self.target.model, lenient=self.target.lenient, thinking=self._thinking
        )
        content = msgspec.json.encode(body)
        return Built(
            httpx.Request(
                "POST",
                self._stream_url if stream else self._url,
                headers=[*self._headers, (b"content-length", b"%d" % len(content))],
                stream=httpx.ByteStream(content),
            ),
            dropped,
        )

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return read_completion(body, self._rng)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return StreamDecoder(self._rng, self._limit)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return read_fault(answer)


def _base_url(target: Target) -> str:
    url = target.base_url.rstrip("/")
    if not url.startswith(("https://", "http://")) or "?" in url or "#" in url:
        raise ValueError(
            f"base_url {target.base_url!r} of vendor {target.vendor!r} is no address; use {BASE_URL!r}"
        )
    if not target.model:
        raise ValueError(f"a deployment of vendor {target.vendor!r} names no model")
    return url


def _thinking(target: Target) -> str | None:
    for name in target.options:
        if name not in _OPTIONS:
            raise ValueError(f"the google dialect has no option {name!r}; it has {', '.join(_OPTIONS)}")
    thinking = target.options.get("thinking")
    if thinking not in (None, "level", "budget"):
        raise ValueError(f"option thinking is {thinking!r}; use 'level' or 'budget', or leave it out")
    return thinking


def _limit(target: Target) -> int:
    limit = target.options.get("max_event_bytes", EVENT_LIMIT)
    if type(limit) is not int or limit <= 0:
        raise ValueError(f"option max_event_bytes is {limit!r}; use a number of bytes above 0")
    return limit


def _headers(target: Target, url: httpx.URL) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that do not depend on the request; the target's own replace those of the same name."""
    headers = {"host": url.netloc.decode("ascii"), "content-type": "application/json"}
    if target.key is not None:
        headers["x-goog-api-key"] = target.key
    headers.update({name.lower(): value for name, value in target.headers.items()})
    return tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items())
