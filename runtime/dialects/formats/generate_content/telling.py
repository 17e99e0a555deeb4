"""What a client of the format is told of an answer: its parts, why it ended, what it used.

- Seals (`thoughtSignature`) are told where they are Google's own. Another vendor's, sent back as Google's, would be refused.
- Thoughts of other vendors are told where the client asked for thoughts, as Google does it; Google's are told as they came.
- Ids that were made here for calls that came without one are not told: the client's conversation is then what
  Google's own would be, and results find their calls by name.
- A call is told as a whole, with its arguments as an object. One whose arguments are none is left out, and the reason says
  `MALFORMED_FUNCTION_CALL`, which is Google's word for it.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import Audio, File, FinishReason, Image, Opaque, Part, Refusal, Text, Thinking, Usage
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from .media_parts import media_part
from .wire import FORMAT, MADE_ID, METADATA_FIELDS

__all__ = [
    "OF_THE_ANSWER",
    "is_metadata",
    "own_fields",
    "why_it_ended",
    "write_arguments",
    "write_call",
    "write_part",
    "write_thought",
    "write_usage",
]

OF_THE_ANSWER: Final = frozenset({"promptFeedback", "modelStatus"})
"""Metadata that stand beside the candidates; all other stand within one."""

_FINISHES: Final[dict[FinishReason, str]] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "pause": "OTHER",
    "error": "OTHER",
    "other": "OTHER",
}


def own_fields(extra: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that this format's own reader has kept."""
    fields = (extra or {}).get(FORMAT)
    return fields if isinstance(fields, dict) else {}


def is_metadata(payload: dict[str, Any]) -> bool:
    """Whether an opaque payload tells of the answer, and is no part of it."""
    return payload.keys() <= METADATA_FIELDS


def write_part(part: Part, *, own: bool, thoughts: bool) -> dict[str, Any] | None:
    """A part other than a call; None for one that the client is not told of."""
    match part:
        case Text():
            return _sealed({"text": part.text}, part.signature if own else None) if _says(part, own) else None
        case Thinking():
            return write_thought(part.text, part.signature, part.format, thoughts=thoughts)
        case Refusal():
            return {"text": part.text}
        case Image() | File() | Audio():
            return media_part(part, Wishes(lenient=True))
        case Opaque(format=format, payload=payload) if format == FORMAT:
            return payload
    return None


def _says(part: Text, own: bool) -> bool:
    return bool(part.text or (own and part.signature))


def write_thought(
    text: str, signature: str | None, format: str | None, *, thoughts: bool
) -> dict[str, Any] | None:
    """A thought, or a piece of one; None for one that the client is not told of."""
    if format == FORMAT:
        return _sealed({"text": text, "thought": True}, signature) if text or signature else None
    return {"text": text, "thought": True} if thoughts and text else None


def write_call(
    id: str, name: str, arguments: dict[str, Any], signature: str | None, *, own: bool
) -> dict[str, Any]:
    """The part for a call whose arguments could be read."""
    call: dict[str, Any] = {"name": name, "args": arguments}
    if id and not id.startswith(MADE_ID):
        call["id"] = id
    return _sealed({"functionCall": call}, signature if own else None)


def write_arguments(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call as an object; None if they are none."""
    try:
        found = read_json(arguments.strip().encode() or b"{}")
    except (Unreadable, UnicodeError):
        return None
    return found if isinstance(found, dict) else None


def _sealed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    return part if signature is None else {**part, "thoughtSignature": signature}


def why_it_ended(
    finish: FinishReason | None,
    vendor_finish: str | None,
    *,
    own: bool,
    refused: bool = False,
    unreadable: str | None = None,
) -> dict[str, Any]:
    """The fields that say why a candidate ended: a vendor of this format in its own words, others translated.

    `refused`: the model declined in words. `unreadable` names a call that had to be left out.
    """
    if unreadable is not None and finish != "length":
        told = f"the arguments of the call of {unreadable!r} are not a JSON object"
        return {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": told}
    if own and vendor_finish is not None:
        return {"finishReason": vendor_finish}
    return {"finishReason": "SAFETY" if refused else _FINISHES[finish or "stop"]}


def write_usage(usage: Usage) -> dict[str, Any]:
    """`usageMetadata`. What the results of server-side tools came to is a part of the prompt's tokens here."""
    thoughts = min(usage.reasoning_tokens, usage.output_tokens)
    counts: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "totalTokenCount": usage.total_tokens,
    }
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    for field, heard, of in (
        ("promptTokensDetails", usage.audio_input_tokens, usage.input_tokens),
        ("candidatesTokensDetails", usage.audio_output_tokens, usage.output_tokens - thoughts),
    ):
        if heard:
            text = {"modality": "TEXT", "tokenCount": max(0, of - heard)}
            counts[field] = [text, {"modality": "AUDIO", "tokenCount": heard}]
    return counts
