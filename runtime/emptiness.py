"""When is a good answer no answer: status 200, and nothing in it.

Not every empty answer is a fault. A model that thought until its tokens ran out, an answer that was withheld for its
content, one that stopped at the caller's own stop sequence at once: those are what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .canon import Choice, Completion, Finished, Part, Refusal, Request, Text, Thinking

__all__ = ["ends_without_content", "is_empty"]

_EXCUSED: Final = frozenset({"length", "content_filter", "pause"})


def is_empty(completion: Completion, request: Request) -> bool:
    """Whether a whole answer says nothing, and gives no reason for it."""
    if request.stop:
        return False
    return all(choice.finish not in _EXCUSED and not _says_something(choice) for choice in completion.choices)


def ends_without_content(finishes: Sequence[Finished], request: Request) -> bool:
    """The same for a stream that brought no content before these endings."""
    return not request.stop and all(finished.reason not in _EXCUSED for finished in finishes)


def _says_something(choice: Choice) -> bool:
    if any(_substantial(part) for part in choice.parts):
        return True
    # What only the vendor's own format knows, such as audio beside an empty text.
    own = (choice.extra or {}).values()
    return any(any(message.values()) for each in own if (message := each.get("message")))


def _substantial(part: Part) -> bool:
    if isinstance(part, Text | Refusal):
        return bool(part.text)
    return not isinstance(part, Thinking) or bool(part.text or part.redacted or part.signature)
