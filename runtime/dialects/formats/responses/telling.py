"""Items for a client: as they are when whole, and as the events that tell of them on their way there.

Each of the classes is one item under way; its methods return the events, as type and fields. The order is OpenAI's: an
item is added, each of its parts is added, grows by deltas, is repeated and done, then the item is done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from ....canon import Opaque, Part, Refusal, Text, Thinking, ToolCall
from . import FORMAT
from .thoughts import CONTENT, SUMMARY, parts_of, seal_for_client

__all__ = [
    "REFUSAL",
    "TEXT",
    "CallUnderWay",
    "MessageUnderWay",
    "OpaqueUnderWay",
    "Telling",
    "ThoughtUnderWay",
    "UnderWay",
    "items_of",
]

Telling: TypeAlias = Iterator[tuple[str, dict[str, Any]]]

TEXT: Final = "output_text"
REFUSAL: Final = "refusal"
_PART: Final = {SUMMARY: "reasoning_summary_part", CONTENT: "content_part"}
"""What the events about a thought's parts are called."""


def id_of(kind: str, id: str, index: int) -> str:
    """An item's id, of the answer's and its place in it."""
    return f"{kind}_{id.removeprefix('resp_')}_{index}"


def _text_part(kind: str, text: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    if kind == REFUSAL:
        return {"type": REFUSAL, "refusal": text}
    return {"type": TEXT, "text": text, "annotations": [], "logprobs": [], **(fields or {})}


def _message(
    id: str, status: str, content: list[dict[str, Any]], fields: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content, **(fields or {})}  # fmt: skip


def _thought(
    id: str,
    status: str,
    parts: list[tuple[str, str]],
    seal: str | None,
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": id,
        "type": "reasoning",
        "status": status,
        "summary": [{"type": SUMMARY, "text": text} for kind, text in parts if kind == SUMMARY],
    }
    content = [{"type": CONTENT, "text": text} for kind, text in parts if kind == CONTENT]
    if content:
        item["content"] = content
    if seal is not None:
        item["encrypted_content"] = seal
    return {**item, **{name: value for name, value in (fields or {}).items() if name != "parts"}}


def _call(
    id: str, status: str, call_id: str, name: str, arguments: str, fields: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        **(fields or {}),
    }


# --- whole --------------------------------------------------------------------------------------


def items_of(parts: list[Part], *, id: str, status: str) -> list[dict[str, Any]]:
    """The output of an answer with this id. If it is incomplete, so is its last item."""
    items: list[dict[str, Any]] = []
    in_message = False
    for part in parts:
        if isinstance(part, Text | Refusal):
            _add_text(part, items, id, in_message=in_message)
            in_message = True
            continue
        item = _item(part, id, len(items))
        if item is not None:
            items.append(item)
            in_message = False
    if status == "incomplete" and items and "status" in items[-1]:
        items[-1] = {**items[-1], "status": status}
    return items


def _add_text(part: Text | Refusal, items: list[dict[str, Any]], id: str, *, in_message: bool) -> None:
    fields = dict(_fields(part))
    further = fields.pop("item", None)
    if not in_message or further is not None:
        items.append(_message(id_of("msg", id, len(items)), "completed", [], further))
    kind = TEXT if isinstance(part, Text) else REFUSAL
    items[-1]["content"].append(_text_part(kind, part.text, fields))


def _item(part: Part, id: str, index: int) -> dict[str, Any] | None:
    match part:
        case Thinking():
            seal = seal_for_client(part.format, part.signature, part.redacted)
            parts = parts_of(part)
            if not parts and seal is None:
                return None
            return _thought(id_of("rs", id, index), "completed", parts, seal, _fields(part))
        case ToolCall():
            call_id = part.id or f"call_{id.removeprefix('resp_')}_{index}"
            arguments = part.arguments or "{}"
            fields = _fields(part)
            return _call(id_of("fc", id, index), "completed", call_id, part.name, arguments, fields)
        case Opaque(format=format, payload=payload) if format == FORMAT:
            return payload
    return None


def _fields(part: Text | Refusal | Thinking | ToolCall) -> dict[str, Any]:
    fields = (part.extra or {}).get(FORMAT)
    return fields if isinstance(fields, dict) else {}


# --- under way ----------------------------------------------------------------------------------


class UnderWay(ABC):
    """An item that is being told. `id`: the answer's."""

    prefix = ""

    def __init__(self, index: int, id: str) -> None:
        self.index = index
        self.id = id_of(self.prefix, id, index)
        self.open = True

    @abstractmethod
    def whole(self, status: str, /) -> dict[str, Any]:
        """The item as it is by now."""

    def begin(self) -> Telling:
        """It is added."""
        yield "response.output_item.added", {"output_index": self.index, "item": self.whole("in_progress")}

    def end(self, status: str = "completed") -> Telling:
        """It is done."""
        self.open = False
        yield "response.output_item.done", {"output_index": self.index, "item": self.whole(status)}

    def _at(self, **more: Any) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, **more}


