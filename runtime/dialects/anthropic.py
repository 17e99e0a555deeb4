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

import re
from typing import Any, ClassVar, Final

import httpx
import msgspec
from msgspec import Struct

from ..canon import Completion, Fault, JsonOutput, Request
from ..wire.sse import MAX_EVENT_BYTES
from .base import Answer, Built, Decoder, Dialect, Target, Unsupported
from .by_call import asked_by_call
from .door import Door
from .formats.messages import FORMAT, faults, reply, request, stream
from .formats.messages.structured import has_structured_outputs
from .formats.messages.thinking import Way

__all__ = ["BASE_URL", "Anthropic"]

BASE_URL: Final = "https://api.anthropic.com/v1"

_HEADER_WORD: Final = re.compile(r"[A-Za-z0-9._-]+")


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    default_max_tokens: int = request.DEFAULT_MAX_TOKENS
    version: str = "2023-06-01"
    betas: list[str] = []
    thinking: Way | None = None
    system_turns: bool = False
    structured: bool | None = None
    max_event_bytes: int = MAX_EVENT_BYTES


class Anthropic(Dialect):
    """`POST {base_url}/messages`, with the key as `x-api-key`."""

    name: ClassVar[str] = "anthropic"
    format: ClassVar[str] = FORMAT

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = _options(target)
        stated = self._options.structured
        self._structured = has_structured_outputs(target.model) if stated is None else stated
        headers = {"anthropic-version": self._options.version}
        if self._options.betas:
            headers["anthropic-beta"] = ",".join(self._options.betas)
        if target.key:
            headers["x-api-key"] = target.key
        self._door = Door(httpx.URL(f"{_base_url(target)}/messages"), headers, target)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        options = self._options
        asked = None if wanted.output is None or self._binds(wanted.output) else asked_by_call(wanted)
        body, dropped = request.write(
            wanted if asked is None else asked,
            self.target.model,
            stream=stream,
            default_max_tokens=options.default_max_tokens,
            thinking=options.thinking,
            system_turns=options.system_turns,
            structured=self._structured,
            lenient=self.target.lenient,
        )
        own = wanted.extra.get(FORMAT)
        more = self._betas(own["betas"]) if own and own.get("betas") else None
        return Built(self._door.request(body, stream=stream, more=more), dropped, asked is not None)

    def _binds(self, output: JsonOutput) -> bool:
        """Whether the model itself can be bound to the wanted JSON."""
        return self._structured and output.schema is not None

    def _betas(self, wanted: Any) -> dict[str, str]:
        if not isinstance(wanted, list) or not all(
            isinstance(name, str) and _HEADER_WORD.fullmatch(name) for name in wanted
        ):
            raise Unsupported(
                "messages.betas that is not a list of names", "give names such as 'a-2025-01-01'"
            )
        return {"anthropic-beta": ",".join(dict.fromkeys([*self._options.betas, *wanted]))}

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._options.max_event_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)


def _base_url(target: Target) -> str:
    url = target.base_url.rstrip("/")
    if not url.startswith(("https://", "http://")) or "?" in url or "#" in url:
        raise ValueError(
            f"base_url {target.base_url!r} of vendor {target.vendor!r} is no address; use {BASE_URL!r}"
        )
    return url


def _options(target: Target) -> _Options:
    where = "options of the dialect 'anthropic': "
    try:
        options = msgspec.convert(dict(target.options), _Options)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}{error}; known are {', '.join(_Options.__struct_fields__)}") from None
    for name in ("default_max_tokens", "max_event_bytes"):
        if getattr(options, name) < 1:
            raise ValueError(f"{where}{name} must be at least 1")
    for word in (options.version, *options.betas):
        if not _HEADER_WORD.fullmatch(word):
            raise ValueError(
                f"{where}{word!r} is no word for a header; use letters, digits, '.', '-' and '_'"
            )
    return options
