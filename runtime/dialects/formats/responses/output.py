"""The items of an answer, whole or in pieces, as events. Every way in leads through here, so that all tell the same.

What an item says besides its words travels as fields of the part that it becomes (`OpaqueDelta.about`):

| field | of | what |
|---|---|---|
| `item` | the first text of a message | further fields of the message, such as `phase`; there whenever a text comes right before it |
| `annotations`, `logprobs` | a text | citations; the log probabilities that were asked for |
| `parts` | a thought | see `thoughts` |
| any other | a thought, a call | further fields of its item |

Items of any other type (web searches, calls of custom tools, compacted conversations) are opaque. Left out are ids
(see the package), states, empty texts, and thoughts of which neither words nor a seal are given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ....assembly import Assembler
from ....canon import (
    Event,
    Finished,
    FinishReason,
    OpaqueDelta,
    Part,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageReported,
)
from . import FORMAT
from .thoughts import BETWEEN, CONTENT, SUMMARY
from .usage import beside_counts, read_usage

__all__ = ["FINISHES", "Output", "parts_of_items"]

FINISHES: Final[dict[str, FinishReason]] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
"""The status of an answer, or the reason why it is incomplete; what is not listed is `other`."""

_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
"""Items that wait for the caller."""

_MESSAGE: Final = frozenset({"id", "type", "role", "status", "content"})
_THOUGHT: Final = frozenset({"id", "type", "status", "summary", "content", "encrypted_content"})
_CALL: Final = frozenset({"id", "type", "status", "call_id", "name", "arguments"})

_ASKED: Final = frozenset(
    {
        "background", "completed_at", "created_at", "error", "frequency_penalty", "id", "incomplete_details",
        "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "object", "output", "output_text",
        "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "status", "store",
        "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user",
    }
)  # fmt: skip
"""Fields of an answer that have a canonical word, or repeat what was asked for."""


class _Item:
    """An item of which something has been told."""

    __slots__ = ("cited", "fed", "fields", "length", "number", "placed", "seen", "weighed")

    def __init__(self, raw: dict[str, Any], known: frozenset[str]) -> None:
        self.fields = _rest(raw, known)
        self.seen: set[Any] = set()
        """The parts that have begun."""
        self.cited: set[int] = set()
        """The texts of which the annotations have been told."""
        self.weighed: set[int] = set()
        """The texts of which log probabilities have been told."""
        self.length = 0
        self.placed = False
        """Whether the places of the parts have been told."""
        self.number = 0
        """Of a call: which of the calls it is."""
        self.fed = False
        """Whether arguments have been told."""


class Output:
    """Adds the events that tell of one answer's items, each by its place in the output, to the lists that it is given."""

    def __init__(self) -> None:
        self._items: dict[int, _Item] = {}
        self._done: set[int] = set()
        self._calls = 0
        self._waits = False
        self._last: tuple[int, Any] | None = None
        """Item and part of which something was told last."""
        self._after_text = False

    # --- pieces ---

    def begin(self, index: int, raw: dict[str, Any], events: list[Event]) -> None:
        """An item begins. Of one that is opaque nothing is told before it is whole."""
        kind = str(raw.get("type"))
        if index in self._items or index in self._done:
            return
        if kind == "message":
            self._items[index] = _Item(raw, _MESSAGE)
        elif kind == "reasoning":
            self._items[index] = _Item({}, _THOUGHT)
        elif kind == "function_call":
            self._call(index, raw, events)

    def text(
        self,
        index: int,
        part: int,
        piece: str,
        events: list[Event],
        *,
        refusal: bool = False,
        logprobs: Any = None,
    ) -> None:
        """A piece of text, or of a refusal."""
        if not piece:
            return
        item = self._item(index)
        if part not in item.seen:
            self._begin_text(item, events)
            item.seen.add(part)
        self._tell(index, part, text=True)
        events.append(RefusalDelta(piece) if refusal else TextDelta(piece))
        if isinstance(logprobs, list) and logprobs:
            item.weighed.add(part)
            events.append(_about("last", {"logprobs": logprobs}))

    def _begin_text(self, item: _Item, events: list[Event]) -> None:
        if item.seen:
            if self._after_text:
                events.append(_about("next", {}))
        elif item.fields or self._after_text:
            events.append(_about("next", {"item": item.fields}))

    def think(self, index: int, kind: str, part: int, piece: str, events: list[Event]) -> None:
        """A piece of a thought."""
        if not piece:
            return
        item = self._item(index)
        if (kind, part) not in item.seen:
            self._begin_thought(index, item, kind, events)
            item.seen.add((kind, part))
        item.length += len(piece)
        self._tell(index, None)
        events.append(ThinkingDelta(piece, format=FORMAT, block=index))

    def _begin_thought(self, index: int, item: _Item, kind: str, events: list[Event]) -> None:
        if not item.length:
            if kind != SUMMARY:
                item.placed = True
                events.append(_about("next", {"parts": [[0, kind]]}))
            return
        item.length += len(BETWEEN)
        place = [item.length, kind]
        if self._last == (index, None):
            events.append(_about("last", {"parts": [place] if item.placed else [[0, SUMMARY], place]}))
            item.placed = True
        events.append(ThinkingDelta(BETWEEN, format=FORMAT, block=index))

    def arguments(self, index: int, piece: str, events: list[Event]) -> bool:
        """A piece of a call's arguments; False if no call has begun there."""
        item = self._items.get(index)
        if item is None:
            return False
        item.fed = True
        events.append(ToolCallDelta(item.number, arguments=piece))
        return True

    # --- whole parts and items ---

    def part(self, index: int, number: int, raw: Any, events: list[Event]) -> None:
        """A part of a message is whole."""
        match raw:
            case {"type": "output_text", "text": str(text)}:
                item = self._item(index)
                if number not in item.seen:
                    self.text(index, number, text, events)
                if number in item.seen and number not in item.cited and self._last == (index, number):
                    item.cited.add(number)
                    further = {
                        name: value
                        for name, value in raw.items()
                        if name not in ("type", "text") and value not in (None, [])
                    }
                    if number in item.weighed:
                        further.pop("logprobs", None)
                    if further:
                        events.append(_about("last", further))
            case {"type": "refusal", "refusal": str(text)}:
                if number not in self._item(index).seen:
                    self.text(index, number, text, events, refusal=True)

    def done(self, index: int, raw: dict[str, Any], events: list[Event]) -> None:
        """An item is whole: what has not been told of it is told now."""
        if index in self._done:
            return
        kind = str(raw.get("type"))
        self._waits = self._waits or kind in _CALLS
        if kind == "message" and isinstance(raw.get("content"), list):
            self.begin(index, raw, events)
            for number, part in enumerate(raw["content"]):
                if isinstance(part, dict) and part.get("type") in ("output_text", "refusal"):
                    self.part(index, number, part, events)
                else:
                    self._opaque({**raw, "content": [part]}, events)
        elif kind == "reasoning":
            self._thought_done(index, raw, events)
        elif kind == "function_call":
            self._call_done(index, raw, events)
        else:
            self._opaque(raw, events)
        self._done.add(index)
        self._items.pop(index, None)

    def _thought_done(self, index: int, raw: dict[str, Any], events: list[Event]) -> None:
        item = self._item(index)
        if not item.seen:
            for kind, name in ((SUMMARY, "summary"), (CONTENT, "content")):
                parts = raw.get(name)
                for number, part in enumerate(parts if isinstance(parts, list) else ()):
                    if isinstance(part, dict):
                        self.think(index, kind, number, str(part.get("text") or ""), events)
        seal = raw.get("encrypted_content")
        if isinstance(seal, str) and seal:
            if not item.seen:
                self._tell(index, None)
            events.append(ThinkingDelta(signature=seal, format=FORMAT, block=index))
        fields = _rest(raw, _THOUGHT)
        if fields and self._last == (index, None):
            events.append(_about("last", fields))

    def _call(self, index: int, raw: dict[str, Any], events: list[Event]) -> _Item:
        item = self._items[index] = _Item(raw, _CALL)
        if item.fields:
            events.append(_about("next", item.fields))
        item.number = self._calls
        self._calls += 1
        self._tell(index, None)
        arguments = str(raw.get("arguments") or "")
        item.fed = bool(arguments)
        call_id = str(raw.get("call_id") or raw.get("id") or f"call_{index}")
        events.append(ToolCallDelta(item.number, call_id, str(raw.get("name") or ""), arguments))
        return item

    def _call_done(self, index: int, raw: dict[str, Any], events: list[Event]) -> None:
        item = self._items.get(index)
        if item is None:
            self._call(index, raw, events)
        elif not item.fed and raw.get("arguments"):
            events.append(ToolCallDelta(item.number, arguments=str(raw["arguments"])))

    def _opaque(self, raw: dict[str, Any], events: list[Event]) -> None:
        self._last = None
        self._after_text = False
        events.append(OpaqueDelta(FORMAT, raw))

    # --- the end ---

    def end(self, response: dict[str, Any], events: list[Event]) -> None:
        """The answer is whole, as `response` tells it again: what of it has not been told is told now."""
        output = response.get("output")
        for index, raw in enumerate(output if isinstance(output, list) else ()):
            if isinstance(raw, dict):
                self.done(index, raw, events)
        usage = read_usage(response.get("usage"))
        if usage is not None:
            events.append(UsageReported(usage))
        further = {
            name: value
            for name, value in response.items()
            if name not in _ASKED and value not in (None, "", [], {})
        }
        counts = beside_counts(response.get("usage"))
        if counts:
            further["usage"] = counts
        if further:
            events.append(_about("answer", further))
        status = str(response.get("status") or "completed")
        details = response.get("incomplete_details")
        if status == "incomplete" and isinstance(details, dict):
            status = str(details.get("reason") or status)
        reason = FINISHES.get(status, "other")
        if reason == "stop" and self._waits:
            reason = "tool_calls"
        events.append(Finished(reason, vendor_reason=status))

    # --- inside ---

    def _item(self, index: int) -> _Item:
        """The item at `index`, whether or not its beginning was told."""
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item({}, _MESSAGE)
        return item

    def _tell(self, index: int, part: int | None, *, text: bool = False) -> None:
        self._last = (index, part)
        self._after_text = text


def parts_of_items(items: Iterable[dict[str, Any]]) -> list[Part]:
    """The parts of a message that items add up to."""
    output, events = Output(), list[Event]()
    for index, raw in enumerate(items):
        output.done(index, raw, events)
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    choices = assembler.completion().choices
    return choices[0].parts if choices else []


def _about(what: Any, fields: dict[str, Any]) -> OpaqueDelta:
    return OpaqueDelta(FORMAT, fields, content=False, about=what)


def _rest(raw: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name not in known and value is not None}
