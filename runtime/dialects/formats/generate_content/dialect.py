"""What every dialect of the generate-content format shares: all but where a model is, and with which headers it is asked."""

from __future__ import annotations

from random import Random
from typing import ClassVar, Final

import httpx
import msgspec

from ....canon import Completion, Fault, Request
from ...base import Answer, Built, Decoder, Dialect, Target
from ...door import Door, address_of
from ..embed_content.half import Embedder, options_of
from .faults import read_fault
from .reply import read_completion
from .request import write
from .stream import EVENT_LIMIT, StreamDecoder
from .wire import FORMAT

__all__ = ["GenerateContentDialect"]

_OPTIONS: Final = ("embeddings", "max_event_bytes", "thinking")


class GenerateContentDialect(Dialect):
    """A subclass calls `_settle_at`. `rng` serves the ids of tool calls where the vendor gives none."""

    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"system message later on"})
    operations: ClassVar[frozenset[str]] = frozenset({"chat", "embeddings"})

    def __init__(self, target: Target, rng: Random | None = None) -> None:
        super().__init__(target)
        self._rng = rng or Random()
        self._thinking = self._read_thinking()
        self._limit = self._read_limit()

    def _settle_at(self, address: str, headers: dict[str, str], model: str) -> None:
        """The model's own address, and what does not depend on the request; the target's headers replace those of the
        same name. `model`: its name within bodies."""
        self._url = httpx.URL(f"{address}:generateContent")
        self._stream_url = httpx.URL(f"{address}:streamGenerateContent?alt=sse")
        all_headers = {
            "host": self._url.netloc.decode("ascii"),
            "content-type": "application/json",
            **headers,
            **{name.lower(): value for name, value in self.target.headers.items()},
        }
        self._headers = tuple(
            (name.encode("ascii"), value.encode("latin-1")) for name, value in all_headers.items()
        )
        embedding = options_of(self.target, self._url.host)
        if "embeddings" in self.target.operations:

            def place(method: str) -> Door:
                return Door(httpx.URL(f"{address}:{method}"), headers, self.target)

            self.embedder = Embedder(place, model, embedding, self.target)

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

    def _base_url(self, usual: str) -> str:
        """The target's address. `usual`: what to write instead of one that is none."""
        if not self.target.model:
            raise ValueError(f"a deployment of vendor {self.target.vendor!r} names no model")
        return address_of(self.target, usual)

    def _read_thinking(self) -> str | None:
        options = self.target.options
        for name in options:
            if name not in _OPTIONS:
                raise ValueError(
                    f"the {self.name} dialect has no option {name!r}; it has {', '.join(_OPTIONS)}"
                )
        thinking = options.get("thinking")
        if thinking not in (None, "level", "budget"):
            raise ValueError(f"option thinking is {thinking!r}; use 'level' or 'budget', or leave it out")
        return thinking

    def _read_limit(self) -> int:
        limit = self.target.options.get("max_event_bytes", EVENT_LIMIT)
        if type(limit) is not int or limit <= 0:
            raise ValueError(f"option max_event_bytes is {limit!r}; use a number of bytes above 0")
        return limit
