"""A buffered answer as a canonical completion.

A prompt that was blocked is an answer and not a fault: the vendor did its work and said no, so it
becomes a choice without content whose `finish` is `content_filter`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from ....canon import Choice, Completion, Part, ToolCall
from ...base import VendorFault
from .faults import embedded_fault, malformed
from .wire import (
    CANDIDATE_FIELDS,
    FORMAT,
    CallIds,
    Chunk,
    MalformedAnswer,
    candidate_index,
    candidate_parts,
    created_at,
    decode_chunk,
    finish_reason,
    finish_word,
    read_part,
    usage_of,
)

__all__ = ["block_word", "read_completion"]


def read_completion(body: bytes, rng: Random) -> Completion:
    """The answer in `body`. Raises `VendorFault` for an error object and for what is not of this format.

    `rng` serves the ids of tool calls in answers that carry no id of their own.
    """
    try:
        chunk = decode_chunk(body)
        if chunk.error is not None:
            raise VendorFault(embedded_fault(chunk.error))
        if chunk.candidates is None and chunk.prompt_feedback is None and chunk.usage_metadata is None:
            raise MalformedAnswer("neither candidates nor feedback")
        ids = CallIds(rng)
        ids.base(chunk.response_id)
        choices = [_choice(candidate, at, ids) for at, candidate in enumerate(chunk.candidates or [])]
    except MalformedAnswer as error:
        raise VendorFault(malformed(body, str(error))) from error
    return Completion(
        id=chunk.response_id or "",
        model=chunk.model_version or "",
        created=created_at(chunk.create_time),
        choices=choices or _blocked(chunk),
        usage=usage_of(chunk.usage_metadata) if chunk.usage_metadata else None,
        format=FORMAT,
        extra=_extra(chunk),
    )


def _choice(candidate: dict[str, Any], position: int, ids: CallIds) -> Choice:
    index = candidate_index(candidate, position)
    parts: list[Part] = []
    calls = 0
    for raw in candidate_parts(candidate):
        part = read_part(raw, partial(ids.make, index, calls))
        if part is not None:
            calls += isinstance(part, ToolCall)
            parts.append(part)
    word = finish_word(candidate.get("finishReason"))
    metadata = {
        name: value
        for name, value in candidate.items()
        if name not in CANDIDATE_FIELDS and name != "logprobsResult" and value
    }
    return Choice(
        index=index,
        parts=parts,
        finish=finish_reason(word, calls) if word else None,
        vendor_finish=word,
        logprobs=candidate.get("logprobsResult"),
        extra={FORMAT: metadata} if metadata else None,
    )


_BLOCK_NUMBERS = {1: "SAFETY", 2: "OTHER", 3: "BLOCKLIST", 4: "PROHIBITED_CONTENT", 5: "IMAGE_SAFETY"}


def block_word(feedback: dict[str, Any] | None) -> str | None:
    """Why the prompt was blocked, in the vendor's word; None when it was not."""
    word = (feedback or {}).get("blockReason")
    if type(word) is int:
        return _BLOCK_NUMBERS.get(word, str(word)) if word else None
    return word if type(word) is str and word != "BLOCKED_REASON_UNSPECIFIED" else None


def _blocked(chunk: Chunk) -> list[Choice]:
    word = block_word(chunk.prompt_feedback)
    return [Choice(finish="content_filter", vendor_finish=word)] if word else []


def _extra(chunk: Chunk) -> dict[str, Any] | None:
    fields = {"promptFeedback": chunk.prompt_feedback, "modelStatus": chunk.model_status}
    said = {name: value for name, value in fields.items() if value}
    return {FORMAT: said} if said else None
