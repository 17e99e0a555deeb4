"""Messages as Ollama's: texts, with the images of a message beside them.

- A message has one text and a list of images, in base64 only: where a text stood between two images is lost.
- A document that is text is told as text; others, and sound, cannot be sent.
- A tool's result names its tool, so the name is looked up among the calls; it goes with the id, which newer servers know too.
- Thoughts of this format are sent back, since models that think between calls of tools go on where they were. Whether a
  tool failed has no field: the result's text has to say it.
"""

from __future__ import annotations

from typing import Any

from ....canon import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from ...media import inline_data, told_as_text
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT

__all__ = ["write_turns"]

_ROLES = {"developer": "system"}


def write_turns(messages: list[Message], wishes: Wishes) -> list[dict[str, Any]]:
    """The turns, in order; a message with the results of several calls makes one turn for each."""
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.name is not None and message.role != "tool":
            wishes.cannot("the name of a message", "put it into the text")
        parts: list[Part] = [Text(message.content)] if isinstance(message.content, str) else message.content
        names.update({part.id: part.name for part in parts if isinstance(part, ToolCall)})
        own = (message.extra or {}).get(FORMAT) or {}
        if message.role == "tool":
            turns += [{**_result(part, names, wishes), **own} for part in parts]
        else:
            turns.append({"role": _ROLES.get(message.role, message.role), **_content(parts, wishes), **own})
    return turns


def _content(parts: list[Part], wishes: Wishes) -> dict[str, Any]:
    texts: list[str] = []
    turn: dict[str, Any] = {"content": ""}
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Image():
                _add(turn, "images", _image(part, wishes))
            case File():
                text = told_as_text(part)
                if text is None:
                    wishes.cannot("a document that is not text", "send what it says as text")
                else:
                    texts.append(text)
            case Audio():
                wishes.cannot("sound", "send what is said as text")
            case ToolCall():
                _add(turn, "tool_calls", _call(part, wishes))
            case Thinking():
                if part.format == FORMAT:
                    turn["thinking"] = turn.get("thinking", "") + part.text
                else:
                    wishes.dropped.append("reasoning of another vendor")
            case ToolResult():
                wishes.cannot("a tool result outside of a message of the role tool")
            case Opaque():
                wishes.cannot(f"a part of the format {part.format}")
    turn["content"] = "".join(texts)
    return turn


def _add(turn: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        turn.setdefault(name, []).append(value)


def _image(image: Image, wishes: Wishes) -> str | None:
    if image.detail not in (None, "auto"):
        wishes.cannot(f"image detail {image.detail!r}", "leave it out")
    held = inline_data(image)
    if held is None:
        wishes.cannot("an image at an address", "send its data")
        return None
    return held.content


def _call(call: ToolCall, wishes: Wishes) -> dict[str, Any]:
    try:
        arguments = read_json(call.arguments.strip().encode() or b"{}")
    except (Unreadable, UnicodeError):
        arguments = None
    if not isinstance(arguments, dict):
        wishes.cannot(f"arguments of {call.name!r} that are not a JSON object")
        arguments = {}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _result(part: Part, names: dict[str, str], wishes: Wishes) -> dict[str, Any]:
    if not isinstance(part, ToolResult):
        wishes.cannot(f"{type(part).__name__} in a tool message")
        return {"role": "tool", "content": ""}
    inner: list[Part] = [Text(part.content)] if isinstance(part.content, str) else part.content
    turn = {"role": "tool", **_content(inner, wishes), "tool_call_id": part.call_id}
    name = part.name or names.get(part.call_id)
    return turn if name is None else {**turn, "tool_name": name}
