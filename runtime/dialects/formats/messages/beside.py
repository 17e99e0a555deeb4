"""What an answer tells beside its content, as opaque events.

Each payload has the shape of the vendor's own event, less what other events say already:

| payload | tells |
|---|---|
| `content_block_start` with an `id` | further fields of the call with this id; comes before the call |
| `content_block_start` of a `text` | one text ends here and the next begins: texts are told apart by their citations |
| `content_block_delta` | a citation of the text before it, or a piece of something newer than this version |
| `message_delta` | what the end says besides its reason and the tokens |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ....canon import Opaque, OpaqueDelta, Part
from . import FORMAT

__all__ = [
    "call_fields",
    "citation",
    "collect",
    "ending",
    "ending_of",
    "fields_of_call",
    "next_text",
    "payload_of",
    "tell_end",
    "told_at_end",
]

_EVENTS: Final = frozenset({"content_block_start", "content_block_delta", "message_delta"})
"""Types of the opaque payloads that are pieces of a stream and no blocks."""

_IN_DELTA: Final = ("container", "stop_details", "stop_sequence")
"""Fields of a whole answer that a stream tells in the `delta` of its `message_delta`."""

_MOST_FIELDS: Final = 64
"""Fields that the end of an answer may have; there are half a dozen."""

_QUIET: Final = frozenset({"service_tier", "inference_geo", "speed"})
"""Fields of the usage that stand in every answer and say how it was asked for."""


def call_fields(index: int, id: str, fields: dict[str, Any]) -> OpaqueDelta | None:
    """Further `fields` of the call `id`; None where they say nothing: that the model itself called is the rule."""
    rest = {
        name: value
        for name, value in fields.items()
        if value is not None and not (name == "caller" and value == {"type": "direct"})
    }
    if not rest:
        return None
    block = {"id": id, **rest}
    payload = {"type": "content_block_start", "index": index, "content_block": block}
    return OpaqueDelta(FORMAT, payload, content=False)


def fields_of_call(payload: dict[str, Any]) -> dict[str, Any]:
    """The further fields that a payload of `call_fields` tells."""
    return {name: value for name, value in payload["content_block"].items() if name != "id"}


def next_text(index: int) -> OpaqueDelta:
    """The text before this is another than the one after it."""
    payload = {"type": "content_block_start", "index": index, "content_block": {"type": "text"}}
    return OpaqueDelta(FORMAT, payload, content=False)


def citation(index: int, cited: Any) -> OpaqueDelta:
    """One citation of the text before it."""
    delta = {"type": "citations_delta", "citation": cited}
    payload = {"type": "content_block_delta", "index": index, "delta": delta}
    return OpaqueDelta(FORMAT, payload, content=False)


def ending(delta: dict[str, Any], usage: dict[str, Any], others: dict[str, Any]) -> OpaqueDelta | None:
    """What the end says: its `delta` and `usage` less what the canon has words for, and its `others`.

    None if that is nothing.
    """
    told: dict[str, Any] = {name: value for name, value in others.items() if value is not None}
    inner = {name: value for name, value in delta.items() if name != "stop_reason" and value is not None}
    counts = {
        name: value
        for name, value in usage.items()
        if name not in _QUIET and (not isinstance(value, dict) or any(value.values()))
    }
    if counts:
        told["usage"] = counts
    if not (inner or told):
        return None
    return OpaqueDelta(FORMAT, {"type": "message_delta", "delta": inner, **told}, content=False)


def ending_of(fields: dict[str, Any]) -> OpaqueDelta | None:
    """As `ending`, from the further fields of a whole answer."""
    delta = {name: value for name, value in fields.items() if name in _IN_DELTA}
    others = {name: value for name, value in fields.items() if name not in (*_IN_DELTA, "usage")}
    return ending(delta, fields.get("usage") or {}, others)


def told_at_end(payloads: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a whole answer that its opaque payloads tell."""
    fields: dict[str, Any] = {}
    for payload in payloads:
        tell_end(fields, payload)
    return fields


def tell_end(fields: dict[str, Any], payload: dict[str, Any]) -> None:
    """Add to `fields` those that one opaque payload tells; of one name the last counts, and there are never more than
    `_MOST_FIELDS`."""
    # A block of an answer may bear the type of an event, and be of any other shape.
    delta, usage = payload.get("delta") or {}, payload.get("usage") or {}
    if payload.get("type") == "message_delta" and isinstance(delta, dict) and isinstance(usage, dict):
        told = {**{name: value for name, value in payload.items() if name not in ("type", "delta")}, **delta}
        for name, value in told.items():
            if name in fields or len(fields) < _MOST_FIELDS:
                fields[name] = value


def payload_of(part: Part) -> dict[str, Any] | None:
    """The payload of a part that is an event told beside the content; None for any other part."""
    kind = part.payload.get("type") if isinstance(part, Opaque) and part.format == FORMAT else None
    return part.payload if isinstance(part, Opaque) and isinstance(kind, str) and kind in _EVENTS else None


def collect(parts: list[Part], write: Callable[[Part], dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The blocks that `write` makes of `parts`, with what is told about them put where it belongs."""
    blocks: list[dict[str, Any]] = []
    further: dict[str, dict[str, Any]] = {}
    for part in parts:
        match payload_of(part):
            case None:
                block = write(part)
                if block is not None:
                    blocks.append({**block, **further.pop(str(block.get("id")), {})})
            case {"content_block": {"id": str(id)}} as payload:
                further[id] = fields_of_call(payload)
            case {"delta": {"citation": cited}} if blocks and blocks[-1].get("type") == "text":
                last = blocks[-1]
                blocks[-1] = {**last, "citations": [*(last.get("citations") or ()), cited]}
    return blocks
