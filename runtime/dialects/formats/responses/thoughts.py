"""Reasoning items and the canonical `Thinking`, both ways.

An item has a summary or the thoughts themselves ("content"), in one part or several, and may have a seal over what is
not shown (`encrypted_content`). Canonically that is one text, its parts set apart by a blank line. Where it is not a
single part of a summary, `parts` in the thought's `extra` holds where each begins in the text, and of which kind it is.

The seals of other formats travel through clients as if they were of this one, with the name of their own in front: who
talks to an Anthropic model in this format can send its thoughts back like those of any other.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import Thinking
from ...wishes import Wishes
from . import FORMAT

__all__ = [
    "BETWEEN",
    "CONTENT",
    "SUMMARY",
    "parts_of",
    "seal_for_client",
    "unsealed_by_client",
    "write_thought",
]

SUMMARY: Final = "summary_text"
CONTENT: Final = "reasoning_text"
BETWEEN: Final = "\n\n"
"""What stands between two parts in the canonical text."""

_FOREIGN: Final = "x-dispatch"


def parts_of(thought: Thinking) -> list[tuple[str, str]]:
    """The parts that the text was made of: kind and text of each."""
    places = _fields(thought).get("parts")
    if not thought.text:
        return []
    if not isinstance(places, list) or not places:
        return [(SUMMARY, thought.text)]
    ends = [start - len(BETWEEN) for start, _ in places[1:]]
    return [
        (kind, thought.text[start:end])
        for (start, kind), end in zip(places, [*ends, len(thought.text)], strict=True)
    ]


def write_thought(thought: Thinking, number: int, wishes: Wishes) -> dict[str, Any] | None:
    """The item for a vendor; None for a thought that it could make nothing of.

    `number` tells the thoughts of a request apart, for vendors that want an id where there is no seal.
    """
    if thought.format != FORMAT:
        wishes.dropped.append("reasoning of another vendor")
        return None
    parts = parts_of(thought)
    content = [{"type": CONTENT, "text": text} for kind, text in parts if kind == CONTENT]
    summary = [{"type": SUMMARY, "text": text} for kind, text in parts if kind == SUMMARY]
    item: dict[str, Any] = {"type": "reasoning", "summary": summary}
    if content:
        item["content"] = content
    if thought.signature is not None:
        item["encrypted_content"] = thought.signature
    elif content:
        item["id"] = f"rs_{number}"
    else:
        # A summary alone is no thought: the vendor would look for the rest under an id.
        wishes.dropped.append("reasoning without its seal")
        return None
    return {**item, **{name: value for name, value in _fields(thought).items() if name != "parts"}}


def seal_for_client(format: str | None, signature: str | None, redacted: str | None = None) -> str | None:
    """The seal of a thought as `encrypted_content`; None where it has none."""
    if format == FORMAT or format is None:
        return signature if format == FORMAT else None
    if redacted is not None:
        return f"{_FOREIGN}:{format}:redacted:{redacted}"
    return None if signature is None else f"{_FOREIGN}:{format}:signature:{signature}"


def unsealed_by_client(thought: Thinking) -> Thinking:
    """A thought that a client sends back, with the seal of its own format if it was one of another."""
    mark, _, rest = (thought.signature or "").partition(":")
    owner, _, rest = rest.partition(":")
    kind, _, seal = rest.partition(":")
    if mark != _FOREIGN or kind not in ("signature", "redacted") or not seal:
        return thought
    bare = Thinking(thought.text, format=owner)
    return msgspec.structs.replace(bare, **{kind: seal})


def _fields(thought: Thinking) -> dict[str, Any]:
    fields = (thought.extra or {}).get(FORMAT)
    return fields if isinstance(fields, dict) else {}
