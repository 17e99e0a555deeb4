"""Anthropic's messages.

Options:

- `default_max_tokens`: Anthropic wants a bound for every answer; this one is sent when the caller gave none
  (4096 if the option is absent).
- `version`: the `anthropic-version` header (`2023-06-01`).
- `betas`: a list of names for the `anthropic-beta` header.
"""

from __future__ import annotations

from typing import ClassVar

import httpx
import msgspec
from msgspec import Struct

from ..canon import Completion, Fault, Request
from .base import Answer, Built, Decoder, Dialect, Target
from .door import Door
from .formats.messages import FORMAT, faults, reply, request, stream

__all__ = ["Anthropic"]


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    default_max_tokens: int = 4096
    version: str = "2023-06-01"
    betas: list[str] = []


class Anthropic(Dialect):
    """`POST {base_url}/messages`, with the key as `x-api-key`."""

    name: ClassVar[str] = "anthropic"
    format: ClassVar[str] = FORMAT

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        try:
            self._options = msgspec.convert(dict(target.options), _Options)
        except msgspec.ValidationError as error:
            known = ", ".join(_Options.__struct_fields__)
            raise ValueError(f"options of the dialect 'anthropic': {error}; known are {known}") from None
        if self._options.default_max_tokens < 1:
            raise ValueError("options of the dialect 'anthropic': default_max_tokens must be at least 1")
        headers = {"anthropic-version": self._options.version}
        if self._options.betas:
            headers["anthropic-beta"] = ",".join(self._options.betas)
        if target.key:
            headers["x-api-key"] = target.key
        self._door = Door(httpx.URL(f"{target.base_url}/messages"), headers, target)

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(
            wanted,
            self.target.model,
            stream=stream,
            default_max_tokens=self._options.default_max_tokens,
            lenient=self.target.lenient,
        )
        betas = wanted.extra.get(FORMAT, {}).get("betas")
        more = {"anthropic-beta": ",".join([*self._options.betas, *betas])} if betas else None
        return Built(self._door.request(body, stream=stream, more=more), dropped)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader()

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)
