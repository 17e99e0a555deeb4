"""Cohere's words. There are few for programs, an `error_type` here and there: its messages tell cases apart, as its
reference of errors lists them. The reason why an answer of status 200 failed (`ERROR`, `TIMEOUT`) counts as a word.
"""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .shared import LACKING, SHARED, text

__all__ = ["COHERE"]

_WHO: Final = "Cohere"
_NOTHING_VALID: Final = text(r"no valid response generated", r"tool calls were hallucinated")
"""This model could not do what was asked: another may, and nothing is wrong with its vendor."""

COHERE: Final[tuple[Rule, ...]] = (
    # The limit of a trial key by the minute has the same status, and nearly the same words.
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, statuses=(429,),
        message=text(r"(?:calls|tokens) ?(?:/|per|a) ?month", r"monthly", r"billing limit", r"maximum billing"),
    ),
    Rule(kind=FaultClass.TIMEOUT_409, said_by=_WHO, statuses=(499,)),
    Rule(kind=FaultClass.REFUSED, said_by=_WHO, statuses=(498,), message=text(r"blocked", r"moderat")),
    Rule(kind=FaultClass.AUTH, said_by=_WHO, statuses=(498,)),
    Rule(kind=FaultClass.AUTH, said_by=_WHO, statuses=(400, 403), message=text(r"(?:invalid|no) api (?:token|key)")),
    Rule(
        # The bound of the answer, and not the prompt, is too large: a bound that another model may well have.
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=(400,), message=text(r"max tokens must be less than"),
        elsewhere=True,
    ),
    Rule(kind=FaultClass.CONTEXT_LENGTH, said_by=_WHO, words=("TOO_MANY_TOKENS",)),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(400,),
        message=text(r"\bmodel\b.{0,80}\b(?:not found|was removed|is not supported by)"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=(400, 422), message=_NOTHING_VALID, elsewhere=True
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=ANY, words=("ERROR",), message=_NOTHING_VALID,
        elsewhere=True,
    ),
    Rule(kind=FaultClass.TIMEOUT_409, said_by=_WHO, statuses=ANY, words=("TIMEOUT",)),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=(400,), elsewhere=True,
        message=text(
            r"not supported (?:with|for|by) (?:RAG|this model)", r"can be specified for this model",
            r"cannot specify both", r"not compatible with",
        ),
    ),
    *SHARED,
    LACKING,
)  # fmt: skip
