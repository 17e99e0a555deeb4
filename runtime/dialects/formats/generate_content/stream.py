"""A streamed answer, from bytes to events.

Google sends server-sent events (`alt=sse`) or one JSON array; the first byte tells which. There is no
terminal event: the answer is complete when every candidate has given a finish reason, or the prompt was
blocked, and the body has ended. The reason does not end the answer by itself: older models and some
proxies put STOP on every chunk, and usage may follow. So it is held back until the end, and content that
comes after a reason without a new one revokes it.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any, Final

from .....actors.faults import FaultClass
from ....canon import (
    Event,
    Failed,
    Fault,
    Finished,
    Opaque,
    OpaqueDelta,
    Opened,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from ....wire.sse import OversizedEvent, SSEDecoder
from .elements import ElementSplitter
from .faults import malformed, stream_fault
from .reply import block_word
from .wire import (
    CANDIDATE_FIELDS,
    FORMAT,
    CallIds,
    Chunk,
    MalformedAnswer,
    candidate_index,
    candidate_parts,
    created_at,
    decode_chunk,
    finish_reason,
    finish_word,
    read_part,
    usage_of,
)

__all__ = ["EVENT_LIMIT", "StreamDecoder"]

EVENT_LIMIT: Final = 1 << 20
"""Default bound of one event or one element of the JSON array, in bytes."""

_MOST_METADATA: Final = 64
"""Values of metadata that are remembered, so that their repetition is not told again; each is at most an event."""

_BLANK: Final = b" \t\r\n\xef\xbb\xbf"


class _Candidate:
    """What is known so far about one candidate."""

    __slots__ = ("block", "calls", "metadata", "spoke", "word")

    def __init__(self) -> None:
        self.calls = 0
        self.block = 0
        self.word: str | None = None
        self.spoke = False
        """Whether it has brought any content."""
        self.metadata: dict[str, Any] = {}


class StreamDecoder:
    """Decodes one answer. `rng` serves the ids of tool calls in answers without an id of their own.

    `limit` bounds one event in bytes: a picture that the model made arrives in a single one.
    """

    __slots__ = (
        "_blocked", "_candidates", "_ids", "_limit", "_metadata", "_opened", "_over", "_splitter", "_told", "_usage",
    )  # fmt: skip

    def __init__(self, rng: Random, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._splitter: SSEDecoder | ElementSplitter | None = None
        self._ids = CallIds(rng)
        self._candidates: dict[int, _Candidate] = {}
        self._opened = False
        self._blocked: str | None = None
        self._usage: Usage | None = None
        self._metadata: dict[str, Any] = {}
        self._told = 0
        self._over = False

    @property
    def finished(self) -> bool:
        """Whether nothing more can come: after an error, or after the end of the JSON array."""
        return self._over

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes; none after the end."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            for payload in self._split(data):
                if not self._payload(payload, events):
                    return events
        except OversizedEvent as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
        if isinstance(self._splitter, ElementSplitter):
            self._check(self._splitter, events)
        return events

    def close(self) -> list[Event]:
        """The body ended: the reasons why each candidate did, or a `Failed` where one has not."""
        events: list[Event] = []
        if not self._over:
            self._end(events)
        return events

    def _split(self, data: bytes) -> list[bytes]:
        splitter = self._splitter
        if splitter is None:
            data = data.lstrip(_BLANK)
            if not data:
                return []
            if data[0] == 0x3C:  # markup: one byte of it fails as JSON, however much has come
                return [b"<"]
            json = data[0] in b"[{"
            splitter = self._splitter = ElementSplitter(self._limit) if json else SSEDecoder(self._limit)
        if isinstance(splitter, ElementSplitter):
            return splitter.feed(data)
        return [event.data for event in splitter.feed(data)]

    def _payload(self, payload: bytes, events: list[Event]) -> bool:
        """Read one event's data; False when nothing more is to be read."""
        if payload:
            try:
                self._chunk(decode_chunk(payload), events)
            except MalformedAnswer as error:
                self._fail(malformed(payload, str(error)), events)
        return not self._over

    def _check(self, splitter: ElementSplitter, events: list[Event]) -> None:
        if self._over:
            return
        if splitter.oversized:
            message = f"an element of the stream is longer than {self._limit} bytes"
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=message), events)
        elif splitter.ended:
            self._end(events)

    def _end(self, events: list[Event]) -> None:
        try:
            residue = self._splitter is not None and self._splitter.close()
        except OversizedEvent as error:
            self._fail(Fault(kind=FaultClass.OVERSIZED, message=str(error)), events)
            return
        # Of a candidate that consists of metadata, no reason for its end is to be expected.
        words = [each.word for each in self._candidates.values() if each.spoke or each.word]
        if residue or not (self._blocked or (words and all(words))):
            self._fail(
                Fault(kind=FaultClass.TRUNCATED, message="the stream ended before the answer did"), events
            )
            return
        self._over = True
        if self._blocked and not any(words):
            events.append(Finished("content_filter", 0, self._blocked))
        for index, candidate in sorted(self._candidates.items()):
            if candidate.word:
                events.append(Finished(finish_reason(candidate.word, candidate.calls), index, candidate.word))

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._over = True
        events.append(Failed(fault))

    def _chunk(self, chunk: Chunk, events: list[Event]) -> None:
        if chunk.error is not None:
            self._fail(stream_fault(chunk.error), events)
            return
        if not self._opened:
            self._open(chunk, events)
        for position, raw in enumerate(chunk.candidates or ()):
            self._candidate(raw, position, events)
        if chunk.prompt_feedback:
            self._blocked = block_word(chunk.prompt_feedback) or self._blocked
            self._tell(self._metadata, "promptFeedback", chunk.prompt_feedback, None, events)
        if chunk.model_status:
            self._tell(self._metadata, "modelStatus", chunk.model_status, None, events)
        if chunk.usage_metadata is not None:
            usage = usage_of(chunk.usage_metadata)
            if usage is not None and usage != self._usage:
                self._usage = usage
                events.append(UsageReported(usage))

    def _open(self, chunk: Chunk, events: list[Event]) -> None:
        self._opened = True
        self._ids.base(chunk.response_id)
        created = created_at(chunk.create_time)
        events.append(Opened(chunk.response_id or "", chunk.model_version or "", created))

    def _candidate(self, raw: dict[str, Any], position: int, events: list[Event]) -> None:
        index = candidate_index(raw, position)
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _Candidate()
        before = len(events)
        for part in candidate_parts(raw):
            self._part(part, candidate, index, events)
        word = finish_word(raw.get("finishReason"))
        candidate.spoke = candidate.spoke or len(events) > before
        if word is not None or len(events) > before:
            candidate.word = word
        if len(raw) > 1 and raw.keys() - CANDIDATE_FIELDS:
            for name, value in raw.items():
                if name not in CANDIDATE_FIELDS and value:
                    self._tell(candidate.metadata, name, value, index, events)

    def _tell(
        self, known: dict[str, Any], name: str, value: Any, index: int | None, events: list[Event]
    ) -> None:
        """Tell metadata of the candidate `index`, or of the whole answer, unless that is no news."""
        if known.get(name) != value:
            self._told += name not in known
            if name in known or self._told <= _MOST_METADATA:
                known[name] = value
            if index is None:
                events.append(OpaqueDelta(FORMAT, {name: value}, content=False, about="answer"))
            elif name == "logprobsResult":
                events.append(
                    OpaqueDelta(FORMAT, {"logprobs": value}, index, content=False, about="logprobs")
                )
            else:
                events.append(OpaqueDelta(FORMAT, {name: value}, index, content=False, about="choice"))

    def _part(self, raw: dict[str, Any], candidate: _Candidate, index: int, events: list[Event]) -> None:
        part = read_part(raw, partial(self._ids.make, index, candidate.calls))
        if isinstance(part, Text):
            events.append(TextDelta(part.text, index, part.signature))
        elif isinstance(part, ToolCall):
            call, candidate.calls = candidate.calls, candidate.calls + 1
            events.append(ToolCallDelta(call, part.id, part.name, part.arguments, index, part.signature))
        elif isinstance(part, Thinking):
            events.append(ThinkingDelta(part.text, index, part.signature, None, FORMAT, candidate.block))
            candidate.block += part.signature is not None
        elif isinstance(part, Opaque):
            events.append(OpaqueDelta(FORMAT, part.payload, index))
