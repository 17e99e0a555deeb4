"""Events to the server-sent events that a client of the messages format expects.

The sequence is Anthropic's own: `message_start`, each block from its start to its stop, `message_delta`,
`message_stop`. Events do not say where a block ends: it ends where something of another kind begins, or at the end.

- `message_start` waits for the first content, so that it can tell the input where the vendor counts it beforehand;
  with other vendors its counts are 0, and those of `message_delta` are the real ones.
- A call is closed when another block begins and its arguments are whole. Should a vendor's calls come interleaved, the
  earlier stays open beside the later, since no other order could say it; clients go by the index.
- Thoughts of other vendors have no signature: sent back as ours, theirs would be refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

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
from .beside import fields_of_call, tell_end
from .reply import stop_reason
from .usage import write_usage
from .wholeness import Wholeness

__all__ = ["Writer"]

_encode: Final = msgspec.json.Encoder().encode


class _Call(Struct):
    """A call that is being told."""

    index: int
    arguments: Wholeness


class Writer:
    """Writes one stream. `id` and `model` are for vendors that do not say; `own`: the vendor's format is this one."""

    def __init__(self, *, id: str, model: str, own: bool) -> None:
        self._id = id
        self._own = own
        self._reset(model)

    def _reset(self, model: str) -> None:
        """Nothing has been told yet."""
        self._model = model
        self._begun = False
        self._blocks = 0
        self._open: tuple[str, int] | None = None
        """The kind of the open block that is no call, and which of its kind it is."""
        self._calls: dict[int, _Call] = {}
        self._latest: list[_Call] = []
        """Calls that have begun since the last block of another kind: they end, if they are whole, when the next begins."""
        self._late: list[_Call] = []
        """Calls that were not whole then: they end last of all."""
        self._further: tuple[str, dict[str, Any]] | None = None
        """The name of the call that comes next, and its further fields."""
        self._ending: dict[str, Any] = {}
        self._usage = Usage()
        self._finished = Finished("other")
        self._refused = False

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty for one that clients are not told of, or not yet."""
        if type(event) is TextDelta:
            return self._text(event.text) if event.text else b""
        if type(event) is ToolCallDelta:
            return self._call(event)
        if type(event) is ThinkingDelta:
            return self._thinking(event)
        if type(event) is OpaqueDelta:
            return self._opaque(event.payload) if event.format == FORMAT else b""
        if type(event) is RefusalDelta:
            self._refused = True
            return self._text(event.text) if event.text else b""
        if type(event) is UsageReported:
            self._usage = event.usage
        elif type(event) is Finished:
            self._finished = event
            return self._close_all()
        elif type(event) is Opened:
            self._id = event.id if self._own and event.id else self._id
            self._model = event.model or self._model
        elif isinstance(event, Seam | Restarted):
            return self._takeover(event)
        return b""

    def close(self) -> bytes:
        """The end: the reason, the usage and `message_stop`."""
        fields = self._ending
        reason = stop_reason(
            self._finished.reason,
            self._finished.vendor_reason,
            own=self._own,
            called=bool(self._calls),
            refused=self._refused,
        )
        counts = write_usage(self._usage)
        counts.pop("cache_creation", None)
        delta = {"stop_reason": reason, "stop_sequence": None}
        for name in ("stop_sequence", "stop_details", "container"):
            if name in fields:
                delta[name] = fields.pop(name)
        usage = {**fields.pop("usage", {}), **counts}
        last = _event("message_delta", {"delta": delta, "usage": usage, **fields})
        return self._close_all() + last + _event("message_stop", {})

    @staticmethod
    def error(envelope: dict[str, Any]) -> bytes:
        """An error as the last event: no `message_stop` follows it."""
        return b"event: error\ndata: " + _encode(envelope) + b"\n\n"

    def _takeover(self, event: Seam | Restarted) -> bytes:
        """The mark where another vendor takes over. One that begins anew has an event of its own, which clients that do
        not know it pass over, and then a second `message_start`."""
        told = {"before": event.before, "after": event.after, "model": event.model, "class": event.reason}
        if isinstance(event, Seam):
            return f": x-dispatch-seam {event.before} -> {event.after}\n\n".encode()
        self._reset(event.model)
        return _event("x_dispatch_restart", told)

    # --- blocks ---

    def _text(self, text: str) -> bytes:
        start = self._turn_to("text", 0, {"type": "text", "text": ""})
        return start + _delta(self._blocks - 1, b'"text_delta","text":' + _encode(text))

    def _thinking(self, event: ThinkingDelta) -> bytes:
        own = event.format == FORMAT
        if event.redacted is not None:
            return self._whole({"type": "redacted_thinking", "data": event.redacted}) if own else b""
        signature = event.signature if own else None
        if not (event.text or signature):
            return b""
        block = {"type": "thinking", "thinking": "", "signature": ""}
        pieces = [self._turn_to("thinking", event.block, block)]
        if event.text:
            pieces.append(_delta(self._blocks - 1, b'"thinking_delta","thinking":' + _encode(event.text)))
        if signature:
            pieces.append(_delta(self._blocks - 1, b'"signature_delta","signature":' + _encode(signature)))
        return b"".join(pieces)

    def _call(self, event: ToolCallDelta) -> bytes:
        start = b""
        call = self._calls.get(event.call)
        if call is None:
            name = event.id or f"toolu_{self._id.removeprefix('msg_')}_{event.call}"
            block = {"type": "tool_use", "id": name, "name": event.name or "", "input": {}}
            further, self._further = self._further, None
            if further is not None and further[0] == name:
                block |= further[1]
            start = self._start(block)
            call = self._calls[event.call] = _Call(self._blocks - 1, Wholeness())
            self._latest.append(call)
        if not event.arguments:
            return start
        call.arguments.add(event.arguments)
        return start + _delta(call.index, b'"input_json_delta","partial_json":' + _encode(event.arguments))

    def _opaque(self, payload: dict[str, Any]) -> bytes:
        """A whole block of the format's own, or what is told beside the content; see `beside`."""
        match payload:
            case {"type": "message_delta"}:
                tell_end(self._ending, payload)
                return b""
            case {"type": "content_block_start", "content_block": {"id": str(id)}}:
                self._further = (id, fields_of_call(payload))
                return b""
            case {"type": "content_block_start"}:
                return self._close_current()
            case {"type": "content_block_delta", "delta": delta}:
                if self._open is None:
                    return b""
                return _event("content_block_delta", {"index": self._blocks - 1, "delta": delta})
        return self._whole(payload)

    def _whole(self, block: dict[str, Any]) -> bytes:
        """A block at once; its input as a piece, since some clients take it from the pieces alone."""
        given = block.get("input")
        if not isinstance(given, dict) or not given:
            return self._start(block) + _event("content_block_stop", {"index": self._blocks - 1})
        start = self._start({**block, "input": {}})
        piece = _encode(_encode(given).decode())
        index = self._blocks - 1
        return b"".join(
            (
                start,
                _delta(index, b'"input_json_delta","partial_json":' + piece),
                _event("content_block_stop", {"index": index}),
            )
        )

    def _turn_to(self, kind: str, which: int, block: dict[str, Any]) -> bytes:
        """Begin `block` unless it is the open one."""
        if self._open == (kind, which):
            return b""
        start = self._start(block)
        self._open = (kind, which)
        return start

    def _start(self, block: dict[str, Any]) -> bytes:
        closing = self._close_current() + self._close_whole()
        self._blocks += 1
        start = _event("content_block_start", {"index": self._blocks - 1, "content_block": block})
        return self._begin() + closing + start

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        return _event("message_start", {"message": message})

    def _close_all(self) -> bytes:
        calls, self._latest, self._late = [*self._late, *self._latest], [], []
        return self._begin() + self._close_current() + b"".join([_stop(call.index) for call in calls])

    def _close_current(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _stop(self._blocks - 1)

    def _close_whole(self) -> bytes:
        """Another block begins: end those calls that lack nothing. Each is looked at once."""
        latest, self._latest = self._latest, []
        self._late += [call for call in latest if not call.arguments.whole]
        return b"".join([_stop(call.index) for call in latest if call.arguments.whole])


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"


def _stop(index: int) -> bytes:
    return _event("content_block_stop", {"index": index})


def _delta(index: int, inner: bytes) -> bytes:
    """A `content_block_delta`. Made by hand, since it is nearly all of a stream."""
    return b"".join(
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":',
            str(index).encode(), b',"delta":{"type":', inner, b"}}\n\n",
        )
    )  # fmt: skip
