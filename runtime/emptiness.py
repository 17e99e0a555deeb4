"""When is a good answer no answer: status 200, and nothing in it.

Not every empty answer is a fault. A model that thought until its tokens ran out, an answer that was withheld for its
content, one that met the caller's own stop sequence at once: those are what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .canon import Choice, Completion, Finished, FinishReason, Part, Refusal, Request, Text, Thinking

__all__ = ["ends_without_content", "is_empty"]

_EXCUSED: Final = frozenset({"length", "content_filter", "pause"})
_STOPPED: Final = "stop_sequence"
"""The word of those vendors that tell a stop sequence from a natural end; of the others the request has to say."""


def is_empty(completion: Completion, request: Request) -> bool:
    """Whether a whole answer says nothing, and gives no reason for it."""
    for choice in completion.choices:
        if _says_something(choice) or _excused(choice.finish, choice.vendor_finish):
            return False
    return not request.stop


def ends_without_content(finishes: Sequence[Finished], request: Request) -> bool:
    """The same for a stream that brought no content before these endings."""
    if any(_excused(finished.reason, finished.vendor_reason) for finished in finishes):
        return False
    return not request.stop


def _excused(reason: FinishReason | None, vendor_reason: str | None) -> bool:
    return reason in _EXCUSED or vendor_reason == _STOPPED


def _says_something(choice: Choice) -> bool:
    for part in choice.parts:
        if _substantial(part):
            return True
    # What only the vendor's own format knows, such as audio beside an empty text.
    own = (choice.extra or {}).values()
    return any(any(message.values()) for each in own if (message := each.get("message")))


def _substantial(part: Part) -> bool:
    if type(part) is Text or type(part) is Refusal:
        return bool(part.text)
    return type(part) is not Thinking or bool(part.text or part.redacted or part.signature)
