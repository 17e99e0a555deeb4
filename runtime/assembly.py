"""From events to a completion: what a streamed answer adds up to.

The one place that knows how pieces become a whole, used wherever both are needed, so that a buffered
and a streamed answer cannot disagree.
"""

from __future__ import annotations

from itertools import chain
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

    __slots__ = ("extra", "first", "format", "pieces", "redacted", "signature")

    def __init__(self, first: Event, extra: dict[str, Any] | None = None) -> None:
        self.first = first
        self.extra = extra
        self.pieces: list[str] = []
        self.signature: str | None = None
        self.redacted: str | None = None
        self.format: str | None = None

    def part(self) -> Part:
        whole = "".join(self.pieces)
        first = self.first
        if isinstance(first, ToolCallDelta):
            return ToolCall(first.id or "", first.name or "", whole, self.signature, self.extra)
        if isinstance(first, ThinkingDelta):
            return Thinking(whole, self.signature, self.redacted, self.format, self.extra)
        if isinstance(first, RefusalDelta):
            return Refusal(whole, self.extra)
        return Text(whole, self.signature, self.extra)


class _Answer:
    """One choice under construction."""

    __slots__ = ("ahead", "calls", "extra", "finish", "logprobs", "messages", "parts", "vendor_finish")

    def __init__(self) -> None:
        self.ahead: dict[str, Any] | None = None
        """What is known of the part that begins next; it begins even if it is of the same kind as the last."""
        self.parts: list[_Run | Opaque] = []
        self.calls: dict[int, _Run] = {}
        self.extra: dict[str, Any] = {}
        self.messages: dict[str, list[Any]] = {}
        """By format, pieces of what a message says besides."""
        self.logprobs: list[Any] = []
        self.finish: FinishReason | None = None
        self.vendor_finish: str | None = None

    def run(self, event: TextDelta | ThinkingDelta | RefusalDelta) -> _Run:
        """The part that `event` goes on with, or a new one when it is of another kind."""
        last = self.parts[-1] if self.parts and self.ahead is None else None
        if (
            isinstance(last, _Run)
            and type(last.first) is type(event)
            and (type(event) is not ThinkingDelta or not self._sealed(last, event))
        ):
            return last
        if isinstance(event, ThinkingDelta) and (belated := self._belated(event)) is not None:
            return belated
        return self._begin(event)

    def _begin(self, event: Event) -> _Run:
        run = _Run(event, self.ahead or None)
        self.ahead = None
        self.parts.append(run)
        return run

    def _belated(self, event: ThinkingDelta) -> _Run | None:
        """The thought that a seal belongs to which came after something else had begun."""
        if event.text or event.signature is None or event.format is None:
            return None
        for run in reversed(self.parts):
            if isinstance(run, _Run) and isinstance(run.first, ThinkingDelta):
                first = run.first
                if (first.block, first.format) == (event.block, event.format):
                    return run
        return None

    def note(self, event: OpaqueDelta) -> None:
        """Take fields of the part that begins next, of the one before, or of the choice."""
        if event.about == "next":
            self.ahead = _with_fields(self.ahead or {}, event) if event.payload else self.ahead or {}
        elif event.about == "choice":
            self.extra[event.format] = {**self.extra.get(event.format, {}), **event.payload}
        elif event.about == "message":
            self.messages.setdefault(event.format, []).append(event.payload)
        elif event.about == "logprobs":
            self.logprobs.append(event.payload["logprobs"])
        elif self.parts and isinstance(last := self.parts[-1], _Run):
            last.extra = _with_fields(last.extra or {}, event)

    def choice(self, index: int) -> Choice:
        """All of it so far."""
        extra = dict(self.extra)
        for name, pieces in self.messages.items():
            extra[name] = {**extra.get(name, {}), "message": _whole(pieces)}
        return Choice(
            index=index,
            parts=[part.part() if isinstance(part, _Run) else part for part in self.parts],
            finish=self.finish,
            vendor_finish=self.vendor_finish,
            logprobs=_whole(self.logprobs),
            extra=extra or None,
        )

    @staticmethod
    def _sealed(run: _Run, event: ThinkingDelta) -> bool:
        return isinstance(run.first, ThinkingDelta) and event.block != run.first.block

    def call(self, event: ToolCallDelta) -> _Run:
        run = self.calls.get(event.call)
        if run is None:
            run = self.calls[event.call] = self._begin(event)
        return run


def _with_fields(extra: dict[str, Any], event: OpaqueDelta) -> dict[str, Any]:
    """`extra` with the payload of an event `about` something. Lists of one name are added together."""
    fields = dict(extra.get(event.format) or {})
    for name, value in event.payload.items():
        before = fields.get(name)
        fields[name] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value
    return {**extra, event.format: fields}


def _whole(pieces: list[Any]) -> Any:
    """What pieces of one thing make together: texts and lists are strung together, objects field by field; of anything
    else the last counts. None adds nothing. Takes time linear in the pieces' size."""
    told = [piece for piece in pieces if piece is not None]
    if len(told) < 2:
        return told[0] if told else None
    if all(isinstance(piece, str) for piece in told):
        return "".join(told)
    if all(isinstance(piece, list) for piece in told):
        return list(chain.from_iterable(told))
    if not all(isinstance(piece, dict) for piece in told):
        return told[-1]
    fields: dict[str, list[Any]] = {}
    for piece in told:
        for name, value in piece.items():
            fields.setdefault(name, []).append(value)
    return {name: _whole(values) for name, values in fields.items()}


class Assembler:
    """Takes the events of one answer in order; `completion()` is what they add up to so far."""

    def __init__(self) -> None:
        self._answers: dict[int, _Answer] = {}
        self._opened = Opened()
        self._usage: Usage | None = None
        self._extra: dict[str, Any] | None = None

    @property
    def usage(self) -> Usage | None:
        """The last usage that was reported, or None."""
        return self._usage

    def add(self, event: Event) -> None:
        """Take one event. A `Failed` adds nothing."""
        # By `type` first, for what nearly every event of a stream is: `isinstance` is slow about what something is not.
        if type(event) is TextDelta:
            run = self._answer(event.index).run(event)
            run.pieces.append(event.text)
            if event.signature:
                run.signature = event.signature
        elif isinstance(event, RefusalDelta):
            self._answer(event.index).run(event).pieces.append(event.text)
        elif isinstance(event, ToolCallDelta):
            run = self._answer(event.index).call(event)
            run.pieces.append(event.arguments)
            run.signature = event.signature or run.signature
        elif isinstance(event, ThinkingDelta):
            self._think(event)
        elif isinstance(event, OpaqueDelta):
            self._opaque(event)
        elif isinstance(event, Finished):
            answer = self._answer(event.index)
            answer.finish, answer.vendor_finish = event.reason, event.vendor_reason
        elif isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Opened):
            self._opened = event

    def _opaque(self, event: OpaqueDelta) -> None:
        if event.about is None:
            answer = self._answer(event.index)
            answer.parts.append(Opaque(event.format, event.payload))
        elif event.about == "answer":
            self._extra = _with_fields(self._extra or {}, event)
        else:
            self._answer(event.index).note(event)

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
            choices=[answer.choice(index) for index, answer in sorted(self._answers.items())],
            usage=self._usage,
            format=format,
            extra=extra or self._extra,
        )
