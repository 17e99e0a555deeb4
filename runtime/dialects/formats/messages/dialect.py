"""What every dialect of the messages format shares: all but the doors, and how a request's body begins."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from ....canon import Completion, Fault, JsonOutput, Request
from ....wire.sse import MAX_EVENT_BYTES
from ...base import Answer, Built, Decoder, Dialect, Target, Unsupported
from ...by_call import asked_by_call
from ...door import Door, address_of
from . import FORMAT, faults, reply, request, stream
from .structured import has_structured_outputs
from .thinking import Way

__all__ = ["MessagesDialect", "Options"]

_HEADER_WORD: Final = re.compile(r"[A-Za-z0-9._-]+")


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a dialect of this format; see `dialects.anthropic` for what they mean."""

    default_max_tokens: int = request.DEFAULT_MAX_TOKENS
    version: str | None = None
    betas: list[str] = []
    thinking: Way | None = None
    system_turns: bool = False
    structured: bool | None = None
    max_event_bytes: int = MAX_EVENT_BYTES


class MessagesDialect(Dialect):
    """A subclass knows its doors."""

    format: ClassVar[str] = FORMAT

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._options = self._read_options(target)
        stated = self._options.structured
        self._structured = has_structured_outputs(target.model) if stated is None else stated

    @abstractmethod
    def _door_for(self, *, stream: bool) -> Door:
        """Where a request goes."""

    def _opening(self) -> Mapping[str, Any]:
        """How a request's body begins."""
        return {"model": self.target.model}

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        options = self._options
        asked = None if wanted.output is None or self._binds(wanted.output) else asked_by_call(wanted)
        body, dropped = request.write(
            wanted if asked is None else asked,
            self.target.model,
            opening=self._opening(),
            stream=stream,
            default_max_tokens=options.default_max_tokens,
            thinking=options.thinking,
            system_turns=options.system_turns,
            structured=self._structured,
            lenient=self.target.lenient,
        )
        own = wanted.extra.get(FORMAT)
        more = self._betas(own["betas"]) if own and own.get("betas") else None
        sent = self._door_for(stream=stream).request(body, stream=stream, more=more)
        return Built(sent, dropped, asked is not None)

    def _binds(self, output: JsonOutput) -> bool:
        """Whether the model itself can be bound to the wanted JSON."""
        return self._structured and output.schema is not None

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._options.max_event_bytes)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)

    def _beta_header(self) -> dict[str, str]:
        betas = self._options.betas
        return {"anthropic-beta": ",".join(betas)} if betas else {}

    def _betas(self, wanted: Any) -> dict[str, str]:
        if not isinstance(wanted, list) or not all(
            isinstance(name, str) and _HEADER_WORD.fullmatch(name) for name in wanted
        ):
            raise Unsupported(
                "messages.betas that is not a list of names", "give names such as 'a-2025-01-01'"
            )
        return {"anthropic-beta": ",".join(dict.fromkeys([*self._options.betas, *wanted]))}

    def _base_url(self, usual: str) -> str:
        """The target's address. `usual`: what to write instead of one that is none."""
        return address_of(self.target, usual)

    def _read_options(self, target: Target) -> Options:
        where = f"options of the dialect {self.name!r}: "
        try:
            options = msgspec.convert(dict(target.options), Options)
        except msgspec.ValidationError as error:
            known = ", ".join(Options.__struct_fields__)
            raise ValueError(f"{where}{error}; known are {known}") from None
        for name in ("default_max_tokens", "max_event_bytes"):
            if getattr(options, name) < 1:
                raise ValueError(f"{where}{name} must be at least 1")
        for word in (*([options.version] if options.version is not None else []), *options.betas):
            if not _HEADER_WORD.fullmatch(word):
                raise ValueError(
                    f"{where}{word!r} is no word for a header; use letters, digits, '.', '-' and '_'"
                )
        return options
