"""What every dialect of the chat-completions format shares: all but the door and the quirks."""

from __future__ import annotations

from typing import ClassVar

from ....canon import Completion, Fault, Request
from ...base import Answer, Built, Decoder, Dialect
from ...by_call import asked_by_call
from ...door import Door
from . import FORMAT, faults, reply, request, stream
from .quirks import Quirks

__all__ = ["ChatCompletionsDialect"]


class ChatCompletionsDialect(Dialect):
    """A subclass sets `_door` and `_quirks` when it is made."""

    format: ClassVar[str] = FORMAT
    emulates: ClassVar[frozenset[str]] = frozenset({"image in a result", "text document"})
    _door: Door
    _quirks: Quirks

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        asked = None
        if wanted.output is not None and wanted.output.schema is not None and not self._quirks.json_schema:
            asked = asked_by_call(wanted)
        body, dropped = request.write(
            wanted if asked is None else asked,
            self.target.model,
            self._quirks,
            stream=stream,
            lenient=self.target.lenient,
        )
        return Built(self._door.request(body, stream=stream), dropped, asked is not None)

    def completion(self, body: bytes) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return stream.Reader(self._quirks)

    def fault(self, answer: Answer) -> Fault:
        """See `Dialect.fault`."""
        return faults.recognise(answer)
