"""A whole answer as the events of a stream: for who asked for a stream, and got one object."""

from __future__ import annotations

from collections.abc import Iterator

from ..canon import (
    Choice,
    Completion,
    Event,
    Finished,
    Opaque,
    OpaqueDelta,
    Opened,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    UsageReported,
)

__all__ = ["events_of"]


def events_of(completion: Completion) -> Iterator[Event]:
    """What a stream with the same content would have been."""
    yield Opened(completion.id, completion.model, completion.created)
    for owner, fields in (completion.extra or {}).items():
        if isinstance(fields, dict):
            yield OpaqueDelta(owner, fields, content=False, about="answer")
    for choice in completion.choices:
        yield from _choice(choice)
    if completion.usage is not None:
        yield UsageReported(completion.usage)


def _choice(choice: Choice) -> Iterator[Event]:
    index = choice.index
    calls = 0
    for block, part in enumerate(choice.parts):
        match part:
            case Text():
                yield TextDelta(part.text, index, part.signature)
            case Thinking():
                yield ThinkingDelta(part.text, index, part.signature, part.redacted, part.format, block)
            case ToolCall():
                yield ToolCallDelta(calls, part.id, part.name, part.arguments, index, part.signature)
                calls += 1
            case Refusal():
                yield RefusalDelta(part.text, index)
            case Opaque():
                yield OpaqueDelta(part.format, part.payload, index, content=False)
    if choice.finish is not None:
        yield Finished(choice.finish, index, choice.vendor_finish)
