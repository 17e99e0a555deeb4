"""`contents` as messages.

Calls and results of this format often carry no id. Such calls are given ids by their place, and a result without
one answers the earliest call of the same name that is still without an answer, as Google pairs them. That call may have
an id: Google's own SDK makes results without one.

Neighbouring contents of the model are one message, and a text that goes on in the next content is one text: Google's SDK
keeps each chunk of a streamed answer as a content of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ....canon import Audio, File, Image, Message, Opaque, Part, Role, Text, Thinking, ToolCall, ToolResult
from .names import camel_keys
from .wire import FORMAT, MADE_ID

__all__ = ["TurnReader"]


_KINDS: Final[dict[str, type[Image | Audio | File]]] = {"image": Image, "audio": Audio}
"""By the first half of the media type; everything else is a document."""


class TurnReader:
    """Reads the turns of one conversation in order."""

    def __init__(self) -> None:
        self._made = 0
        self._open: dict[str, deque[str]] = {}
        """By the name of a function: the ids of its calls, less those that a result without an id has answered."""
        self._answered: set[str] = set()
        """Ids that results have named."""

    def read(self, contents: list[dict[str, Any]]) -> list[Message]:
        """The messages. Results become messages of their own, with the role `tool`."""
        messages: list[Message] = []
        said: list[list[Part]] = []
        """What the model says in neighbouring contents."""
        for raw in contents:
            content = camel_keys(raw)
            role: Role = "assistant" if content.get("role") == "model" else "user"
            for run in self._runs(content.get("parts") or []):
                message = self._message(role, run)
                if message.role == "assistant":
                    said.append(run)
                    continue
                if said:
                    messages.append(Message("assistant", _joined(said)))
                    said = []
                messages.append(message)
        return [*messages, Message("assistant", _joined(said))] if said else messages

    def _runs(self, raw_parts: object) -> Iterator[list[Part]]:
        """The parts of one content: results apart from all others."""
        if not isinstance(raw_parts, list | dict):
            raise ValueError("contents.parts is not a list")
        run: list[Part] = []
        for item in raw_parts if isinstance(raw_parts, list) else [raw_parts]:
            if not isinstance(item, dict):
                raise ValueError("contents.parts is not a list of objects")
            part = self._part(item)
            if run and isinstance(part, ToolResult) != isinstance(run[-1], ToolResult):
                yield run
                run = []
            run.append(part)
        if run:
            yield run

    @staticmethod
    def _message(role: Role, parts: list[Part]) -> Message:
        return Message("tool" if isinstance(parts[0], ToolResult) else role, parts)

    def _part(self, item: dict[str, Any]) -> Part:
        fields = camel_keys(item)
        signature = _text(fields.pop("thoughtSignature", None), "thoughtSignature")
        thought = fields.pop("thought", False)
        if isinstance(fields.get("text"), str):
            text = fields.pop("text")
            if thought:
                return Thinking(text, signature, None, FORMAT, _extra(fields))
            return Text(text, signature, _extra(fields))
        if signature is not None:
            fields["thoughtSignature"] = signature
        if isinstance(fields.get("functionCall"), dict):
            return self._call(fields, item)
        if isinstance(fields.get("functionResponse"), dict):
            return self._result(fields, item)
        return _media(fields) or Opaque(FORMAT, item)

    def _call(self, fields: dict[str, Any], item: dict[str, Any]) -> Part:
        call = camel_keys(fields.pop("functionCall"))
        name, call_id, args = call.pop("name", None), call.pop("id", None), call.pop("args", {})
        if call or not isinstance(name, str) or not isinstance(args, dict):
            return Opaque(FORMAT, item)
        call_id = _text(call_id, "functionCall.id")
        call_id = call_id or self._make_id()
        self._open.setdefault(name, deque()).append(call_id)
        signature = fields.pop("thoughtSignature", None)
        return ToolCall(call_id, name, msgspec.json.encode(args).decode(), signature, _extra(fields))

    def _result(self, fields: dict[str, Any], item: dict[str, Any]) -> Part:
        result = camel_keys(fields.pop("functionResponse"))
        name, call_id = result.pop("name", None), result.pop("id", None)
        response = result.pop("response", {})
        if not isinstance(name, str) or not isinstance(response, dict):
            return Opaque(FORMAT, item)
        is_error = response.keys() == {"error"}
        text = next(iter(response.values())) if is_error or response.keys() == {"result"} else None
        if not isinstance(text, str):
            text = msgspec.json.encode(response).decode()
            result["response"] = response
        if result:
            fields["functionResponse"] = result
        call_id = _text(call_id, "functionResponse.id")
        return ToolResult(self._call_of(name, call_id), text, name, is_error, _extra(fields))

    def _call_of(self, name: str, given: str | None) -> str:
        """The id of the call that a result of `name` answers, which is the `given` one if there is any."""
        if given:
            self._answered.add(given)
            return given
        calls = self._open.get(name)
        while calls:
            call_id = calls.popleft()
            if call_id not in self._answered:
                return call_id
        return self._make_id()

    def _make_id(self) -> str:
        self._made += 1
        return f"{MADE_ID}{self._made}"


def _joined(runs: list[list[Part]]) -> list[Part]:
    """The parts of neighbouring contents, a text that ends one and goes on in the next being one."""
    parts: list[Part] = []
    pieces: list[str] = []
    for run in runs:
        for at, part in enumerate(run):
            plain = isinstance(part, Text) and part.signature is None and part.extra is None
            if pieces and not (plain and at == 0):
                parts.append(Text("".join(pieces)))
                pieces = []
            if plain and isinstance(part, Text):
                pieces.append(part.text)
            else:
                parts.append(part)
    return [*parts, Text("".join(pieces))] if pieces else parts


def _text(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{name} is not a text")


def _extra(fields: dict[str, Any]) -> dict[str, Any] | None:
    return {FORMAT: fields} if fields else None


def _media(fields: dict[str, Any]) -> Image | Audio | File | None:
    """The image, sound or document in a part of inline data or of a file; None for films, and for what these cannot say."""
    inline, file = fields.get("inlineData"), fields.get("fileData")
    blob = camel_keys(inline if isinstance(inline, dict) else file if isinstance(file, dict) else {})
    media_type = blob.pop("mimeType", "")
    if not isinstance(media_type, str) or not media_type or media_type.startswith("video/"):
        return None
    content = blob.pop("data" if isinstance(inline, dict) else "fileUri", None)
    if blob or not isinstance(content, str):
        return None
    further = _extra(
        {name: value for name, value in fields.items() if name not in ("inlineData", "fileData")}
    )
    kind = _KINDS.get(media_type.partition("/")[0], File)
    if isinstance(inline, dict):
        return kind(data=content, media_type=media_type, extra=further)
    return kind(url=content, media_type=media_type, extra=further)