class MessageUnderWay(UnderWay):
    """A message: texts and refusals."""

    prefix = "msg"

    def __init__(self, index: int, id: str, fields: dict[str, Any] | None) -> None:
        super().__init__(index, id)
        self._fields = fields
        self._done: list[dict[str, Any]] = []
        self._kind = ""
        self._pieces: list[str] = []
        self._further: dict[str, Any] = {}

    def whole(self, status: str, /) -> dict[str, Any]:
        """See `UnderWay.whole`."""
        return _message(self.id, status, self._content(), self._fields)

    def _content(self) -> list[dict[str, Any]]:
        return [*self._done, *([self._part()] if self._kind else [])]

    def _part(self) -> dict[str, Any]:
        return _text_part(self._kind, "".join(self._pieces), self._further)

    def add(self, kind: str, piece: str) -> Telling:
        """A piece of a text or of a refusal."""
        if self._kind != kind:
            yield from self.end_part()
            self._kind = kind
            yield "response.content_part.added", self._here(part=_text_part(kind, ""))
        self._pieces.append(piece)
        if kind == TEXT:
            yield "response.output_text.delta", self._here(delta=piece, logprobs=[])
        else:
            yield "response.refusal.delta", self._here(delta=piece)

    def note(self, fields: dict[str, Any]) -> Telling:
        """What the vendor says about the text so far."""
        for name, value in fields.items():
            before = self._further.get(name) or []
            if isinstance(value, list):
                if name == "annotations":
                    for number, annotation in enumerate(value, len(before)):
                        told = self._here(annotation_index=number, annotation=annotation)
                        yield "response.output_text.annotation.added", told
                self._further[name] = [*before, *value]
            else:
                self._further[name] = value

    def end_part(self) -> Telling:
        """The text or refusal is whole."""
        if not self._kind:
            return
        part = self._part()
        if self._kind == TEXT:
            yield "response.output_text.done", self._here(text=part["text"], logprobs=part["logprobs"])
        else:
            yield "response.refusal.done", self._here(refusal=part["refusal"])
        yield "response.content_part.done", self._here(part=part)
        self._done.append(part)
        self._kind, self._pieces, self._further = "", [], {}

    def end(self, status: str = "completed") -> Telling:
        """See `UnderWay.end`."""
        yield from self.end_part()
        yield from super().end(status)

    def _here(self, **more: Any) -> dict[str, Any]:
        return self._at(content_index=len(self._done), **more)


class ThoughtUnderWay(UnderWay):
    """A thought: parts of a summary, or of the thought itself."""

    prefix = "rs"

    def __init__(self, index: int, id: str) -> None:
        super().__init__(index, id)
        self.seal: str | None = None
        self._fields: dict[str, Any] = {}
        self._done: list[tuple[str, str]] = []
        self._kind = ""
        self._pieces: list[str] = []

    def whole(self, status: str, /) -> dict[str, Any]:
        """See `UnderWay.whole`."""
        under_way = [(self._kind, "".join(self._pieces))] if self._kind else []
        return _thought(self.id, status, [*self._done, *under_way], self.seal, self._fields)

    def add(self, kind: str, piece: str) -> Telling:
        """A piece of a part of this kind."""
        if self._kind != kind:
            yield from self.end_part()
            self._kind = kind
            _, here = self._here()
            yield f"response.{_PART[kind]}.added", {**here, "part": {"type": kind, "text": ""}}
        self._pieces.append(piece)
        event, here = self._here()
        yield f"response.{event}.delta", {**here, "delta": piece}

    def note(self, fields: dict[str, Any]) -> None:
        """Further fields of the item."""
        self._fields |= fields

    def end_part(self) -> Telling:
        """The part is whole."""
        if not self._kind:
            return
        event, here = self._here()
        text = "".join(self._pieces)
        yield f"response.{event}.done", {**here, "text": text}
        yield f"response.{_PART[self._kind]}.done", {**here, "part": {"type": self._kind, "text": text}}
        self._done.append((self._kind, text))
        self._kind, self._pieces = "", []

    def end(self, status: str = "completed") -> Telling:
        """See `UnderWay.end`."""
        yield from self.end_part()
        yield from super().end(status)

    def _here(self) -> tuple[str, dict[str, Any]]:
        """What the events of the part under way are called, and where it is."""
        number = sum(kind == self._kind for kind, _ in self._done)
        if self._kind == CONTENT:
            return "reasoning_text", self._at(content_index=number)
        return "reasoning_summary_text", self._at(summary_index=number)


class CallUnderWay(UnderWay):
    """A call of a function."""

    prefix = "fc"

    def __init__(self, index: int, id: str, call_id: str, name: str, fields: dict[str, Any] | None) -> None:
        super().__init__(index, id)
        self._call_id = call_id
        self._name = name
        self._fields = fields
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._pieces)

    def whole(self, status: str, /) -> dict[str, Any]:
        """See `UnderWay.whole`."""
        arguments = self.arguments or ("" if self.open else "{}")
        return _call(self.id, status, self._call_id, self._name, arguments, self._fields)

    def add(self, piece: str) -> Telling:
        """A piece of the arguments."""
        self._pieces.append(piece)
        yield "response.function_call_arguments.delta", self._at(delta=piece)

    def end(self, status: str = "completed") -> Telling:
        """See `UnderWay.end`."""
        self.open = False
        done = self._at(name=self._name, arguments=self.arguments or "{}")
        yield "response.function_call_arguments.done", done
        yield from super().end(status)


class OpaqueUnderWay(UnderWay):
    """An item of which only the vendor knows what it is; it is added and done at once."""

    def __init__(self, index: int, id: str, payload: dict[str, Any]) -> None:
        super().__init__(index, id)
        self._payload = payload

    def whole(self, _status: str, /) -> dict[str, Any]:
        """The item as the vendor told it."""
        return self._payload
