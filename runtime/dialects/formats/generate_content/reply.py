"""A buffered answer, in and out.

A prompt that was blocked is an answer and not a fault: the vendor did its work and said no, so it
becomes a choice without content whose `finish` is `content_filter`.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from ....canon import Choice, Completion, Opaque, Part, ToolCall
from ...base import VendorFault
from .faults import embedded_fault, malformed
from .telling import (
    OF_THE_ANSWER,
    is_metadata,
    own_fields,
    why_it_ended,
    write_arguments,
    write_call,
    write_part,
    write_usage,
)
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

__all__ = ["block_word", "read_completion", "write"]


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


def block_word(feedback: object) -> str | None:
    """Why the prompt was blocked, in the vendor's word; None when it was not."""
    word = feedback.get("blockReason") if isinstance(feedback, dict) else None
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


# --- out ----------------------------------------------------------------------------------------


def write(completion: Completion, *, id: str, model: str, thoughts: bool) -> dict[str, Any]:
    """A `GenerateContentResponse` for a client, whatever format the completion came in; see `telling`.

    `id` and `model` are for completions that do not say; ids of other formats are not told. `thoughts`: the client asked
    for thoughts.
    """
    own = completion.format == FORMAT
    beside = dict(own_fields(completion.extra)) if own else {}
    candidates: list[dict[str, Any]] = []
    for choice in completion.choices:
        metadata = _metadata(choice)
        beside |= {name: metadata.pop(name) for name in OF_THE_ANSWER & metadata.keys()}
        if choice.parts or block_word(beside.get("promptFeedback")) is None:
            candidates.append(_write_choice(choice, metadata, own=own, thoughts=thoughts))
    usage = completion.usage
    return {
        **({"candidates": candidates} if candidates else {}),
        **beside,
        **({"usageMetadata": write_usage(usage)} if usage is not None else {}),
        "modelVersion": completion.model or model,
        "responseId": completion.id if own and completion.id else id,
    }


def _metadata(choice: Choice) -> dict[str, Any]:
    """What is told beside the content: of a whole answer its further fields, of a streamed one its opaque parts."""
    found = dict(own_fields(choice.extra))
    for part in choice.parts:
        if isinstance(part, Opaque) and part.format == FORMAT and is_metadata(part.payload):
            found |= part.payload
    return found


def _write_choice(choice: Choice, metadata: dict[str, Any], *, own: bool, thoughts: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    unreadable: str | None = None
    for part in choice.parts:
        told: dict[str, Any] | None = None
        if isinstance(part, ToolCall):
            arguments = write_arguments(part.arguments)
            if arguments is None:
                unreadable = part.name
            else:
                told = write_call(part.id, part.name, arguments, part.signature, own=own)
        elif not (isinstance(part, Opaque) and is_metadata(part.payload)):
            told = write_part(part, own=own, thoughts=thoughts)
        if told is not None:
            parts.append(told)
    why = why_it_ended(
        choice.finish,
        choice.vendor_finish,
        own=own,
        refused=choice.refusal is not None,
        unreadable=unreadable,
    )
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}} if parts else {}
    candidate |= {"index": choice.index, **metadata, **why}
    if own and choice.logprobs is not None:
        candidate["logprobsResult"] = choice.logprobs
    return candidate
