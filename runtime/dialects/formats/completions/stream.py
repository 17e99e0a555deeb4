"""A streamed answer in the completions format, on its way to a client. Read, it is a chat's (`chat_completions.stream`)."""

from __future__ import annotations

from typing import Any

import msgspec

from ....canon import (
    Event,
    Finished,
    OpaqueDelta,
    RefusalDelta,
    Restarted,
    Seam,
    TextDelta,
    Usage,
    UsageReported,
)
from ..chat_completions import FORMAT as CHAT
from ..chat_completions.usage import write_usage
from .reply import finish_word

__all__ = ["Writer"]

_encode = msgspec.json.Encoder().encode


class Writer:
    """Events to the chunks that a client of the format expects. What a text is not (thoughts, calls) is left out.

    `include_usage`: the client asked for a last chunk with the usage.
    """

    def __init__(self, *, id: str, model: str, created: int, include_usage: bool) -> None:
        self._id = id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty for one that clients are not told of."""
        if isinstance(event, TextDelta | RefusalDelta):
            return self._choice(event.index, event.text) if event.text else b""
        if isinstance(event, Finished):
            return self._choice(event.index, "", finish_word(event.reason))
        if isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, OpaqueDelta) and event.format == CHAT and event.payload.get("logprobs"):
            return self._choice(event.index, "", logprobs=event.payload["logprobs"])
        elif isinstance(event, Seam | Restarted):
            return self._takeover(event)
        return b""

    def close(self) -> bytes:
        """The end: the usage if it was asked for, and `[DONE]`."""
        end = b"data: [DONE]\n\n"
        if self._include_usage:
            return self._chunk(choices=[], usage=write_usage(self._usage or Usage())) + end
        return end

    @staticmethod
    def error(envelope: dict[str, Any]) -> bytes:
        """An error as the last event: no finish reason and no `[DONE]` follow it."""
        return b"data: " + _encode(envelope) + b"\n\n"

    def _choice(self, index: int, text: str, finish: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}
        return self._chunk(choices=[choice])

    def _chunk(self, **fields: Any) -> bytes:
        head = {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model,
        }
        return b"data: " + _encode(head | fields) + b"\n\n"

    def _takeover(self, event: Seam | Restarted) -> bytes:
        """The mark where another vendor takes over, as in a chat."""
        word = "seam" if isinstance(event, Seam) else "restart"
        if isinstance(event, Restarted):
            self._model = event.model
            self._usage = None
        told = {"before": event.before, "after": event.after, "model": event.model, "class": event.reason}
        comment = f": x-dispatch-{word} {event.before} -> {event.after}\n\n".encode()
        return comment + self._chunk(choices=[], x_dispatch={word: told})
