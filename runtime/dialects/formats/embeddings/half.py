"""What every dialect of the embeddings format shares: all but the door and the options."""

from __future__ import annotations

from ....vectors import Embed, Embeddings
from ...base import Built, EmbeddingsHalf, Target
from ...door import Door
from . import reply, request
from .options import Options

__all__ = ["Embedder"]


class Embedder(EmbeddingsHalf):
    """One deployment's embeddings, asked for at `door`."""

    def __init__(self, door: Door, options: Options, target: Target) -> None:
        self.most = options.limits()
        self._door = door
        self._options = options
        self._target = target

    def build(self, wanted: Embed, /) -> Built:
        """See `EmbeddingsHalf.build`."""
        target = self._target
        body, dropped = request.write(wanted, target.model, self._options, lenient=target.lenient)
        return Built(self._door.request(body, stream=False), dropped)

    def embeddings(self, body: bytes, _wanted: Embed, /) -> Embeddings:
        """See `EmbeddingsHalf.embeddings`."""
        return reply.read(body)
