"""What can be asked for: chat, text to be gone on with, embeddings, what is passed on as it is. `base` is the contract, every other file one operation.

An operation knows what routing, limits, breakers, retries, deadlines and accounting do not: how large a request is and what
it needs, which half of a dialect says it, what its answer must hold. Those know no operation by name, so that a new
one is one file here, a line in `operation_of`, and a half in each dialect that can say it.
"""

from __future__ import annotations

from typing import Any, Final

from ..canon import Request
from ..passing.passage import Passage
from ..vectors import Embed
from .base import Operation, Work
from .chat import Chat
from .embeddings import EmbeddingsOperation
from .passing import PassingOperation
from .texts import Texts

__all__ = ["Operation", "Work", "operation_of"]

_CHAT: Final = Chat()
_TEXTS: Final = Texts()
_EMBEDDINGS: Final = EmbeddingsOperation()
_PASSING: Final = PassingOperation()


def operation_of(work: Work) -> Operation[Any, Any]:
    """What kind of work it is."""
    if isinstance(work, Request):
        return _CHAT if work.prompt is None else _TEXTS
    if isinstance(work, Embed):
        return _EMBEDDINGS
    if isinstance(work, Passage):
        return _PASSING
    raise TypeError(f"not a request: {type(work).__name__}")
