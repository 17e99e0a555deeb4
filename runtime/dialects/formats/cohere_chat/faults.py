"""Errors of Cohere's format: `{"id": ..., "message": ...}`, and answers of status 200 that end with one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...error_text import read_error, read_object
from ...recognise import fault_of
from ...recognise import in_stream as fault_in_stream
from ...spellings.cohere import COHERE

__all__ = ["FAILED", "failed_ending", "in_stream", "malformed", "recognise"]

FAILED: Final = frozenset({"ERROR", "TIMEOUT"})
"""Finish reasons of an answer that is none."""


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    error = read_error(answer.body)
    fault = fault_of(answer, COHERE, error)
    named = (error.body or {}).get("id")
    if fault.request_id is None and isinstance(named, str):
        return msgspec.structs.replace(fault, request_id=named)
    return fault


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    return fault_in_stream(raw, COHERE)


def failed_ending(word: str, why: Any) -> Fault:
    """What the finish reason `word`, one of `FAILED`, means. `why`: the vendor's explanation, where it gives one."""
    error = read_object(why)
    message = error.message or f"the answer ended with {word}"
    error = msgspec.structs.replace(error, message=message, type=word, words=(*error.words, word))
    return fault_in_stream(why, COHERE, error)


def malformed(message: str) -> Fault:
    """An answer that cannot be read."""
    return Fault(kind=FaultClass.MALFORMED, message=message)
