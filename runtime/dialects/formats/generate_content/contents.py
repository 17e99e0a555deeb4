"""Messages as `contents` and `systemInstruction`.

Two peculiarities of the format decide most of this file. Results name the function and not the call, so
names are looked up from the calls before them. And all results of a turn must stand in one content, so
successive tool messages are joined.

Models from Gemini 3 on refuse a turn whose first call carries no thought signature. Calls that another
vendor made have none; for these Google documents a text that switches the check off.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import Audio, File, Image, Message, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from .config import takes_levels
from .media_parts import media_part
from .wire import FORMAT, MADE_ID, METADATA_FIELDS

__all__ = ["NO_SIGNATURE", "contents_of", "system_of"]

NO_SIGNATURE: Final = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Base64 of `skip_thought_signature_validator` (Gemini API documentation, "Thought signatures")."""

_SYSTEM: Final = ("system", "developer")
_MEDIA: Final = (Image, File, Audio)


def system_of(messages: list[Message], wishes: Wishes) -> list[dict[str, Any]]:
    """The parts of the system instruction, from all system and developer messages in their order."""
    parts: list[dict[str, Any]] = []
    for message in messages:
        if message.role not in _SYSTEM:
            continue
        for part in _parts(message.content):
            if isinstance(part, Text):
                parts.append(_own({"text": part.text}, part.extra))
            elif isinstance(part, Opaque) and part.format == FORMAT:
                parts.append(part.payload)
            else:
                wishes.cannot(f"{_kind(part)} in a system message", "say it in a user message")
    return parts


def contents_of(messages: list[Message], model: str, wishes: Wishes) -> list[dict[str, Any]]:
    """The turns. Messages without a part are left out, since the vendor refuses a content without parts."""
    writer = _Writer(takes_levels(model), wishes)
    contents: list[dict[str, Any]] = []
    tool_turn = False
    for message in messages:
        if message.role in _SYSTEM:
            continue
        if message.name is not None and message.role != "tool":
            wishes.cannot("the name of a message", "put it into the text")
        parts = writer.parts(message)
        if not parts:
            continue
        if tool_turn and message.role == "tool":
            contents[-1]["parts"].extend(parts)
        else:
            contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
        tool_turn = message.role == "tool"
    return contents


def _parts(content: str | list[Part]) -> list[Part]:
    return [Text(content)] if isinstance(content, str) else content


def _kind(part: Part) -> str:
    if isinstance(part, Opaque):
        return f"a part of the format {part.format}"
    return {
        Image: "an image",
        File: "a document",
        Audio: "sound",
        ToolCall: "a tool call",
        ToolResult: "a tool result",
    }.get(type(part), "reasoning")


def _own(part: dict[str, Any], extra: dict[str, Any] | None) -> dict[str, Any]:
    """The part with further fields that were read in this format."""
    own = (extra or {}).get(FORMAT)
    return {**part, **own} if isinstance(own, dict) else part


def _sealed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


class _Writer:
    """Writes the messages of one conversation in order, and remembers the names of its calls."""

    def __init__(self, needs_signatures: bool, wishes: Wishes) -> None:
        self._needs_signatures = needs_signatures
        self._wishes = wishes
        self._names: dict[str, str] = {}

    def parts(self, message: Message) -> list[dict[str, Any]]:
        """The parts of one message."""
        if message.content == "" and message.role == "assistant":
            return []
        if isinstance(message.content, str) and message.role == "tool":
            self._wishes.cannot("a tool message without a tool result")
            return []
        found: list[dict[str, Any]] = []
        later: list[dict[str, Any]] = []
        for part in _parts(message.content):
            if isinstance(part, ToolResult):
                self._result(part, message.name, found, later)
            else:
                written = self._part(part)
                if written is not None:
                    found.append(written)
        if message.role == "assistant" and self._needs_signatures:
            self._excuse(found)
        return found + later

    def _part(self, part: Part) -> dict[str, Any] | None:
        if isinstance(part, Text):
            return _own(_sealed({"text": part.text}, part.signature), part.extra)
        if isinstance(part, _MEDIA):
            return media_part(part, self._wishes)
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, Refusal):
            return {"text": part.text}
        if isinstance(part, Opaque):
            return self._opaque(part)
        return None

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        if part.format != FORMAT:
            self._wishes.drop("reasoning of another vendor")
            return None
        return _own(_sealed({"text": part.text, "thought": True}, part.signature), part.extra)

    def _opaque(self, part: Opaque) -> dict[str, Any] | None:
        if part.format != FORMAT:
            self._wishes.cannot(_kind(part))
            return None
        return None if part.payload.keys() <= METADATA_FIELDS else part.payload

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._names[call.id] = call.name
        written: dict[str, Any] = {"name": call.name, "args": self._arguments(call)}
        if call.id and not call.id.startswith(MADE_ID):
            written["id"] = call.id
        return _own(_sealed({"functionCall": written}, call.signature), call.extra)

    def _arguments(self, call: ToolCall) -> dict[str, Any]:
        if not call.arguments.strip():
            return {}
        try:
            arguments = read_json(call.arguments.encode())
        except Unreadable:
            arguments = None
        if isinstance(arguments, dict):
            return arguments
        self._wishes.cannot("a tool call whose arguments are not a JSON object")
        return {"arguments": call.arguments}

    @staticmethod
    def _excuse(parts: list[dict[str, Any]]) -> None:
        """Switch the signature check off for a turn of calls in which nothing is signed."""
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None and not any("thoughtSignature" in part for part in parts):
            first["thoughtSignature"] = NO_SIGNATURE

    # --- results ---

    def _result(
        self,
        result: ToolResult,
        fallback: str | None,
        found: list[dict[str, Any]],
        later: list[dict[str, Any]],
    ) -> None:
        name = self._names.get(result.call_id) or result.name or fallback
        if not name:
            self._wishes.cannot("a tool result without its tool call", "give the name of the function")
            return
        media = [
            media_part(part, self._wishes) for part in _parts(result.content) if isinstance(part, _MEDIA)
        ]
        written: dict[str, Any] = {"name": name, "response": self._response(result)}
        if result.call_id and not result.call_id.startswith(MADE_ID):
            written["id"] = result.call_id
        if media and self._needs_signatures:
            written["parts"] = media
        else:
            later.extend(media)
        own = dict((result.extra or {}).get(FORMAT) or {})
        written.update(own.pop("functionResponse", {}))
        found.append({"functionResponse": written, **own})

    def _response(self, result: ToolResult) -> dict[str, Any]:
        """The result as the object that the format wants: under `result`, or `error` if it is one."""
        texts: list[str] = []
        for part in _parts(result.content):
            if isinstance(part, Text):
                texts.append(part.text)
            elif not isinstance(part, _MEDIA):
                self._wishes.cannot(f"{_kind(part)} in a tool result")
        return {"error" if result.is_error else "result": "\n".join(texts)}
