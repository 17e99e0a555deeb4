"""Errors of Bedrock: an exception's name in the header `x-amzn-errortype` (or, within a stream, in the message's own
header) and a body of `{"message": ...}`.
"""

from __future__ import annotations

import msgspec

from .....actors.faults import FaultClass
from ....canon import Fault
from ...base import Answer
from ...error_text import read_error
from ...recognise import fault_of
from ...recognise import in_stream as fault_in_stream
from ...spellings.bedrock import BEDROCK

__all__ = ["in_stream", "malformed", "recognise"]


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    return fault_of(answer, BEDROCK)


def in_stream(exception: str, payload: bytes, message: str = "") -> Fault:
    """What an exception within an answer of status 200 means. `message`: its words, where the payload has none."""
    error = read_error(payload)
    error = msgspec.structs.replace(
        error,
        message=error.message or message or exception,
        code=exception or error.code,
        words=tuple(dict.fromkeys([*error.words, exception])),
    )
    return fault_in_stream(None, BEDROCK, error)


def malformed(message: str) -> Fault:
    """An answer that cannot be read."""
    return Fault(kind=FaultClass.MALFORMED, message=message)
