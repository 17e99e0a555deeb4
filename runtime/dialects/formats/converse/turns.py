"""Messages as Converse has them.

- There are two roles, which take turns: what follows one another with the same role becomes one message, results of
  tools among it, which are the user's. Instructions stand apart, in `system`, wherever in the conversation they stood.
- Text that is empty or white space alone is refused, so it is left out; so is a message of which nothing is left.
- Thoughts are sent back only under a seal of this format. Images and documents travel with the request; only what lies in
  Amazon's own store can be named by its address (`s3://...`).
- Where a client of Anthropic's format marked how far its prompt should be cached, a cache point follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ....canon import Audio, File, Image, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...media import inline_data
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT

__all__ = ["holds_tools", "write_turns"]

_INSTRUCTIONS: Final = ("system", "developer")
_IMAGES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_-]")
"""What must not stand in the id of a call."""
_STRANGE_NAME: Final = re.compile(r"[^A-Za-z0-9\s()\[\]-]+|\s{2,}")
"""What must not stand in the name of a document."""

Block = dict[str, Any]


def write_turns(
    messages: list[Message], wishes: Wishes, *, cache_points: bool
) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of `system`, and the messages."""
    writer = _Writer(wishes, cache_points)
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.name is not None and message.role != "tool":
            wishes.cannot("the name of a message", "put it into the text")
        blocks = [block for part in _parts(message) for block in writer.blocks(part, message.role)]
        if message.role in _INSTRUCTIONS:
            system += blocks
        elif blocks:
            role = "assistant" if message.role == "assistant" else "user"
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
    return system, turns


def holds_tools(turns: list[dict[str, Any]]) -> bool:
    """Whether tools were called in a conversation, which then has to declare some."""
    return any("toolUse" in block or "toolResult" in block for turn in turns for block in turn["content"])


def _parts(message: Message) -> list[Part]:
    return [Text(message.content)] if isinstance(message.content, str) else message.content


class _Writer:
    def __init__(self, wishes: Wishes, cache_points: bool) -> None:
        self._wishes = wishes
        self._cache_points = cache_points
        self._documents = 0

    def blocks(self, part: Part, role: str) -> Iterator[Block]:
        """The blocks of one part, a cache point after it included."""
        block = self._block(part, role)
        if block is None:
            return
        yield block
        mark = (
            None if isinstance(part, Opaque) else (part.extra or {}).get("messages", {}).get("cache_control")
        )
        if isinstance(mark, dict) and self._cache_points:
            ttl = {"ttl": mark["ttl"]} if mark.get("ttl") in ("5m", "1h") else {}
            yield {"cachePoint": {"type": "default", **ttl}}

    def _block(self, part: Part, role: str) -> Block | None:
        if isinstance(part, Text | Refusal):
            return {"text": part.text} if part.text.strip() else None
        if role in _INSTRUCTIONS and not isinstance(part, Opaque):
            self._wishes.cannot(f"{type(part).__name__} in instructions", "send it in a user message")
            return None
        match part:
            case Image():
                return self._image(part)
            case File():
                return self._document(part)
            case Audio():
                self._wishes.cannot("sound", "send what is said as text")
                return None
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Thinking():
                return self._thinking(part)
            case Opaque():
                return self._opaque(part)

    def _image(self, image: Image) -> Block | None:
        if image.detail not in (None, "auto"):
            self._wishes.cannot(f"image detail {image.detail!r}", "leave it out")
        held = inline_data(image)
        if held is not None:
            if held.media_type in _IMAGES:
                return {"image": {"format": _IMAGES[held.media_type], "source": {"bytes": held.content}}}
            self._wishes.cannot(
                f"images of the type {held.media_type or 'unknown'}", "send JPEG, PNG, GIF or WebP"
            )
            return None
        url = image.url or ""
        suffix = {"jpg": "jpeg"}.get(url.rpartition(".")[2].lower(), url.rpartition(".")[2].lower())
        if url.startswith("s3://") and suffix in _IMAGES.values():
            return {"image": {"format": suffix, "source": {"s3Location": {"uri": url}}}}
        self._wishes.cannot("an image at an address", "send its data")
        return None

    def _call(self, call: ToolCall) -> Block:
        try:
            arguments = read_json(call.arguments.strip().encode() or b"{}")
        except (Unreadable, UnicodeError):
            arguments = None
        if not isinstance(arguments, dict):
            self._wishes.cannot(f"arguments of {call.name!r} that are not a JSON object")
            # The call must stay, since its result would be refused without it.
            arguments = {}
        return {"toolUse": {"toolUseId": _STRANGE.sub("_", call.id), "name": call.name, "input": arguments}}

    def _result(self, result: ToolResult) -> Block:
        if isinstance(result.content, str):
            content: list[Block] = [{"text": result.content}]
        else:
            content = [block for part in result.content if (block := self._block(part, "tool")) is not None]
        told: Block = {"toolUseId": _STRANGE.sub("_", result.call_id), "content": content}
        if result.is_error:
            told["status"] = "error"
        return {"toolResult": told}

    def _thinking(self, part: Thinking) -> Block | None:
        if part.format != FORMAT:
            self._wishes.dropped.append("reasoning of another vendor")
            return None
        if part.redacted is not None:
            return {"reasoningContent": {"redactedContent": part.redacted}}
        if part.signature is None:
            self._wishes.dropped.append("reasoning without its signature")
            return None
        return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}

    def _opaque(self, part: Opaque) -> Block | None:
        if part.format == FORMAT:
            return part.payload
        self._wishes.cannot(f"a part of the format {part.format}")
        return None

    def _document(self, file: File) -> Block | None:
        held = inline_data(file)
        if held is None:
            self._wishes.cannot("a document at an address", "send its data")
            return None
        kind = _DOCUMENTS.get((held.media_type or "").partition(";")[0])
        if kind is None:
            self._wishes.cannot(f"documents of the type {held.media_type or 'unknown'}", "send PDF or text")
            return None
        self._documents += 1
        title = _STRANGE_NAME.sub(" ", file.name or "").strip()[:200]
        # Two documents of one name are refused.
        name = f"{title or 'document'} {self._documents}"
        return {"document": {"format": kind, "name": name, "source": {"bytes": held.content}}}
