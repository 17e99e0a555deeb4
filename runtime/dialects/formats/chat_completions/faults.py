"""Errors of the chat-completions format: what a refusal means, and how we say one ourselves."""

from __future__ import annotations

from typing import Any

from ....canon import Fault
from ...base import Answer
from ...recognise import fault_of
from ...recognise import in_stream as fault_in_stream
from ...spellings.compatible import COMPATIBLE

__all__ = ["in_stream", "recognise", "write"]


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    return fault_of(answer, COMPATIBLE)


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    return fault_in_stream(raw, COMPATIBLE)


def write(message: str, *, type: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The error envelope that clients of the format expect."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}
