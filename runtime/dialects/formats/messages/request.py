"""From a canonical request to a body in the messages format.

Anthropic's turns alternate between user and assistant: neighbours of the same role are joined, and the results
of tools stand first in the user's turn. System messages at the beginning become `system`; one that comes later
cannot be said there without moving it, which would change its meaning.

Reasoning: a budget is sent as a budget; an effort as `output_config.effort` with adaptive thinking.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import (
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT

__all__ = ["write"]

_UNKNOWN: Final = (
    ("seed", ""),
    ("presence_penalty", ""),
    ("frequency_penalty", ""),
    ("logprobs", ""),
    ("top_logprobs", ""),
)
_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Efforts as other vendors call them -> Anthropic's. `none` turns thinking off."""
_MEDIA: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def write(
    request: Request, model: str, *, stream: bool, default_max_tokens: int, lenient: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The body, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    body: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens or default_max_tokens}
    system, messages = _split_system(request.messages, wishes)
    if system:
        body["system"] = system
    body["messages"] = _turns(messages, wishes)
    _sampling(request, body, wishes)
    _tools(request, body, wishes)
    _reasoning(request.reasoning, body, wishes)
    if request.output is not None:
        _output(request.output, body, wishes)
    for owner, fields in request.extra.items():
        if owner == FORMAT:
            body.update({name: value for name, value in fields.items() if name != "betas"})
        else:
            for name in fields:
                wishes.cannot(f"{owner}.{name}")
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _sampling(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    if request.temperature is not None:
        if request.temperature > 1:
            wishes.cannot("temperature above 1", "Anthropic's temperatures end at 1")
        else:
            body["temperature"] = request.temperature
    for name in ("top_p", "top_k"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.n not in (None, 1):
        wishes.cannot("n", "send the request several times")
    for name, remedy in _UNKNOWN:
        if getattr(request, name) not in (None, False):
            wishes.cannot(name, remedy)


def _split_system(messages: list[Message], wishes: Wishes) -> tuple[Any, list[Message]]:
    """The system messages at the beginning as text (or blocks, where one has settings of its own), and the rest."""
    leading: list[Text] = []
    index = 0
    for index, message in enumerate([*messages, Message("user")]):  # noqa: B007 - where the loop stopped counts
        if message.role not in ("system", "developer"):
            break
        parts = [Text(message.content)] if isinstance(message.content, str) else message.content
        for part in parts:
            if isinstance(part, Text):
                leading.append(part)
            else:
                wishes.cannot(f"{type(part).__name__} in a system message")
    leading = [part for part in leading if part.text]
    if any((part.extra or {}).get(FORMAT) for part in leading):
        return [_text(part) for part in leading], messages[index:]
    return "\n\n".join(part.text for part in leading), messages[index:]


def _turns(messages: list[Message], wishes: Wishes) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if message.role in ("system", "developer"):
            wishes.cannot("a system message within the conversation", "put it at the beginning")
        blocks = _blocks(message, wishes)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        blocks = turn["content"]
        # Anthropic wants the results of tools before anything else that the user says.
        blocks.sort(key=lambda block: block.get("type") != "tool_result")
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            turn["content"] = blocks[0]["text"]
    return turns


def _blocks(message: Message, wishes: Wishes) -> list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        # Empty text blocks are refused.
        return [{"type": "text", "text": content}] if content else []
    return [block for part in content if (block := _block(part, wishes)) is not None]


def _block(part: Part, wishes: Wishes) -> dict[str, Any] | None:
    match part:
        case Text():
            return _text(part) if part.text else None
        case Image():
            return _image(part, wishes)
        case ToolCall():
            return _call(part, wishes)
        case ToolResult():
            return _result(part, wishes)
        case Thinking():
            return _thinking(part, wishes)
        case Refusal():
            return {"type": "text", "text": part.text}
        case Opaque():
            if part.format == FORMAT:
                return part.payload
            wishes.cannot(f"a part of the format {part.format}")
            return None


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text, **_own(part.extra)}


def _image(part: Image, wishes: Wishes) -> dict[str, Any] | None:
    if part.data is not None:
        media_type = part.media_type or "image/png"
        if media_type not in _MEDIA:
            wishes.cannot(f"images of the type {media_type}", "send JPEG, PNG, GIF or WebP")
            return None
        source = {"type": "base64", "media_type": media_type, "data": part.data}
    else:
        source = {"type": "url", "url": part.url or ""}
    return {"type": "image", "source": source, **_own(part.extra)}


def _call(part: ToolCall, wishes: Wishes) -> dict[str, Any] | None:
    try:
        arguments = read_json((part.arguments or "{}").encode())
    except Unreadable:
        arguments = None
    if not isinstance(arguments, dict):
        wishes.cannot(f"arguments of {part.name!r} that are not a JSON object")
        return None
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments, **_own(part.extra)}


