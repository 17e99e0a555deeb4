"""Messages as `system` and turns.

Turns alternate between user and assistant: neighbours of the same role are joined, and the results of tools stand
first in the user's turn, the results of parallel calls together.

System and developer messages at the beginning become `system`. A later one cannot be said there without moving it,
which would change its meaning, so it is refused; where dropping is allowed it is said as the user's words in its
place. A system turn that came in this very format (its message has an `extra` of the format, even an empty one) is
sent as it came, and so is every later one to a model that is said to take them.
"""

from __future__ import annotations

from typing import Any

from ....canon import Message, Opaque, Text
from ...wishes import Wishes
from . import FORMAT
from .blocks import own_fields, write_blocks, write_text

__all__ = ["split_system", "write_turns"]

_SYSTEM = ("system", "developer")


def split_system(messages: list[Message], wishes: Wishes) -> tuple[Any, list[Message]]:
    """The system messages at the beginning, and the rest.

    Their text is one string, with an empty line between two messages; it is a list of blocks where a message has
    several parts or a part has fields of its own. None if there is no text.
    """
    end = next((at for at, each in enumerate(messages) if not _leads(each)), len(messages))
    leading, rest = messages[:end], messages[end:]
    plain = [each.content for each in leading if isinstance(each.content, str)]
    if len(plain) == len(leading):
        return "\n\n".join(text for text in plain if text.strip()) or None, rest
    blocks = [block for each in leading for block in _system_blocks(each, wishes)]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"], rest
    return blocks or None, rest


def _leads(message: Message) -> bool:
    return message.role in _SYSTEM and FORMAT not in (message.extra or {})


def _system_blocks(message: Message, wishes: Wishes) -> list[dict[str, Any]]:
    if isinstance(message.content, str):
        block = write_text(message.content)
        return [block] if block else []
    fitting = [
        part
        for part in message.content
        if isinstance(part, Text) or (isinstance(part, Opaque) and part.format == FORMAT)
    ]
    if len(fitting) < len(message.content):
        wishes.cannot("a system message that is not text", "say it in a user message")
    return write_blocks([*fitting], wishes)


def write_turns(
    messages: list[Message], wishes: Wishes, *, system_turns: bool = False
) -> list[dict[str, Any]]:
    """The turns. A message of which nothing is left makes none. `system_turns`: system messages may be turns."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = _role(message, wishes, system_turns)
        blocks = _system_blocks(message, wishes) if message.role in _SYSTEM else _blocks(message, wishes)
        if not blocks:
            continue
        further = own_fields(message.extra)
        if turns and turns[-1]["role"] == role and not further:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks, **further})
    for turn in turns:
        blocks = turn["content"]
        blocks.sort(key=lambda block: block.get("type") != "tool_result")
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            turn["content"] = blocks[0]["text"]
    return turns


def _role(message: Message, wishes: Wishes, system_turns: bool) -> str:
    if message.name is not None and message.role != "tool":
        wishes.cannot("the name of a message", "put it into the text")
    if message.role in _SYSTEM:
        if system_turns or FORMAT in (message.extra or {}):
            return "system"
        wishes.cannot("a system message within the conversation", "put it at the beginning")
    return "assistant" if message.role == "assistant" else "user"


def _blocks(message: Message, wishes: Wishes) -> list[dict[str, Any]]:
    if not isinstance(message.content, str):
        return write_blocks(message.content, wishes)
    if message.role == "tool":
        wishes.cannot("a tool message without a tool result")
        return []
    block = write_text(message.content)
    return [block] if block else []
