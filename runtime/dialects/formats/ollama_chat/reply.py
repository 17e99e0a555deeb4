"""A buffered answer as a canonical completion.

Calls carry no id on older servers: they are given one that is made of the answer's time. An answer that calls tools ends
with the word `stop` like any other, and is finished for its calls all the same.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import Choice, Completion, Fault, FinishReason, Part, Text, Thinking, ToolCall, Usage
from ...base import VendorFault
from ...recognise import in_stream
from ...spellings.compatible import COMPATIBLE
from ...untrusted import Unreadable, read_json, token_count
from . import FORMAT

__all__ = ["calls_of", "created", "failed", "finish_of", "from_object", "malformed", "read", "read_usage"]

_FINISHES: Final[dict[str, FinishReason]] = {"stop": "stop", "length": "length"}
_DIGITS: Final = re.compile(r"\D+")


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for one that failed, and for what is no answer at all."""
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise VendorFault(malformed(f"the answer is not JSON: {error}")) from error
    if not isinstance(raw, dict):
        raise VendorFault(malformed("the answer is not a JSON object"))
    return from_object(raw)


def from_object(raw: dict[str, Any]) -> Completion:
    """As `read`, for a body that has been parsed."""
    if raw.get("error"):
        raise VendorFault(failed(raw["error"]))
    message = raw.get("message")
    if not isinstance(message, dict):
        raise VendorFault(malformed("the answer has no message"))
    calls = calls_of(message, raw.get("created_at"))
    parts: list[Part] = []
    thought, text = message.get("thinking"), message.get("content")
    if isinstance(thought, str) and thought:
        parts.append(Thinking(thought, format=FORMAT))
    if isinstance(text, str) and text:
        parts.append(Text(text))
    word = raw.get("done_reason")
    word = None if word is None else str(word)
    choice = Choice(
        parts=[*parts, *calls],
        finish=finish_of(word, called=bool(calls)) if raw.get("done") else None,
        vendor_finish=word,
        logprobs=raw.get("logprobs"),
    )
    return Completion(
        model=str(raw.get("model") or ""),
        created=created(raw.get("created_at")),
        choices=[choice],
        usage=read_usage(raw),
        format=FORMAT,
    )


def finish_of(word: str | None, *, called: bool) -> FinishReason:
    """Why the answer ended; older servers give no word."""
    if word in (None, "stop") and called:
        return "tool_calls"
    return "stop" if word is None else _FINISHES.get(word, "other")


def calls_of(message: dict[str, Any], at: Any) -> list[ToolCall]:
    """The calls in a message of the time `at`."""
    raw = message.get("tool_calls")
    calls: list[ToolCall] = []
    for each in raw if isinstance(raw, list) else ():
        function = each.get("function") if isinstance(each, dict) else None
        if not isinstance(function, dict):
            continue
        made = f"call_{_DIGITS.sub('', str(at or ''))[:24]}_{len(calls)}"
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        calls.append(ToolCall(str(each.get("id") or made), str(function.get("name") or ""), text))
    return calls


def read_usage(raw: dict[str, Any]) -> Usage | None:
    """What the answer's last object says was used; None where it does not say. Thoughts are part of the output, uncounted."""
    if raw.get("eval_count") is None and raw.get("prompt_eval_count") is None:
        return None
    return Usage(
        input_tokens=token_count(raw.get("prompt_eval_count")),
        output_tokens=token_count(raw.get("eval_count")),
    )


def created(at: Any) -> int:
    """Seconds since the epoch of a time as Ollama writes it; 0 if it is none."""
    try:
        return max(0, int(datetime.fromisoformat(str(at)).timestamp()))
    except (ValueError, OverflowError, OSError):
        return 0


def failed(error: Any) -> Fault:
    """What an error within an answer of status 200 means."""
    return in_stream(error, COMPATIBLE)


def malformed(message: str) -> Fault:
    """An answer that cannot be read."""
    return Fault(kind=FaultClass.MALFORMED, message=message)
