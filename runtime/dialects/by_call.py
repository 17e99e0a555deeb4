"""Structured answers from models that only have functions: the answer is what the model calls a function with.

A model without structured output can be made to call a function, and the schema of a function is a JSON schema. So the
wanted JSON is asked for as the arguments of a function that must be called, and what comes back as this call is told as
text, whole or piece by piece. The caller sees no call.

Not where the request has functions of its own, since only one can be forced, nor where the model shall think, since models
that think cannot be forced; nor where the schema is not that of an object, since arguments are one.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from ..canon import (
    Choice,
    Completion,
    Event,
    Finished,
    Part,
    Request,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from .base import Decoder

__all__ = ["ANSWER", "AnswerByCall", "answer_by_call", "asked_by_call"]

ANSWER: Final = "structured_answer"
"""The function's name."""

_WHAT_FOR: Final = "Gives the whole answer, as JSON."
_ANY: Final[dict[str, Any]] = {"type": "object", "additionalProperties": True}


def asked_by_call(request: Request) -> Request | None:
    """`request` with a function in the place of its wanted JSON; None where that cannot be (see the module's text)."""
    output, thinks = request.output, request.reasoning
    if output is None or request.tools or request.tool_choice is not None:
        return None
    if thinks is not None and thinks.effort != "none" and thinks.budget_tokens != 0:
        return None
    schema = output.schema or _ANY
    if schema.get("type", "object") != "object":
        return None
    tool = Tool(ANSWER, output.description or _WHAT_FOR, {"type": "object", **schema})
    return replace(request, output=None, tools=[tool], tool_choice=ToolChoice("named", ANSWER))


class AnswerByCall:
    """A decoder that tells the call of the function as text. What is said beside it is no part of the answer."""

    __slots__ = ("_decoder",)

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def feed(self, data: bytes) -> list[Event]:
        """See `Decoder.feed`."""
        return _told(self._decoder.feed(data))

    def close(self) -> list[Event]:
        """See `Decoder.close`."""
        return _told(self._decoder.close())

    @property
    def finished(self) -> bool:
        """See `Decoder.finished`."""
        return self._decoder.finished


def _told(events: list[Event]) -> list[Event]:
    told: list[Event] = []
    for event in events:
        if isinstance(event, ToolCallDelta):
            if event.call == 0 and event.arguments:
                told.append(TextDelta(event.arguments, event.index))
        elif isinstance(event, Finished) and event.reason == "tool_calls":
            told.append(Finished("stop", event.index, event.vendor_reason))
        elif not isinstance(event, TextDelta):
            told.append(event)
    return told


def answer_by_call(completion: Completion) -> Completion:
    """A whole answer, with the call of the function as its text."""
    return replace(completion, choices=[_answer(choice) for choice in completion.choices])


def _answer(choice: Choice) -> Choice:
    parts: list[Part] = []
    called = False
    for part in choice.parts:
        if isinstance(part, ToolCall):
            if not called:
                parts.append(Text(part.arguments))
            called = True
        elif not isinstance(part, Text):
            parts.append(part)
    finish = "stop" if choice.finish == "tool_calls" else choice.finish
    return replace(choice, parts=parts, finish=finish)
