"""Errors of the messages format: what a refusal means."""

from __future__ import annotations

from typing import Any

from ....canon import Fault
from ...base import Answer
from ...recognise import fault_of
from ...recognise import in_stream as fault_in_stream
from ...spellings.anthropic import ANTHROPIC

__all__ = ["in_stream", "recognise"]


def recognise(answer: Answer) -> Fault:
    """What kind of refusal `answer` is. Never raises."""
    return fault_of(answer, ANTHROPIC)


def in_stream(raw: Any) -> Fault:
    """What an error object within an answer of status 200 means."""
    return fault_in_stream(raw, ANTHROPIC)
