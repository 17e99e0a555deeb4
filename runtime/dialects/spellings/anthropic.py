"""Anthropic's words: the error's `type`, and its message where one type means several things."""

from __future__ import annotations

from typing import Final

from ....actors.faults import FaultClass
from ..recognise import ANY, Rule
from .shared import LACKING, SHARED, text

__all__ = ["ANTHROPIC"]

_WHO: Final = "Anthropic"

ANTHROPIC: Final[tuple[Rule, ...]] = (
    Rule(kind=FaultClass.OVERLOADED, said_by=_WHO, statuses=ANY, words=("overloaded_error",)),
    Rule(kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, words=("billing_error",)),
    Rule(
        kind=FaultClass.QUOTA_EXHAUSTED, said_by=_WHO, statuses=(400, 403, 429),
        message=text(r"credit balance is too low", r"reached your specified .{0,20}usage limits"),
    ),
    Rule(
        kind=FaultClass.TOO_LARGE, said_by=_WHO, statuses=(429,),
        message=text(r"extra usage is required for long context"),
    ),
    Rule(kind=FaultClass.TOO_LARGE, said_by=_WHO, words=("request_too_large",)),
    Rule(kind=FaultClass.RAMP_LIMITED, said_by=_WHO, statuses=(429,), message=text(r"acceleration limit")),
    Rule(kind=FaultClass.AUTH, said_by=_WHO, words=("authentication_error",)),
    Rule(
        kind=FaultClass.AUTH, said_by=_WHO, statuses=(400, 403),
        message=text(r"organization has been disabled"),
    ),
    Rule(
        # Its answer to a country or a network that is not served.
        kind=FaultClass.NO_MODEL, said_by=_WHO, statuses=(403,), words=("forbidden",),
        message=text(r"request not allowed"),
    ),
    Rule(kind=FaultClass.NO_MODEL, said_by=_WHO, words=("not_found_error",)),
    Rule(
        kind=FaultClass.CONTEXT_LENGTH, said_by=_WHO, statuses=(400,),
        message=text(r"prompt is too long", r"exceed.{0,20}context (?:limit|window)"),
    ),
    Rule(
        kind=FaultClass.REFUSED, said_by=_WHO, statuses=(400,),
        message=text(r"output blocked by content filtering"),
    ),
    *SHARED,
    LACKING,
)  # fmt: skip
