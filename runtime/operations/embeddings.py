"""Embeddings: texts in, vectors out. Never streamed, and priced by the input alone."""

from __future__ import annotations

from typing import ClassVar, Final

from ...actors.faults import FaultClass
from ..canon import Fault, Usage
from ..dialects.base import Built, Decoder, Dialect, EmbeddingsHalf, Unsupported
from ..estimate import BYTES_PER_TOKEN, Facts
from ..money import Bill
from ..vectors import Embed, Embeddings, flaw_in, length_of
from .base import Operation

__all__ = ["EMBEDDINGS", "EmbeddingsOperation", "tokens_of"]

EMBEDDINGS: Final = "embeddings"
"""The capability of deployments that make them."""

_ITSELF: Final = frozenset({EMBEDDINGS})


class EmbeddingsOperation(Operation[Embed, Embeddings]):
    """See the module's docstring."""

    name: ClassVar[str] = EMBEDDINGS
    described: ClassVar[str] = "embeddings"

    def facts(self, wanted: Embed, _long_context: int) -> Facts:
        """See `Operation.facts`. A context window has to hold the longest input, not all of them."""
        sizes = [tokens_of(each) for each in wanted.inputs]
        bytes_kept = sum([len(each) for each in wanted.inputs])
        return Facts(sum(sizes), 0, _ITSELF, _ITSELF, bytes_kept, window=max(sizes, default=0))

    def most(self, wanted: Embed, _most_output: int) -> Usage:
        """See `Operation.most`. A token is at least one byte of what is sent; vendors add two or so for each input."""
        size = sum([len(each if isinstance(each, list) else each.encode()) + 8 for each in wanted.inputs])
        return Usage(input_tokens=size)

    def build(self, dialect: Dialect, wanted: Embed, *, stream: bool) -> Built:
        """See `Operation.build`."""
        if stream:
            raise Unsupported("a stream of embeddings")
        return _half(dialect).build(wanted)

    def read(self, dialect: Dialect, body: bytes, wanted: Embed, _built: Built) -> Embeddings:
        """See `Operation.read`."""
        return _half(dialect).embeddings(body, wanted)

    def decoder(self, _dialect: Dialect, _built: Built) -> Decoder:
        """See `Operation.decoder`: there is none."""
        raise Unsupported("a stream of embeddings")

    def count(self, answer: Embeddings, bill: Bill) -> None:
        """See `Operation.count`: the bill's own estimate of the input is all there is."""

    def flaw(self, answer: Embeddings, wanted: Embed) -> Fault | None:
        """See `Operation.flaw`. A vector that is missing or broken must not get into anybody's index."""
        flaw = flaw_in(answer.vectors, wanted)
        if flaw is not None:
            return Fault(kind=FaultClass.MALFORMED, message=flaw)
        length = length_of(answer.vectors[0])
        if wanted.dimensions in (None, length):
            return None
        # A server that passes over what it does not know is well: nobody else should have to go without it.
        return Fault(
            kind=FaultClass.BAD_REQUEST,
            message=f"the vectors have {length} dimensions, not {wanted.dimensions}: this model makes no others",
            code="dimensions_ignored",
            param="dimensions",
            elsewhere=True,
        )


def tokens_of(text: str | list[int]) -> int:
    """The estimated tokens of one input: those that it consists of, or by its size, in UTF-8 since scripts without spaces have
    a token or so for each character."""
    if isinstance(text, list):
        return len(text)
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return int(size / BYTES_PER_TOKEN) + 1


def _half(dialect: Dialect) -> EmbeddingsHalf:
    if dialect.embedder is None:
        raise Unsupported("embeddings", "name a model that makes them")
    return dialect.embedder
