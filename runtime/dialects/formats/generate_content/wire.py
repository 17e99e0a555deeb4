"""The JSON of an answer as types, and the meaning of Google's words and counters in the canon.

Typed as far as the meaning depends on it; candidates and parts stay plain dictionaries, so that what
this version does not know can still be handed on to the letter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from ....canon import FinishReason, Opaque, Part, Text, Thinking, ToolCall, Usage
from ...untrusted import Unreadable, reader_of, token_count

__all__ = [
    "CANDIDATE_FIELDS",
    "FORMAT",
    "MADE_ID",
    "METADATA_FIELDS",
    "CallIds",
    "Chunk",
    "MalformedAnswer",
    "candidate_index",
    "candidate_parts",
    "created_at",
    "decode_chunk",
    "finish_reason",
    "finish_word",
    "read_part",
    "usage_of",
]

FORMAT: Final = "generate_content"

MADE_ID: Final = "gcall_"
"""How the ids begin that are made here for calls that came without one; they are never sent back."""


class MalformedAnswer(ValueError):
    """An answer that is JSON, but not of this format."""


class ModalityCount(Struct, frozen=True, rename="camel", gc=False):
    """Tokens of one kind of medium. Number 4 is AUDIO where enums are sent as numbers."""

    modality: str | int | None = None
    token_count: int | None = None


class UsageMetadata(Struct, frozen=True, rename="camel"):
    """What has been used so far: every chunk repeats the sum, so the last one counts."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None


class Chunk(Struct, frozen=True, rename="camel"):
    """A whole buffered answer, or one piece of a streamed one: the JSON is the same."""

    candidates: list[dict[str, Any]] | None = None
    usage_metadata: UsageMetadata | None = None
    response_id: str | None = None
    model_version: str | None = None
    create_time: str | None = None
    prompt_feedback: dict[str, Any] | None = None
    model_status: Any = None
    error: Any = None


_read: Final[Callable[[bytes], Chunk | list[Chunk]]] = reader_of(Chunk | list[Chunk])  # type: ignore[arg-type]


def decode_chunk(data: bytes) -> Chunk:
    """The chunk in `data`. A list of one (as errors arrive without `alt=sse`) counts as its only element.

    Raises `MalformedAnswer` for what is not JSON, not UTF-8 or of other types than this format has.
    """
    try:
        chunk = _read(data)
    except Unreadable as error:
        raise MalformedAnswer(str(error)) from error
    if isinstance(chunk, list):
        if len(chunk) != 1:
            raise MalformedAnswer(f"an array of {len(chunk)} answers where one was expected")
        return chunk[0]
    return chunk


CANDIDATE_FIELDS: Final = frozenset({"content", "index", "finishReason"})
"""What a candidate says in canonical words; all its other fields are metadata."""

METADATA_FIELDS: Final = frozenset(
    {
        "avgLogprobs",
        "citationMetadata",
        "continuationToken",
        "finishMessage",
        "groundingMetadata",
        "logprobsResult",
        "modelStatus",
        "promptFeedback",
        "safetyRatings",
        "tokenCount",
        "urlContextMetadata",
    }
)
"""Fields of an answer that are never a part of a message, though they travel as opaque ones."""


MOST_CANDIDATES: Final = 128
"""Candidates of one answer; `candidateCount` ends far below."""


def candidate_index(candidate: dict[str, Any], position: int) -> int:
    """The candidate's number; where it is left out, its position says it."""
    index = candidate.get("index")
    return index if type(index) is int and 0 <= index < MOST_CANDIDATES else position


def candidate_parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidate's parts: none where `content` or `parts` is missing. Raises `MalformedAnswer`."""
    content = candidate.get("content")
    if content is None:
        return []
    if type(content) is not dict:
        raise MalformedAnswer("the content of a candidate is not an object")
    parts = content.get("parts")
    if parts is None:
        return []
    if type(parts) is not list or not all(type(part) is dict for part in parts):
        raise MalformedAnswer("the parts of a candidate are not a list of objects")
    return parts


# --- parts --------------------------------------------------------------------------------------


