"""A whole answer in the completions format, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .....actors.faults import FaultClass
from ....canon import Choice, Completion, Fault, Usage
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from ..chat_completions.reply import OUTGOING_FINISHES, from_object
from ..chat_completions.usage import write_usage
from . import FORMAT

__all__ = ["finish_word", "read", "write"]


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = read_json(body)
    except Unreadable as error:
        message = f"the answer is not JSON: {error}"
        raise VendorFault(Fault(kind=FaultClass.MALFORMED, message=message)) from error
    if not isinstance(raw, dict):
        raise VendorFault(Fault(kind=FaultClass.MALFORMED, message="the answer is not a JSON object"))
    choices = raw.get("choices")
    if isinstance(choices, list):
        raw = {**raw, "choices": [_as_chat(each) for each in choices]}
    return msgspec.structs.replace(from_object(raw), format=FORMAT)


def _as_chat(choice: Any) -> Any:
    """A choice as a chat's has it. Mistral's is one: its interface for filling gaps answers as for a chat."""
    if not isinstance(choice, dict) or "text" not in choice:
        return choice
    rest = {name: value for name, value in choice.items() if name != "text"}
    return {**rest, "message": {"content": choice["text"]}}


# --- out ----------------------------------------------------------------------------------------


def write(completions: Sequence[Completion], *, n: int, id: str, model: str, created: int) -> dict[str, Any]:
    """A `text_completion` object for a client: the answers to its prompts, each with `n` choices."""
    first = completions[0]
    body: dict[str, Any] = {
        "id": (first.format == FORMAT and first.id) or id,
        "object": "text_completion",
        "created": first.created or created,
        "model": first.model or model,
        "choices": [
            _write_choice(choice, number * n + choice.index, own=completion.format == FORMAT)
            for number, completion in enumerate(completions)
            for choice in completion.choices
        ],
    }
    usages = [each.usage for each in completions if each.usage is not None]
    if len(usages) == len(completions):
        body["usage"] = write_usage(_sum(usages))
    return body


def _write_choice(choice: Choice, index: int, *, own: bool) -> dict[str, Any]:
    return {
        "text": choice.text or choice.refusal or "",
        "index": index,
        "logprobs": choice.logprobs if own else None,
        "finish_reason": finish_word(choice.finish or "other"),
    }


def finish_word(reason: Any) -> str:
    """The word that clients of the format know for why an answer ended: calls of tools are none of them."""
    word = OUTGOING_FINISHES[reason]
    return "stop" if word == "tool_calls" else word


def _sum(usages: Sequence[Usage]) -> Usage:
    fields = Usage.__struct_fields__
    return Usage(**{name: sum([getattr(each, name) for each in usages]) for name in fields})
