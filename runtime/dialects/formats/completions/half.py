"""What every dialect of the completions format shares: all but the door and the quirks."""

from __future__ import annotations

from ....canon import Completion, Request
from ...base import Built, Decoder, Target
from ...door import Door
from ..chat_completions.quirks import Quirks
from ..chat_completions.stream import Reader
from . import reply, request

__all__ = ["Completer"]


class Completer:
    """One deployment's text completion, asked for at `door`. See `dialects.base.TextsHalf`."""

    def __init__(self, door: Door, quirks: Quirks, target: Target) -> None:
        self._door = door
        self._quirks = quirks
        self._target = target

    def build(self, wanted: Request, /, *, stream: bool) -> Built:
        """See `Dialect.build`."""
        target = self._target
        body, dropped = request.write(
            wanted, target.model, self._quirks, stream=stream, lenient=target.lenient
        )
        return Built(self._door.request(body, stream=stream), dropped)

    def completion(self, body: bytes, /) -> Completion:
        """See `Dialect.completion`."""
        return reply.read(body)

    def decoder(self) -> Decoder:
        """See `Dialect.decoder`."""
        return Reader(self._quirks)
