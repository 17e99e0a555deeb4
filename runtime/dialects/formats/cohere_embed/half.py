"""Cohere's embeddings for a dialect."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ....vectors import Embed, Embeddings, Task
from ...base import BatchLimits, Built, EmbeddingsHalf, Target
from ...door import Door
from . import reply, request

__all__ = ["Embedder", "Options", "options_of"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `embeddings` among a dialect's options."""

    most_inputs: int = 96
    """Texts in one call; more are split. As Cohere's reference has it."""
    task: Task | None = None
    """What the vectors are for where the caller does not say: `document`, if this does not say otherwise."""


def options_of(own: object) -> Options:
    """Raises `ValueError`."""
    if not isinstance(own, Mapping):
        raise ValueError("options of the dialect 'cohere': `embeddings` is a table")
    try:
        options = msgspec.convert(dict(own), Options)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise ValueError(f"options of the dialect 'cohere': embeddings: {error}; known are {known}") from None
    if options.most_inputs < 1:
        raise ValueError("options of the dialect 'cohere': embeddings: most_inputs is at least 1")
    return options


class Embedder(EmbeddingsHalf):
    """One deployment's embeddings, asked for at `door`."""

    def __init__(self, door: Door, options: Options, target: Target) -> None:
        self.most = BatchLimits(options.most_inputs)
        self._door = door
        self._options = options
        self._target = target

    def build(self, wanted: Embed, /) -> Built:
        """See `EmbeddingsHalf.build`."""
        target = self._target
        body, dropped = request.write(wanted, target.model, self._options.task, lenient=target.lenient)
        return Built(self._door.request(body, stream=False), dropped)

    def embeddings(self, body: bytes, _wanted: Embed, /) -> Embeddings:
        """See `EmbeddingsHalf.embeddings`."""
        return reply.read(body)
