"""A whole answer in the chat-completions format, in and out."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .....actors.faults import FaultClass
from ....canon import (
    Choice,
    Completion,
    Fault,
    FinishReason,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from . import FORMAT
from .faults import in_stream
from .usage import read_usage, write_usage

__all__ = ["FINISHES", "MOST_CHOICES", "OUTGOING_FINISHES", "read", "read_content", "write"]

FINISHES: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}
"""The vendors' words for why an answer ended; what is not listed is `other`."""

OUTGOING_FINISHES: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
    "error": "stop",
    "other": "stop",
}
"""The words that clients of the format know."""

MOST_CHOICES: Final = 128
"""Answers to one request, as many as OpenAI's `n` allows."""

_TOP = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})
_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})
_MESSAGE = frozenset({"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning"})


def read(body: bytes) -> Completion:
    """A buffered answer. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise _malformed(f"the answer is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise _malformed("the answer is not a JSON object")
    return from_object(raw)


def from_object(raw: dict[str, Any]) -> Completion:
    """As `read`, for a body that has been parsed."""
    if raw.get("error"):
        raise VendorFault(in_stream(raw["error"]))
    choices = raw.get("choices")
    if not isinstance(choices, list):
        raise _malformed("the answer has no choices")
    created = raw.get("created")
    return Completion(
        id=str(raw.get("id") or ""),
        model=str(raw.get("model") or ""),
        created=int(created) if isinstance(created, int | float) else 0,
        choices=[_choice(each, index) for index, each in enumerate(choices) if isinstance(each, dict)],
        usage=read_usage(raw.get("usage")),
        format=FORMAT,
        extra=_rest(raw, _TOP),
    )


def _choice(raw: dict[str, Any], position: int) -> Choice:
    error = raw.get("error")
    if error:
        raise VendorFault(in_stream(error))
    message = raw.get("message")
    if not isinstance(message, dict):
        message = {"content": raw.get("text")}
    finish = raw.get("finish_reason")
    index = raw.get("index")
    extra = {**(_rest(raw, _CHOICE) or {}).get(FORMAT, {})}
    unknown = _rest(message, _MESSAGE)
    if unknown:
        extra["message"] = unknown[FORMAT]
    return Choice(
        index=index if type(index) is int and 0 <= index < MOST_CHOICES else position,
        parts=_parts(message),
        finish=None if finish is None else FINISHES.get(str(finish), "other"),
        vendor_finish=None if finish is None else str(finish),
        logprobs=raw.get("logprobs"),
        extra={FORMAT: extra} if extra else None,
    )


def _parts(message: dict[str, Any]) -> list[Part]:
    parts: list[Part] = []
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thinking, str) and thinking:
        parts.append(Thinking(thinking))
    parts += read_content(message.get("content"))
    if message.get("refusal"):
        parts.append(Refusal(str(message["refusal"])))
    parts += [_tool_call(call) for call in _objects(message.get("tool_calls"))]
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        parts.append(ToolCall("", str(legacy.get("name") or ""), _arguments(legacy.get("arguments"))))
    return parts


def _tool_call(call: dict[str, Any]) -> Part:
    function = call.get("function")
    if not isinstance(function, dict):
        return Opaque(FORMAT, {"tool_call": call})
    extra = _rest(call, frozenset({"id", "type", "function", "index"}))
    return ToolCall(
        str(call.get("id") or ""),
        str(function.get("name") or ""),
        _arguments(function.get("arguments")),
        extra=extra,
    )


def _arguments(raw: Any) -> str:
    """Arguments as text; some vendors send the object itself."""
    if isinstance(raw, str):
        return raw
    return "{}" if raw is None else msgspec.json.encode(raw).decode()


def read_content(content: Any) -> list[Part]:
    """Content as text, or as a list of typed pieces (Mistral's thinking among them)."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts: list[Part] = []
    for piece in _objects(content):
        if piece.get("type") == "text":
            parts.append(Text(str(piece.get("text") or "")))
        elif piece.get("type") == "thinking":
            inner = piece.get("thinking")
            text = (
                inner
                if isinstance(inner, str)
                else "".join(str(each.get("text") or "") for each in _objects(inner))
            )
            parts.append(Thinking(text))
        else:
            parts.append(Opaque(FORMAT, piece))
    return parts


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none in what is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _rest(raw: dict[str, Any], known: frozenset[str]) -> dict[str, Any] | None:
    rest = {name: value for name, value in raw.items() if name not in known and value is not None}
    return {FORMAT: rest} if rest else None


def _malformed(message: str) -> VendorFault:
    return VendorFault(Fault(kind=FaultClass.MALFORMED, message=message))


# --- out ----------------------------------------------------------------------------------------


def write(completion: Completion, *, id: str, model: str, created: int) -> dict[str, Any]:
    """A `chat.completion` object for a client, whatever format the completion came in."""
    own = completion.format == FORMAT
    body: dict[str, Any] = {
        "id": completion.id or id,
        "object": "chat.completion",
        "created": completion.created or created,
        "model": completion.model or model,
        "choices": [_write_choice(choice, own=own) for choice in completion.choices],
    }
    if completion.usage is not None:
        body["usage"] = write_usage(completion.usage)
    if own and completion.extra:
        body.update(completion.extra.get(FORMAT, {}))
    return body


def _write_choice(choice: Choice, *, own: bool) -> dict[str, Any]:
    extra = dict((choice.extra or {}).get(FORMAT, {})) if own else {}
    message: dict[str, Any] = {"role": "assistant", "content": choice.text or None, "refusal": choice.refusal}
    thinking = choice.thinking
    if thinking:
        message["reasoning_content"] = thinking
    calls = [
        {
            "id": call.id or f"call_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
            **((call.extra or {}).get(FORMAT) or {}),
        }
        for number, call in enumerate(choice.tool_calls)
    ]
    if calls:
        message["tool_calls"] = calls
    if message["content"] is None and not calls and choice.refusal is None:
        message["content"] = ""
    message.update(extra.pop("message", {}))
    finish = OUTGOING_FINISHES[choice.finish or "other"]
    if choice.finish == "stop" and calls and not own:
        finish = "tool_calls"
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs if own else None,
        "finish_reason": finish,
        **extra,
    }
