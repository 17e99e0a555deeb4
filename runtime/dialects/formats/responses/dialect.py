"""What every dialect of the responses format shares: all but the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ....canon import Completion, Fault, Request
from ...base import Answer, Built, Decoder, Dialect
from ...door import Door
from . import FORMAT, faults, reply, request, stream
from .options import Options

__all__ = ["ResponsesDialect", "options_of"]


class ResponsesDialect(Dialect):
    """A subclass sets `_door` and `_options` when it is made."""

    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"text document"})
    _door: Door
    _options: Options

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        body, dropped = request.write(
            wanted, self.target.model, self._options, stream=stream, lenient=self.target.lenient
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
        return faults.recognise(answer)


def options_of(dialect: str, options: Mapping[str, Any], *others: str) -> Options:
    """The options of a dialect of this format; `others` are those of its own. Raises `ValueError`."""
    where = f"options of the dialect {dialect!r}: "
    try:
        found = msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        known = ", ".join((*others, *Options.__struct_fields__))
        raise ValueError(f"{where}{error}; known are {known}") from None
    if found.max_event_bytes < 1:
        raise ValueError(f"{where}max_event_bytes must be at least 1")
    return found
