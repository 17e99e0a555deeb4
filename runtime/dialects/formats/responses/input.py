"""Canonical messages as the items of a request.

Instructions are a system message at the beginning and written as such, since not every vendor knows `instructions`. A
message of the assistant that is one plain text is written as that text. Ids and states are not written (see the package).
"""

from __future__ import annotations

from typing import Any

from ....canon import Audio, File, Image, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...media import AUDIO_WORDS, PDF, data_url, inline_data, told_as_text
from ...wishes import Wishes
from . import FORMAT
from .thoughts import write_thought

__all__ = ["own_fields", "write_items"]


def own_fields(extra: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that this format's own reader has kept."""
    fields = (extra or {}).get(FORMAT)
    return fields if isinstance(fields, dict) else {}


def write_items(messages: list[Message], wishes: Wishes) -> list[dict[str, Any]]:
    """The items of a conversation. Raises `Unsupported` unless lenient."""
    items: list[dict[str, Any]] = []
    for message in messages:
        if message.name is not None and message.role != "tool":
            wishes.cannot("the name of a message", "put it into the text")
        if message.role == "assistant":
            _assistant(message, items, wishes)
        elif message.role == "tool":
            _results(message, items, wishes)
        else:
            _said(message, items, wishes)
    return items


def _said(message: Message, items: list[dict[str, Any]], wishes: Wishes) -> None:
    """What a user, or the system, says."""
    further = own_fields(message.extra)
    if isinstance(message.content, str):
        items.append({"role": message.role, "content": message.content, **further})
        return
    content: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, Opaque) and part.format == FORMAT and not _is_content(part):
            items.append(part.payload)
        elif (piece := _content_part(part, wishes)) is not None:
            content.append(piece)
    if content or not message.content:
        items.append({"role": message.role, "content": content, **further})


def _is_content(part: Opaque) -> bool:
    return str(part.payload.get("type")).startswith("input_")


def _content_part(part: Part, wishes: Wishes) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text, **own_fields(part.extra)}
        case Image():
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
            # The detail must be said; `auto` is what other formats mean by saying nothing.
            image = {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
            return {**image, **own_fields(part.extra)}
        case File():
            return _file(part)
        case Audio():
            return _audio(part, wishes)
        case Opaque(format=format, payload=payload) if format == FORMAT:
            return payload
    what = f"a part of the format {part.format}" if isinstance(part, Opaque) else type(part).__name__
    wishes.cannot(what)
    return None


def _file(file: File) -> dict[str, Any]:
    text = told_as_text(file)
    if text is not None:
        return {"type": "input_text", "text": text}
    piece: dict[str, Any] = {"type": "input_file"}
    held = inline_data(file)
    if held is None:
        piece["file_url"] = file.url or ""
    else:
        data = data_url(held.content, held.media_type or PDF)
        piece |= {"filename": file.name or "document.pdf", "file_data": data}
    return {**piece, **own_fields(file.extra)}


def _audio(audio: Audio, wishes: Wishes) -> dict[str, Any] | None:
    word = next((word for word, kind in AUDIO_WORDS.items() if kind == audio.media_type), None)
    if audio.data is None or word is None:
        wishes.cannot(
            "sound at a URL, or of another type than WAV and MP3", "send its content as one of these"
        )
        return None
    told = {"data": audio.data, "format": word}
    return {"type": "input_audio", "input_audio": told, **own_fields(audio.extra)}


def _results(message: Message, items: list[dict[str, Any]], wishes: Wishes) -> None:
    if isinstance(message.content, str):
        wishes.cannot("a tool message without a call's id", "use ToolResult parts")
        return
    for part in message.content:
        if not isinstance(part, ToolResult):
            wishes.cannot(f"{type(part).__name__} in a tool message")
            continue
        output: Any = part.content
        if not isinstance(output, str):
            output = [piece for each in output if (piece := _content_part(each, wishes)) is not None]
        item = {"type": "function_call_output", "call_id": part.call_id, "output": output}
        items.append({**item, **own_fields(part.extra)})


# --- the assistant ------------------------------------------------------------------------------


class _Turn:
    """The items of one turn; texts in a row are the content of one message."""

    def __init__(self, items: list[dict[str, Any]], wishes: Wishes) -> None:
        self.items = items
        self.wishes = wishes
        self.content: list[dict[str, Any]] = []
        self.fields: dict[str, Any] = {}

    def text(self, part: Text | Refusal) -> None:
        fields = dict(own_fields(part.extra))
        further = fields.pop("item", None)
        if further is not None:
            self.flush()
            self.fields = further
        fields.pop("logprobs", None)
        if isinstance(part, Refusal):
            self.content.append({"type": "refusal", "refusal": part.text})
        else:
            self.content.append({"type": "output_text", "text": part.text, **fields})

    def flush(self) -> None:
        """The message is whole."""
        content: Any = self.content
        if not content:
            return
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            content = content[0]["text"]
        self.items.append({"role": "assistant", "content": content, **self.fields})
        self.content, self.fields = [], {}


def _assistant(message: Message, items: list[dict[str, Any]], wishes: Wishes) -> None:
    if isinstance(message.content, str):
        items.append({"role": "assistant", "content": message.content, **own_fields(message.extra)})
        return
    turn = _Turn(items, wishes)
    for part in message.content:
        if isinstance(part, Text | Refusal):
            turn.text(part)
            continue
        turn.flush()
        item = _item(part, len(items), wishes)
        if item is not None:
            items.append(item)
    turn.flush()


def _item(part: Part, number: int, wishes: Wishes) -> dict[str, Any] | None:
    match part:
        case Thinking():
            return write_thought(part, number, wishes)
        case ToolCall():
            item = {"type": "function_call", "call_id": part.id, "name": part.name}
            return {**item, "arguments": part.arguments or "{}", **own_fields(part.extra)}
        case Opaque(format=format, payload=payload) if format == FORMAT:
            return payload
    what = f"a part of the format {part.format}" if isinstance(part, Opaque) else type(part).__name__
    wishes.cannot(f"{what} in a message of the assistant")
    return None
