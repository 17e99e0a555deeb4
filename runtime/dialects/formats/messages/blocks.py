"""Canonical parts as content blocks.

Anthropic refuses blocks of text that are empty or white space alone, so these are left out. Thoughts are sent back
only under a seal of this format. Ids of calls are made such as Anthropic takes, alike in a call and its result. Images are sent by URL or as base64; a `data:` URL is taken apart.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ....canon import Audio, File, Image, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...media import PDF, inline_data, text_of
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT
from .beside import collect

__all__ = ["own_fields", "write_block", "write_blocks", "write_text"]

_MEDIA: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")
"""What must not stand in the id of a call; other vendors' ids hold dots and colons."""


def own_fields(extra: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that this format's own reader has kept."""
    fields = (extra or {}).get(FORMAT)
    return fields if isinstance(fields, dict) else {}


def write_blocks(parts: list[Part], wishes: Wishes) -> list[dict[str, Any]]:
    """The blocks of one message. What a stream told about its blocks goes to these."""
    return collect(parts, lambda part: write_block(part, wishes))


def write_block(part: Part, wishes: Wishes) -> dict[str, Any] | None:
    """One block; None for a part that has none here."""
    match part:
        case Text():
            return write_text(part.text, part.extra)
        case Refusal():
            return write_text(part.text)
        case Image():
            return _image(part, wishes)
        case File():
            return _document(part, wishes)
        case Audio():
            wishes.cannot("sound", "send what is said as text")
            return None
        case ToolCall():
            return _call(part, wishes)
        case ToolResult():
            return _result(part, wishes)
        case Thinking():
            return _thinking(part, wishes)
        case Opaque():
            if part.format == FORMAT:
                return part.payload
            wishes.cannot(f"a part of the format {part.format}")
            return None


def write_text(text: str, extra: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """A block of text; None for one that would be refused."""
    return {"type": "text", "text": text, **own_fields(extra)} if text.strip() else None


def _image(part: Image, wishes: Wishes) -> dict[str, Any] | None:
    if part.detail not in (None, "auto"):
        wishes.cannot(f"image detail {part.detail!r}", "leave it out")
    held = inline_data(part)
    if held is None:
        return {"type": "image", "source": {"type": "url", "url": part.url or ""}, **own_fields(part.extra)}
    media_type = held.media_type or "unknown"
    if media_type not in _MEDIA:
        wishes.cannot(f"images of the type {media_type}", "send JPEG, PNG, GIF or WebP")
        return None
    source = {"type": "base64", "media_type": media_type, "data": held.content}
    return {"type": "image", "source": source, **own_fields(part.extra)}


def _document(part: File, wishes: Wishes) -> dict[str, Any] | None:
    block: dict[str, Any] = {"type": "document"}
    if part.name is not None:
        block["title"] = part.name
    text, held = text_of(part), inline_data(part)
    if text is not None:
        source = {"type": "text", "media_type": "text/plain", "data": text}
    elif held is None:
        source = {"type": "url", "url": part.url or ""}
    elif held.media_type == PDF:
        source = {"type": "base64", "media_type": PDF, "data": held.content}
    else:
        wishes.cannot(f"documents of the type {held.media_type or 'unknown'}", "send PDF or text")
        return None
    return {**block, "source": source, **own_fields(part.extra)}


def _call(part: ToolCall, wishes: Wishes) -> dict[str, Any] | None:
    try:
        arguments = read_json(part.arguments.strip().encode() or b"{}")
    except (Unreadable, UnicodeError):
        arguments = None
    if not isinstance(arguments, dict):
        wishes.cannot(f"arguments of {part.name!r} that are not a JSON object")
        # The call must stay, since its result would be refused without it.
        arguments = {}
    return {
        "type": "tool_use",
        "id": _STRANGE.sub("_", part.id),
        "name": part.name,
        "input": arguments,
        **own_fields(part.extra),
    }


def _result(part: ToolResult, wishes: Wishes) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _STRANGE.sub("_", part.call_id)}
    content = part.content if isinstance(part.content, str) else write_blocks(part.content, wishes)
    if content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return {**block, **own_fields(part.extra)}


def _thinking(part: Thinking, wishes: Wishes) -> dict[str, Any] | None:
    if part.format != FORMAT:
        wishes.dropped.append("reasoning of another vendor")
        return None
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted, **own_fields(part.extra)}
    if part.signature is None:
        wishes.dropped.append("reasoning without its signature")
        return None
    return {
        "type": "thinking",
        "thinking": part.text,
        "signature": part.signature,
        **own_fields(part.extra),
    }
