"""Events to the chunks that a client of the format expects: whole answers in small, one after another.

Asked with `alt=sse` Google streams server-sent events, whose lines end in CRLF; asked without it, the elements of one JSON
array. There is no terminal event: an answer is complete when its candidates have said why they ended, which only the
last chunk says here, together with the usage. Comments are never sent: Google's own SDK takes every line for JSON.

A call is told as soon as its arguments are whole: at once where they came so, else when something else begins in its
candidate, or at the end. What is told beside the content (the safety ratings, the sources, that another vendor has taken
over) goes with the next chunk, and the last chunk has content too, an empty text, as Google's has: the SDK's chats forget
a turn of which any chunk has none.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import (
    Event,
    Finished,
    OpaqueDelta,
    Opened,
    RefusalDelta,
    Restarted,
    Seam,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from .reply import block_word
from .telling import (
    OF_THE_ANSWER,
    is_metadata,
    why_it_ended,
    write_arguments,
    write_call,
    write_thought,
    write_usage,
)
from .wire import FORMAT

__all__ = ["Writer"]

_encode: Final = msgspec.json.Encoder().encode
_NOTHING: Final = {"content": {"parts": [{"text": ""}], "role": "model"}}


class _Call:
    """A call that has not been told yet. `late`: something else has begun, so it is told at the end if it can be."""

    __slots__ = ("arguments", "id", "late", "name", "signature")

    def __init__(self, event: ToolCallDelta) -> None:
        self.id = event.id or ""
        self.name = event.name or ""
        self.signature = event.signature
        self.arguments: list[str] = []
        self.late = False


class _Candidate:
    """One candidate. `calls`: those not told yet, by number; `told`: the names of those that are; `beside`: what goes with
    its next chunk."""

    __slots__ = ("begun", "beside", "calls", "finished", "refused", "told", "unreadable")

    def __init__(self) -> None:
        self.begun = False
        self.calls: dict[int, _Call] = {}
        self.told: dict[int, str] = {}
        self.beside: dict[str, Any] = {}
        self.finished: Finished | None = None
        self.refused = False
        self.unreadable: str | None = None


class Writer:
    """Writes one stream.

    `id` and `model` are for vendors that do not say; `own`: the vendor's format is this one; `thoughts`: the client asked
    for thoughts; `array`: the stream is a JSON array.
    """

    def __init__(self, *, id: str, model: str, own: bool, thoughts: bool, array: bool) -> None:
        self._id = id
        self._own = own
        self._thoughts = thoughts
        self._array = array
        self._framed = False
        self._cost: str | None = None
        self._reset(model)

    def _reset(self, model: str) -> None:
        """Nothing has been told yet."""
        self._candidates: dict[int, _Candidate] = {}
        self._beside: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._blocked = False
        self._name(model)

    def _name(self, model: str) -> None:
        self._named = {"modelVersion": model, "responseId": self._id}
        self._tail = b"," + _encode(self._named)[1:]

    @property
    def content_type(self) -> bytes:
        """What the stream is, for its headers."""
        return b"application/json; charset=utf-8" if self._array else b"text/event-stream; charset=utf-8"

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty for one that clients are not told of, or not yet."""
        if type(event) is TextDelta:
            return self._text(event)
        if type(event) is ToolCallDelta:
            return self._call(event)
        if type(event) is ThinkingDelta:
            thought = write_thought(event.text, event.signature, event.format, thoughts=self._thoughts)
            return b"" if thought is None else self._part(event.index, thought)
        if type(event) is OpaqueDelta:
            return self._opaque(event) if event.format == FORMAT else b""
        if type(event) is RefusalDelta:
            self._candidate(event.index).refused = True
            return self._part(event.index, {"text": event.text}) if event.text else b""
        if type(event) is UsageReported:
            self._usage = event.usage
        elif type(event) is Finished:
            return self._finish(event)
        elif type(event) is Opened:
            self._id = event.id if self._own and event.id else self._id
            self._name(event.model or self._named["modelVersion"])
        elif isinstance(event, Seam | Restarted):
            return self._takeover(event)
        return b""

    def costs(self, dollars: str) -> bytes:
        """Note what the answer cost, in dollars or `unknown`: the last chunk tells it, as `x_dispatch`. Writes nothing."""
        self._cost = dollars
        return b""

    def close(self) -> bytes:
        """The end: what has not been told yet, the reasons and the usage."""
        rest = b"".join([self._tell_every_call(index) for index in self._candidates])
        if not self._candidates:
            self._candidate(0)
        ended = [
            {**(_NOTHING if each.begun else {}), "index": index, **each.beside, **self._why(each)}
            for index, each in sorted(self._candidates.items())
            if each.begun or not self._blocked
        ]
        last: dict[str, Any] = {"candidates": ended} if ended else {}
        if self._usage is not None:
            last["usageMetadata"] = write_usage(self._usage)
        if self._cost is not None:
            self._dispatch({"cost": self._cost})
        last |= self._beside
        return rest + self._frame(_encode({**last, **self._named})) + (b"]" if self._array else b"")

    def error(self, envelope: dict[str, Any]) -> bytes:
        """An error as the last chunk: no reason for the end follows it."""
        return self._frame(_encode(envelope)) + (b"]" if self._array else b"")

    def _why(self, candidate: _Candidate) -> dict[str, Any]:
        finished = candidate.finished
        return why_it_ended(
            None if finished is None else finished.reason,
            None if finished is None else finished.vendor_reason,
            own=self._own,
            refused=candidate.refused,
            unreadable=candidate.unreadable,
        )

    def _frame(self, chunk: bytes) -> bytes:
        if not self._array:
            return b"data: " + chunk + b"\r\n\r\n"
        before = b",\r\n" if self._framed else b"["
        self._framed = True
        return before + chunk

    def _takeover(self, event: Seam | Restarted) -> bytes:
        """The mark where another vendor takes over. Whose words it speaks is not known, so they are translated."""
        told = {"before": event.before, "after": event.after, "model": event.model, "class": event.reason}
        self._own = False
        if isinstance(event, Restarted):
            self._reset(event.model)
        self._dispatch({"seam" if isinstance(event, Seam) else "restart": told})
        return b""

    def _dispatch(self, told: dict[str, Any]) -> None:
        self._beside["x_dispatch"] = {**self._beside.get("x_dispatch", {}), **told}

    # --- parts ---

    def _candidate(self, index: int) -> _Candidate:
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = _Candidate()
        return candidate

    def _text(self, event: TextDelta) -> bytes:
        """Text. Made by hand, since it is nearly all of a stream."""
        signature = event.signature if self._own else None
        if signature is not None:
            return self._part(event.index, {"text": event.text, "thoughtSignature": signature})
        if not event.text:
            return b""
        candidate = self._candidate(event.index)
        if candidate.calls or candidate.beside or self._beside:
            return self._part(event.index, {"text": event.text})
        candidate.begun = True
        return self._frame(
            b"".join(
                (
                    b'{"candidates":[{"content":{"parts":[{"text":', _encode(event.text),
                    b'}],"role":"model"},"index":', str(event.index).encode(), b"}]", self._tail,
                )
            )
        )  # fmt: skip

    def _part(self, index: int, part: dict[str, Any]) -> bytes:
        return self._tell_calls(index) + self._chunk(index, part)

    def _chunk(self, index: int, part: dict[str, Any]) -> bytes:
        candidate = self._candidate(index)
        candidate.begun = True
        told = {"content": {"parts": [part], "role": "model"}, "index": index, **candidate.beside}
        beside, candidate.beside, self._beside = self._beside, {}, {}
        return self._frame(_encode({"candidates": [told], **beside, **self._named}))

    def _call(self, event: ToolCallDelta) -> bytes:
        candidate = self._candidate(event.index)
        call = candidate.calls.get(event.call)
        if call is not None:
            call.arguments.append(event.arguments)
            call.signature = event.signature or call.signature
            return b""
        if event.call in candidate.told:
            if event.arguments.strip():
                candidate.unreadable = candidate.told[event.call]
            return b""
        before = self._tell_calls(event.index)
        call = candidate.calls[event.call] = _Call(event)
        call.arguments.append(event.arguments)
        # The beginning of an object is never one itself: what can be read is whole.
        arguments = _whole(event.arguments) if len(candidate.calls) == 1 else None
        return before if arguments is None else before + self._tell_call(event.index, event.call, arguments)

    def _tell_calls(self, index: int) -> bytes:
        """The calls that are whole now that something else begins, in their order. Each is looked at once."""
        candidate = self._candidate(index)
        told = b""
        for number, call in [*candidate.calls.items()]:
            arguments = None if call.late else _whole("".join(call.arguments))
            call.late = True
            if arguments is None:
                break
            told += self._tell_call(index, number, arguments)
        return told

    def _tell_every_call(self, index: int) -> bytes:
        """The calls at the end; of one that cannot be read only that."""
        candidate = self._candidate(index)
        told = b""
        for number, call in [*candidate.calls.items()]:
            arguments = write_arguments("".join(call.arguments))
            if arguments is None:
                del candidate.calls[number]
                candidate.unreadable = call.name
            else:
                told += self._tell_call(index, number, arguments)
        return told

    def _tell_call(self, index: int, number: int, arguments: dict[str, Any]) -> bytes:
        candidate = self._candidate(index)
        call = candidate.calls.pop(number)
        candidate.told[number] = call.name
        return self._chunk(index, write_call(call.id, call.name, arguments, call.signature, own=self._own))

    def _opaque(self, event: OpaqueDelta) -> bytes:
        if event.about == "logprobs":
            # With the text that they are about, as Google tells them.
            likely = {"index": event.index, "logprobsResult": event.payload["logprobs"]}
            return self._frame(_encode({"candidates": [likely], **self._named}))
        if not is_metadata(event.payload):
            return self._part(event.index, event.payload)
        for name, value in event.payload.items():
            if name in OF_THE_ANSWER:
                self._beside[name] = value
                self._blocked = self._blocked or (name == "promptFeedback" and block_word(value) is not None)
            else:
                self._candidate(event.index).beside[name] = value
        return b""

    def _finish(self, event: Finished) -> bytes:
        self._candidate(event.index).finished = event
        return self._tell_every_call(event.index)


def _whole(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call that may go on; None while they are not whole, as far as can be seen."""
    return write_arguments(arguments) if arguments.strip() else None