def _result(part: ToolResult, wishes: Wishes) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id}
    if isinstance(part.content, str):
        if part.content:
            block["content"] = part.content
    else:
        block["content"] = [piece for each in part.content if (piece := _block(each, wishes)) is not None]
    if part.is_error:
        block["is_error"] = True
    return {**block, **_own(part.extra)}


def _thinking(part: Thinking, wishes: Wishes) -> dict[str, Any] | None:
    """Thoughts go back only with the seal of this format; others are left out, as they would be refused."""
    if part.format != FORMAT or (part.signature is None and part.redacted is None):
        if part.text or part.signature:
            wishes.dropped.append("thinking")
        return None
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _tools(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    if request.tools:
        body["tools"] = [tool for each in request.tools if (tool := _tool(each, wishes)) is not None]
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None and (parallel is None or not request.tools):
        return
    mode = "auto" if choice is None else choice.mode
    if mode == "none" and not request.tools:
        return
    written: dict[str, Any] = {"type": {"required": "any", "named": "tool"}.get(mode, mode)}
    if choice is not None and mode == "named":
        written["name"] = choice.name
    if parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not parallel
    body["tool_choice"] = written


def _tool(tool: Tool, wishes: Wishes) -> dict[str, Any] | None:
    own = _own(tool.extra)
    if "type" in own and "input_schema" not in own and tool.parameters is None:
        return own
    if tool.extra and not own and tool.parameters is None:
        wishes.cannot(f"the tool {tool.name!r} of another vendor")
        return None
    written: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return {**written, **own}


def _reasoning(reasoning: Reasoning | None, body: dict[str, Any], wishes: Wishes) -> None:
    if reasoning is None:
        return
    budget, effort = reasoning.budget_tokens, reasoning.effort
    if effort == "none" or budget == 0:
        body["thinking"] = {"type": "disabled"}
        return
    if effort is not None and effort not in _EFFORTS:
        wishes.cannot(f"reasoning effort {effort!r}", f"say one of {', '.join(_EFFORTS)}")
        return
    if budget is not None and budget > 0:
        if budget >= body["max_tokens"]:
            wishes.cannot("a reasoning budget that leaves no tokens for the answer", "raise max_tokens")
            return
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    else:
        body["thinking"] = {"type": "adaptive"}
    if reasoning.include:
        body["thinking"]["display"] = "summarized"
    if effort is not None:
        body["output_config"] = {"effort": _EFFORTS[effort]}


def _output(output: JsonOutput, body: dict[str, Any], wishes: Wishes) -> None:
    if output.schema is None:
        wishes.cannot("JSON without a schema", "give a JSON schema")
        return
    body["output_config"] = {
        **body.get("output_config", {}),
        "format": {"type": "json_schema", "schema": output.schema},
    }


def _own(extra: dict[str, Any] | None) -> dict[str, Any]:
    """The fields that this format's own reader has kept."""
    fields: dict[str, Any] = (extra or {}).get(FORMAT) or {}
    return fields
