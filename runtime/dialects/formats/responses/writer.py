"""Events to the server-sent events that a client of the responses format expects.

The sequence is OpenAI's own: `response.created`, `response.in_progress`, each item from `output_item.added` to
`output_item.done`, `response.completed` or `response.incomplete`. Events do not say where an item ends: it ends where
something of another kind begins, or at the end. A call ends when another item begins and its arguments are whole; should
a vendor's calls come interleaved, the earlier stays open beside the later. A thought of this format stays open until its
seal has come, at the latest to the end.

The last event repeats the answer, so everything is kept until then. Not told are the steps of the vendor's own tools
(their items are), and log probabilities but in what is repeated.
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
from . import FORMAT
from .envelope import Asked, ending, envelope, with_further
from .faults import write as write_error
from .telling import (
    REFUSAL,
    TEXT,
    CallUnderWay,
    MessageUnderWay,
    OpaqueUnderWay,
    Telling,
    ThoughtUnderWay,
    UnderWay,
)
from .thoughts import SUMMARY, seal_for_client

__all__ = ["Writer"]

_encode: Final = msgspec.json.Encoder().encode


class Writer:
    """Writes one stream. `id`, `model` and `created` are for vendors that do not say; `own`: the vendor's format is this one."""

    def __init__(self, asked: Asked, *, id: str, model: str, created: int, own: bool) -> None:
        self._asked = asked
        self._id = id
        self._created = created
        self._own = own
        self._sequence = 0
        self._void = 0
        """Items that were told before another vendor began anew: their places are not used again."""
        self._reset(model)

    def _reset(self, model: str) -> None:
        """Nothing of the answer has been told yet."""
        self._model = model
        self._items: list[UnderWay] = []
        self._current: MessageUnderWay | None = None
        self._thoughts: dict[int, ThoughtUnderWay] = {}
        self._calls: dict[int, CallUnderWay] = {}
        self._ahead: dict[str, Any] | None = None
        self._kind = SUMMARY
        self._skip = False
        """Whether the next piece of a thought only stands between two of its parts."""
        self._usage: Usage | None = None
        self._further: dict[str, Any] = {}
        self._finished = Finished("other")

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty for one that clients are not told of, or not yet."""
        if type(event) is TextDelta:
            return self._text(TEXT, event.text)
        if type(event) is ToolCallDelta:
            return self._call(event)
        if type(event) is ThinkingDelta:
            return self._thinking(event)
        if type(event) is OpaqueDelta:
            return self._opaque(event) if event.format == FORMAT else b""
        if type(event) is RefusalDelta:
            return self._text(REFUSAL, event.text)
        if type(event) is UsageReported:
            self._usage = event.usage
        elif type(event) is Finished:
            self._finished = event
        elif type(event) is Opened:
            return self._opened(event)
        elif isinstance(event, Seam | Restarted):
            return self._takeover(event)
        return b""

    def close(self) -> bytes:
        """The end: `response.completed`, or `response.incomplete`."""
        finished = self._finished
        status, details = ending(finished.reason, finished.vendor_reason, own=self._own)
        rest = self._begin() + self._close_all(status)
        output = self._output(status)
        response = with_further(self._response(status, output=output, details=details), self._further)
        return rest + self._event(f"response.{status}", {"response": response})

    def error(self, envelope: dict[str, Any]) -> bytes:
        """An error: `error` and `response.failed`. No end follows it."""
        error = envelope["error"]
        told = {"code": error.get("code") or error.get("type"), "message": error.get("message")}
        response = self._response("failed", output=self._output("incomplete"), error=told)
        return b"".join(
            (
                self._begin(),
                self._event("error", write_error(envelope)),
                self._event("response.failed", {"response": response}),
            )
        )

    # --- the answer ---

    def _opened(self, event: Opened) -> bytes:
        if not self._sequence:
            # Clients hold on to the id that they were told first.
            self._id = event.id if self._own and event.id else self._id
            self._created = event.created or self._created
        self._model = event.model or self._model
        return self._begin()

    def _begin(self) -> bytes:
        if self._sequence:
            return b""
        response = self._response("in_progress")
        return self._event("response.created", {"response": response}) + self._event(
            "response.in_progress", {"response": response}
        )

    def _response(self, status: str, **more: Any) -> dict[str, Any]:
        usage = self._usage if status in ("completed", "incomplete", "failed") else None
        return envelope(
            self._asked,
            id=self._id,
            model=self._model,
            created=self._created,
            status=status,
            usage=usage,
            **more,
        )

    def _output(self, status: str) -> list[dict[str, Any]]:
        last = len(self._items) - 1
        return [
            item.whole(status if number == last or item.open else "completed")
            for number, item in enumerate(self._items)
        ]

    def _takeover(self, event: Seam | Restarted) -> bytes:
        """The mark where another vendor takes over. One that begins anew has an event of its own, which clients that do
        not know it pass over. The items so far end incomplete and stand no more in the answer; the new ones come after
        them, since a place may be told once."""
        told = {"before": event.before, "after": event.after, "model": event.model, "class": event.reason}
        if isinstance(event, Seam):
            return f": x-dispatch-seam {event.before} -> {event.after}\n\n".encode()
        rest = self._begin() + self._close_all("incomplete", every=True)
        self._void += len(self._items)
        self._reset(event.model)
        return rest + self._event("x_dispatch.restart", {**told, "void": self._void})

    # --- items ---

    def _place(self) -> int:
        """Where the next item goes."""
        return self._void + len(self._items)

    def _text(self, kind: str, piece: str) -> bytes:
        if not piece:
            return b""
        start = self._begin()
        ahead, self._ahead = self._ahead, None
        message = self._current
        if message is None or (ahead is not None and "item" in ahead):
            message = MessageUnderWay(self._place(), self._id, ahead["item"] if ahead else None)
            start += self._start(message)
            self._current = message
        elif ahead is not None:
            start += self._tell(message.end_part())
        return start + self._tell(message.add(kind, piece))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        ahead, self._ahead = self._ahead, None
        if self._skip:
            self._skip = False
            return b""
        if not (event.text or event.signature or event.redacted):
            return b""
        start = self._begin()
        thought = self._thoughts.get(event.block)
        if thought is None or not thought.open:
            thought = ThoughtUnderWay(self._place(), self._id)
            start += self._start(thought)
            self._thoughts[event.block] = thought
            self._kind = ahead["parts"][0][1] if ahead and "parts" in ahead else SUMMARY
        if event.text:
            start += self._tell(thought.add(self._kind, event.text))
        if event.signature or event.redacted:
            thought.seal = seal_for_client(event.format, event.signature, event.redacted) or thought.seal
        return start

    def _call(self, event: ToolCallDelta) -> bytes:
        start = b""
        call = self._calls.get(event.call)
        if call is None:
            start = self._begin()
            ahead, self._ahead = self._ahead, None
            index = self._place()
            call_id = event.id or f"call_{self._id.removeprefix('resp_')}_{index}"
            call = CallUnderWay(index, self._id, call_id, event.name or "", ahead)
            start += self._start(call)
            self._calls[event.call] = call
        return start + self._tell(call.add(event.arguments)) if event.arguments else start

    def _opaque(self, event: OpaqueDelta) -> bytes:
        if event.about == "next":
            self._ahead = {**(self._ahead or {}), **event.payload}
        elif event.about == "answer":
            self._further |= event.payload
        elif event.about == "last":
            return self._note(event.payload)
        else:
            item = OpaqueUnderWay(self._place(), self._id, event.payload)
            return self._begin() + self._start(item) + self._tell(item.end())
        return b""

    def _note(self, fields: dict[str, Any]) -> bytes:
        last = self._items[-1] if self._items else None
        if isinstance(last, MessageUnderWay):
            return self._tell(last.note(fields))
        if isinstance(last, ThoughtUnderWay):
            if "parts" in fields:
                self._kind, self._skip = fields["parts"][-1][1], True
                return self._tell(last.end_part())
            last.note(fields)
        return b""

    def _start(self, item: UnderWay) -> bytes:
        """Begin `item`; those before it end, if they can."""
        closing = b""
        if self._current is not None:
            closing += self._tell(self._current.end())
            self._current = None
        for thought in self._thoughts.values():
            if thought.open and (thought.seal is not None or not self._own):
                closing += self._tell(thought.end())
        for call in self._calls.values():
            if call.open and _is_json(call.arguments):
                closing += self._tell(call.end())
        self._items.append(item)
        return closing + self._tell(item.begin())

    def _close_all(self, status: str, *, every: bool = False) -> bytes:
        """End what is open. The last item, or `every` one, ends with this status."""
        last = self._items[-1] if self._items else None
        open_items = [item for item in self._items if item.open]
        self._current = None
        return b"".join(
            [self._tell(item.end(status if every or item is last else "completed")) for item in open_items]
        )

    # --- bytes ---

    def _tell(self, telling: Telling) -> bytes:
        return b"".join([self._event(kind, fields) for kind, fields in telling])

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        number = self._sequence
        self._sequence += 1
        data = _encode({"type": kind, "sequence_number": number, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
