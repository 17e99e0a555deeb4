"""From events to a completion: what a streamed answer adds up to.

The one place that knows how pieces become a whole, used wherever both are needed, so that a buffered
and a streamed answer cannot disagree.
"""

from __future__ import annotations

from typing import Any

from .canon import (
    Choice,
    Completion,
    Event,
    Finished,
    FinishReason,
    Opaque,
    OpaqueDelta,
    Opened,
    Part,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)

__all__ = ["Assembler"]


class _Run:
    """A part under construction: the pieces of one text, thought, refusal or tool call."""

    __slots__ = ("first", "format", "pieces", "redacted", "signature")

    def __init__(self, first: Event) -> None:
        self.first = first
        self.pieces: list[str] = []
        self.signature: str | None = None
        self.redacted: str | None = None
        self.format: str | None = None

    def part(self) -> Part:
        whole = "".join(self.pieces)
        first = self.first
        if isinstance(first, ToolCallDelta):
            return ToolCall(first.id or "", first.name or "", whole, self.signature)
        if isinstance(first, ThinkingDelta):
            return Thinking(whole, self.signature, self.redacted, self.format)
        if isinstance(first, RefusalDelta):
            return Refusal(whole)
        return Text(whole, self.signature)


class _Answer:
    """One choice under construction."""

    __slots__ = ("calls", "finish", "parts", "vendor_finish")

    def __init__(self) -> None:
        self.parts: list[_Run | Opaque] = []
        self.calls: dict[int, _Run] = {}
        self.finish: FinishReason | None = None
        self.vendor_finish: str | None = None

    def run(self, event: TextDelta | ThinkingDelta | RefusalDelta) -> _Run:
        """The part that `event` goes on with, or a new one when it is of another kind."""
        last = self.parts[-1] if self.parts else None
        if isinstance(last, _Run) and type(last.first) is type(event) and not self._sealed(last, event):
            return last
        run = _Run(event)
        self.parts.append(run)
        return run

    @staticmethod
    def _sealed(run: _Run, event: TextDelta | ThinkingDelta | RefusalDelta) -> bool:
        if isinstance(event, ThinkingDelta) and isinstance(run.first, ThinkingDelta):
            return event.block != run.first.block
        return False

    def call(self, event: ToolCallDelta) -> _Run:
        run = self.calls.get(event.call)
        if run is None:
            run = self.calls[event.call] = _Run(event)
            self.parts.append(run)
        return run


class Assembler:
    """Takes the events of one answer in order; `completion()` is what they add up to so far."""

    def __init__(self) -> None:
        self._answers: dict[int, _Answer] = {}
        self._opened = Opened()
        self._usage: Usage | None = None

    @property
    def usage(self) -> Usage | None:
        """The last usage that was reported, or None."""
        return self._usage

    def add(self, event: Event) -> None:
        """Take one event. A `Failed` adds nothing."""
        if isinstance(event, TextDelta | RefusalDelta):
            run = self._answer(event.index).run(event)
            run.pieces.append(event.text)
            if isinstance(event, TextDelta) and event.signature:
                run.signature = event.signature
        elif isinstance(event, ToolCallDelta):
            run = self._answer(event.index).call(event)
            run.pieces.append(event.arguments)
            run.signature = event.signature or run.signature
        elif isinstance(event, ThinkingDelta):
            self._think(event)
        elif isinstance(event, OpaqueDelta):
            self._answer(event.index).parts.append(Opaque(event.format, event.payload))
        elif isinstance(event, Finished):
            answer = self._answer(event.index)
            answer.finish, answer.vendor_finish = event.reason, event.vendor_reason
        elif isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Opened):
            self._opened = event

    def _answer(self, index: int) -> _Answer:
        answer = self._answers.get(index)
        if answer is None:
            answer = self._answers[index] = _Answer()
        return answer

    def _think(self, event: ThinkingDelta) -> None:
        run = self._answer(event.index).run(event)
        run.pieces.append(event.text)
        if event.signature:
            run.signature = (run.signature or "") + event.signature
        run.redacted = event.redacted or run.redacted
        run.format = event.format or run.format

    def completion(self, format: str = "", extra: dict[str, Any] | None = None) -> Completion:
        """Everything so far as one answer."""
        return Completion(
            id=self._opened.id,
            model=self._opened.model,
            created=self._opened.created,
            choices=[
                Choice(
                    index=index,
                    parts=[part.part() if isinstance(part, _Run) else part for part in answer.parts],
                    finish=answer.finish,
                    vendor_finish=answer.vendor_finish,
                )
                for index, answer in sorted(self._answers.items())
            ],
            usage=self._usage,
            format=format,
            extra=extra,
        )
