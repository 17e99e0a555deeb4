"""Messages as Cohere's turns.

- Thoughts in a turn that calls tools are its `tool_plan`, which every model takes; elsewhere they are pieces of its
  content. Thoughts of other vendors are left out: nothing needs them.
- An assistant's turn of which nothing is left is none, since the vendor refuses an empty one.
- Whether a tool failed has no field: the result's text has to say it.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import File, Image, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...media import told_as_text
from ...wishes import Wishes
from . import FORMAT

__all__ = ["write_turns"]

_SYSTEM: Final = ("system", "developer")


def write_turns(messages: list[Message], wishes: Wishes) -> list[dict[str, Any]]:
    """The turns, in order; a message with the results of several calls makes one turn for each."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.name is not None and message.role != "tool":
            wishes.cannot("the name of a message", "put it into the text")
        written = _turns_of(message, wishes)
        own = (message.extra or {}).get(FORMAT)
        if own:
            written = [{**turn, **own} for turn in written]
        turns += written
    return turns


def _turns_of(message: Message, wishes: Wishes) -> list[dict[str, Any]]:
    if message.role == "tool":
        return _results(message, wishes)
    if message.role == "assistant":
        turn = _assistant(message.content, wishes)
        return [turn] if turn.keys() > {"role"} else []
    role = "system" if message.role in _SYSTEM else "user"
    if isinstance(message.content, str):
        return [{"role": role, "content": message.content}]
    pieces = [piece for part in message.content if (piece := _piece(part, role, wishes)) is not None]
    return [{"role": role, "content": pieces}]


def _assistant(content: str | list[Part], wishes: Wishes) -> dict[str, Any]:
    parts = _parts(content)
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
    thoughts = [part.text for part in parts if isinstance(part, Thinking) and part.format == FORMAT]
    citations = [found for part in parts if (found := _citation(part)) is not None]
    turn: dict[str, Any] = {"role": "assistant"}
    pieces: list[dict[str, Any]] = []
    if calls and thoughts:
        turn["tool_plan"] = "".join(thoughts)
    for part in parts:
        if isinstance(part, Thinking):
            if not calls and part.format == FORMAT:
                pieces.append({"type": "thinking", "thinking": part.text})
        elif not isinstance(part, ToolCall) and _citation(part) is None:
            piece = _piece(part, "assistant", wishes)
            if piece is not None and piece != {"type": "text", "text": ""}:
                pieces.append(piece)
    if len(pieces) == 1 and pieces[0].keys() == {"type", "text"}:
        turn["content"] = pieces[0]["text"]
    elif pieces:
        turn["content"] = pieces
    if citations:
        turn["citations"] = citations
    if calls:
        turn["tool_calls"] = calls
    return turn


def _parts(content: str | list[Part]) -> list[Part]:
    return [Text(content)] if isinstance(content, str) else content


def _citation(part: Part) -> Any:
    own = isinstance(part, Opaque) and part.format == FORMAT
    return part.payload.get("citation") if own and isinstance(part, Opaque) else None


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _results(message: Message, wishes: Wishes) -> list[dict[str, Any]]:
    if isinstance(message.content, str):
        wishes.cannot("a tool message without a tool result")
        return []
    turns: list[dict[str, Any]] = []
    for part in message.content:
        if not isinstance(part, ToolResult):
            wishes.cannot(f"{type(part).__name__} in a tool message")
            continue
        content: Any = part.content
        if not isinstance(content, str):
            content = [piece for each in content if (piece := _piece(each, "tool", wishes)) is not None]
        turns.append({"role": "tool", "tool_call_id": part.call_id, "content": content})
    return turns


def _piece(part: Part, role: str, wishes: Wishes) -> dict[str, Any] | None:
    """One piece of a turn's content; None for what cannot be said there."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text, **(part.extra or {}).get(FORMAT, {})}
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image) and role == "user":
        return _image(part)
    if isinstance(part, File) and (text := told_as_text(part)) is not None:
        return {"type": "text", "text": text}
    if isinstance(part, Opaque) and part.format == FORMAT:
        return part.payload if "type" in part.payload else None
    if isinstance(part, Thinking):
        return None
    if isinstance(part, Image):
        wishes.cannot(f"an image in a message of the role {role}", "send it in a user message")
    else:
        what = f"a part of the format {part.format}" if isinstance(part, Opaque) else type(part).__name__
        wishes.cannot(what)
    return None


def _image(image: Image) -> dict[str, Any]:
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data or ''}"
    told = {"url": url} if image.detail is None else {"url": url, "detail": image.detail}
    return {"type": "image_url", "image_url": told}
