"""Chat: a conversation in, the next turn out. The half that every dialect has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ...actors.faults import FaultClass
from ..canon import Completion, Fault, Finished, Request, Usage
from ..dialects.base import Built, Decoder, Dialect
from ..dialects.by_call import AnswerByCall, answer_by_call
from ..emptiness import ends_without_content, is_empty
from ..estimate import Facts, characters_of, facts_of, most_tokens
from ..money import Bill
from .base import Operation

__all__ = ["Chat"]


class Chat(Operation[Request, Completion]):
    """See the module's docstring."""

    name: ClassVar[str] = "chat"
    described: ClassVar[str] = "chat"

    def facts(self, wanted: Request, long_context: int) -> Facts:
        """See `Operation.facts`."""
        return facts_of(wanted, long_context)

    def most(self, wanted: Request, most_output: int) -> Usage:
        """See `Operation.most`."""
        return most_tokens(wanted, most_output)

    def build(self, dialect: Dialect, wanted: Request, *, stream: bool) -> Built:
        """See `Operation.build`."""
        return dialect.build(wanted, stream=stream)

    def read(self, dialect: Dialect, body: bytes, _wanted: Request, built: Built) -> Completion:
        """See `Operation.read`."""
        answer = dialect.completion(body)
        return answer_by_call(answer) if built.by_call else answer

    def decoder(self, dialect: Dialect, built: Built) -> Decoder:
        """See `Operation.decoder`."""
        decoder = dialect.decoder()
        return AnswerByCall(decoder) if built.by_call else decoder

    def empty(self, _dialect: Dialect, finishes: Sequence[Finished], wanted: Request, /) -> bool:
        """See `Operation.empty`."""
        return ends_without_content(finishes, wanted)

    def count(self, answer: Completion, bill: Bill) -> None:
        """See `Operation.count`."""
        for choice in answer.choices:
            bill.count(1, characters_of(choice.parts))

    def flaw(self, answer: Completion, wanted: Request) -> Fault | None:
        """See `Operation.flaw`."""
        if is_empty(answer, wanted):
            return Fault(kind=FaultClass.EMPTY_OK, message="the answer is empty")
        return None