class CallIds:
    """Makes ids for tool calls that came without one.

    They must not recur within a conversation, so they are built on the answer's own id, which the
    vendor makes unique; on 64 bits from `rng` where an answer has none.
    """

    __slots__ = ("_base", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._base: str | None = None

    def base(self, response_id: str | None) -> None:
        """Take the answer's id, when it is known first."""
        if self._base is None and response_id:
            self._base = response_id

    def make(self, index: int, call: int) -> str:
        """The id of the call numbered `call` in the candidate `index`."""
        if self._base is None:
            self._base = f"{self._rng.getrandbits(64):016x}"
        return f"{MADE_ID}{self._base}_{index}_{call}"


def read_part(part: dict[str, Any], make_id: Callable[[], str]) -> Part | None:
    """One part of an answer; None for an empty text that carries no signature either.

    What is neither text, thought nor a complete function call (code and its result, media, server-side
    tools, partially streamed arguments) becomes `Opaque`.
    """
    signature = part.get("thoughtSignature")
    if type(signature) is not str:
        signature = None
    text = part.get("text")
    if type(text) is str:
        if part.get("thought"):
            return Thinking(text, signature, None, FORMAT) if text or signature else None
        return Text(text, signature) if text or signature else None
    call = part.get("functionCall")
    if type(call) is dict and type(call.get("name")) is str and _is_whole(call):
        call_id = call.get("id")
        args = call.get("args")
        return ToolCall(
            call_id if type(call_id) is str and call_id else make_id(),
            call["name"],
            msgspec.json.encode(args).decode() if args else "{}",
            signature,
        )
    if signature is not None and not part.keys() - {"thoughtSignature", "thought"}:
        return Thinking("", signature, None, FORMAT) if part.get("thought") else Text("", signature)
    return Opaque(FORMAT, part) if part else None


def _is_whole(call: dict[str, Any]) -> bool:
    return "partialArgs" not in call and not call.get("willContinue")


# --- words and counters -------------------------------------------------------------------------

_FINISH: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "MALFORMED_RESPONSE": "error",
    "CONTINUATION": "pause",
}

_FINISH_NUMBERS: Final = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "LANGUAGE",
    7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT",
    9: "SPII",
    10: "MALFORMED_FUNCTION_CALL",
    11: "IMAGE_SAFETY",
    12: "UNEXPECTED_TOOL_CALL",
    13: "TOO_MANY_TOOL_CALLS",
}
"""`FinishReason` of google.ai.generativelanguage.v1beta, as sent with `$alt=json;enum-encoding=int`.
Vertex AI numbers the reasons from 6 on differently; all it sends in practice are 1 to 5."""


def finish_word(word: object) -> str | None:
    """The vendor's word for why a candidate ended, also where it came as a number; None while it has not."""
    if type(word) is int:
        return _FINISH_NUMBERS.get(word, str(word)) if word else None
    if type(word) is not str or not word or word == "FINISH_REASON_UNSPECIFIED":
        return None
    return word


def finish_reason(word: str, calls: int) -> FinishReason:
    """The canonical reason. Google says STOP for a turn that ends in function calls as well."""
    if word == "STOP" and calls:
        return "tool_calls"
    return _FINISH.get(word, "other")


def usage_of(usage: UsageMetadata) -> Usage | None:
    """The canonical sums, or None where no token was counted.

    Google counts thoughts beside the candidates and the results of server-side tools beside the
    prompt; cached tokens are a part of the prompt's.
    """
    prompt, output = usage.prompt_token_count, usage.candidates_token_count
    thoughts, tools = usage.thoughts_token_count, usage.tool_use_prompt_token_count
    if prompt is None and output is None and thoughts is None and tools is None:
        return None
    return Usage(
        input_tokens=token_count(prompt) + token_count(tools),
        output_tokens=token_count(output) + token_count(thoughts),
        cache_read_tokens=token_count(usage.cached_content_token_count),
        reasoning_tokens=token_count(thoughts),
        audio_input_tokens=_audio(usage.prompt_tokens_details),
        audio_output_tokens=_audio(usage.candidates_tokens_details),
    )


def _audio(details: list[ModalityCount] | None) -> int:
    if not details:
        return 0
    return token_count(sum([count.token_count or 0 for count in details if count.modality in ("AUDIO", 4)]))


def created_at(time: str | None) -> int:
    """Seconds since the epoch of an RFC 3339 time; 0 where there is none that can be read."""
    if not time:
        return 0
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (ValueError, OverflowError, OSError):
        return 0
