"""Bedrock's words: the names of its exceptions. What a model's maker said stands in its messages, so the tables for
everybody follow.
"""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .compatible import COMPATIBLE
from .shared import text

__all__ = ["BEDROCK"]

_WHO: Final = "Bedrock"

BEDROCK: Final[tuple[Rule, ...]] = (
    Rule(
        # A policy may grant some models and not others: it is the model that is closed, and not the account.
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(403,),
        message=text(r"not authorized to perform.{0,200}:(?:foundation-model|inference-profile)/"),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(404,), words=("ResourceNotFoundException",),
    ),
    Rule(
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(400, 404),
        message=text(r"reached the end of its life", r"model is marked by provider as legacy"),
    ),
    Rule(
        kind=FaultClass.BAD_REQUEST, said_by=_WHO, statuses=(400,), elsewhere=True,
        message=text(r"this model doesn.t support", r"extraneous key \[.{1,80}\] is not permitted"),
    ),
    Rule(kind=FaultClass.TIMEOUT_409, said_by=_WHO, statuses=(408, 424), words=("ModelTimeoutException", "modelTimeoutException")),
    Rule(
        kind=FaultClass.SERVER_ERROR, said_by=_WHO, statuses=ANY,
        words=("ModelErrorException", "ModelStreamErrorException", "modelStreamErrorException"),
    ),
    *COMPATIBLE,
)  # fmt: skip
