"""What becomes of a stream that breaks after content was delivered: whether, and how, another vendor takes over.

Going on with another's text is only sound where the answer is plain text: half a tool call, half a JSON document,
log probabilities or one of several answers cannot be handed over. The text so far is sent as the beginning of the
assistant's turn (a prefill). Its trailing blanks are not sent, since some vendors refuse them; what the
continuation begins with of them is taken out again at the seam.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..actors.messages import Spent
from .canon import Event, Message, OpaqueDelta, Opened, Request, Seam, TextDelta, Usage, UsageReported

__all__ = ["PREFILL", "Joint", "Written", "continuation", "total"]

PREFILL: Final = frozenset({"prefill"})
"""What a deployment must be able to do to go on with a text."""


class Written:
    """What a stream has brought so far, as far as it could be gone on with."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.only_text = True

    def add(self, event: Event) -> None:
        """Take note of an event that was delivered."""
        if type(event) is TextDelta:
            self._pieces.append(event.text)
            self.only_text = self.only_text and event.index == 0 and event.signature is None
        elif type(event) not in (Opened, UsageReported, Seam) and not (
            type(event) is OpaqueDelta and not event.content
        ):
            self.only_text = False

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)


def continuation(request: Request, written: Written, tokens: int) -> Request | None:
    """The request that goes on where `written` broke off after about so many `tokens`; None if none can."""
    text = written.text.rstrip()
    if not text or not written.only_text or request.output is not None:
        return None
    if request.logprobs or (request.n or 1) > 1:
        return None
    left = None
    if request.max_tokens is not None:
        left = request.max_tokens - tokens
        if left < 1:
            return None
    messages = list(request.messages)
    last = messages[-1]
    if last.role == "assistant":
        if not isinstance(last.content, str):
            return None
        # The caller had begun the turn: two in a row would be two turns.
        messages[-1] = msgspec.structs.replace(last, content=last.content + text)
    else:
        messages.append(Message("assistant", text))
    return msgspec.structs.replace(request, messages=messages, max_tokens=left)


class Joint:
    """Makes the events of a continuation follow on what was delivered before: blanks, and the sum of the usage."""

    def __init__(self, written: Written, before: Usage) -> None:
        text = written.text
        self._blanks = text[len(text.rstrip()) :]
        self._before = before

    def pass_on(self, event: Event) -> Event | None:
        """`event` as the caller is to see it; None: not at all."""
        if type(event) is Opened:
            return None
        if type(event) is UsageReported:
            return UsageReported(_sum(self._before, event.usage))
        if type(event) is not TextDelta or not self._blanks:
            return event
        text = event.text
        while self._blanks and text[:1] == self._blanks[:1]:
            text, self._blanks = text[1:], self._blanks[1:]
        if text:
            self._blanks = ""
        return msgspec.structs.replace(event, text=text) if text else None


def total(before: Usage, spent: Spent) -> Usage:
    """`before`, and what an attempt that broke off came to."""
    used = Usage(
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        cache_read_tokens=spent.cache_read_tokens,
        reasoning_tokens=spent.reasoning_tokens,
    )
    return _sum(before, used)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(*[getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__])
