"""The contract of an operation: what one kind of work is, to everything that is the same for all kinds. Pure, no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeAlias, TypeVar

from ..canon import Completion, Fault, Finished, Request, Usage
from ..dialects.base import Built, Decoder, Dialect
from ..estimate import Facts
from ..money import Bill
from ..passing.passage import Passage
from ..vectors import Embed, Embeddings

__all__ = ["Answer", "Operation", "Work"]

Work: TypeAlias = Request | Embed | Passage
"""What can be sent on a journey."""

Answer: TypeAlias = Completion | Embeddings
"""What comes back of it, whole."""

W = TypeVar("W", Request, Embed, Passage)
A = TypeVar("A", Completion, Embeddings)


class Operation(ABC, Generic[W, A]):
    """See the module's docstring. Instances hold nothing, and serve all requests of their kind."""

    name: ClassVar[str]
    """What a deployment must be able to do, as one of its capabilities."""
    described: ClassVar[str]
    """The same for people, after "does not do"."""
    fixed: ClassVar[bool] = False
    """Whether it is for the deployments of the name that it gives and for no others, whatever rules say."""

    @abstractmethod
    def facts(self, wanted: W, long_context: int) -> Facts:
        """Size, kinds and needs; from `long_context` input tokens on it is of that kind."""

    @abstractmethod
    def most(self, wanted: W, most_output: int) -> Usage:
        """The largest usage that `wanted` can come to where an answer has at most `most_output` tokens."""

    @abstractmethod
    def build(self, dialect: Dialect, wanted: W, *, stream: bool) -> Built:
        """The HTTP request. Raises `dialects.Unsupported`."""

    @abstractmethod
    def read(self, dialect: Dialect, body: bytes, wanted: W, built: Built) -> A:
        """A buffered answer of status 200 to `wanted`, which was sent as `built`. Raises `VendorFault` if it is an error in disguise, or malformed."""

    @abstractmethod
    def decoder(self, dialect: Dialect, built: Built) -> Decoder:
        """A decoder for one streamed answer of status 200 to what was sent as `built`."""

    def empty(self, _dialect: Dialect, _finishes: Sequence[Finished], _wanted: W, /) -> bool:
        """Whether a stream that brought no content before these endings is no answer."""
        return False

    @abstractmethod
    def count(self, answer: A, bill: Bill) -> None:
        """Tell `bill` what a whole answer comes to by our own count, where its vendor reported no usage."""

    @abstractmethod
    def flaw(self, answer: A, wanted: W) -> Fault | None:
        """Why a whole answer, well-formed as it is, is none to `wanted`; None if it is one."""

    def repeatable(self, _wanted: W, _fault: Fault, /) -> bool:
        """Whether it does no harm to ask again after `fault`, which came before the first content. What models do is at worst
        paid for twice."""
        return True
