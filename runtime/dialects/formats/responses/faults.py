"""Errors of the responses format: those of chat completions, and within a stream an event of their own."""

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


def write(envelope: dict[str, Any]) -> dict[str, Any]:
    """The fields of an `error` event, for an envelope as chat completions have it.

    OpenAI describes them flat and sends them as an object of their own; clients look at either.
    """
    error = envelope["error"]
    return {**{name: error.get(name) for name in ("code", "message", "param")}, "error": error}
