"""Recorded requests of Cohere's v2/chat as canonical ones, so that what is written of them can be compared.

Independent of the product, which never reads this format. `equal_sense` takes out of a body what may differ.
"""

from __future__ import annotations

from typing import Any

from llm_dispatcher.runtime.canon import (
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

__all__ = ["equal_sense", "read"]

_FORMAT = "cohere_chat"
_KNOWN = frozenset(
    {
        "model", "messages", "stream", "tools", "strict_tools", "tool_choice", "response_format", "max_tokens",
        "temperature", "seed", "stop_sequences", "p", "k", "presence_penalty", "frequency_penalty", "logprobs",
        "thinking",
    }
)  # fmt: skip


def read(body: dict[str, Any]) -> Request:
    """The request that `body` is."""
    extra = {name: value for name, value in body.items() if name not in _KNOWN}
    thinking = body.get("thinking")
    output = body.get("response_format")
    return Request(
        model=body["model"],
        messages=[_message(each) for each in body["messages"]],
        tools=[_tool(each, body.get("strict_tools")) for each in body.get("tools") or []],
        tool_choice=_choice(body.get("tool_choice")),
        output=None if output is None else JsonOutput(_schema(output)),
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("p"),
        top_k=body.get("k"),
        seed=body.get("seed"),
        stop=body.get("stop_sequences") or [],
        presence_penalty=body.get("presence_penalty"),
        frequency_penalty=body.get("frequency_penalty"),
        logprobs=body.get("logprobs"),
        reasoning=None if thinking is None else _reasoning(thinking),
        extra={_FORMAT: extra} if extra else {},
    )


def _schema(output: dict[str, Any]) -> dict[str, Any] | None:
    """Today's name and the one before it."""
    found: dict[str, Any] | None = output.get("json_schema") or output.get("schema")
    return found


def _reasoning(raw: dict[str, Any]) -> Reasoning:
    if raw["type"] == "disabled":
        return Reasoning("none")
    return Reasoning(budget_tokens=raw.get("token_budget", -1))


def _choice(raw: str | None) -> ToolChoice | None:
    if raw is None:
        return None
    return ToolChoice("none") if raw.upper() == "NONE" else ToolChoice("required")


def _tool(raw: dict[str, Any], strict: bool | None) -> Tool:
    function = raw["function"]
    return Tool(function["name"], function.get("description"), function.get("parameters"), strict)


def _message(raw: dict[str, Any]) -> Message:
    content = raw.get("content")
    if raw["role"] == "tool":
        inner = content if isinstance(content, str) else [_part(each) for each in content or []]
        return Message("tool", [ToolResult(raw["tool_call_id"], inner)])
    if raw["role"] != "assistant" and isinstance(content, str):
        return Message(raw["role"], content)
    parts: list[Part] = (
        [Text(content)] if isinstance(content, str) else [_part(each) for each in content or []]
    )
    if raw.get("tool_plan"):
        parts.append(Thinking(raw["tool_plan"], format=_FORMAT))
    parts += [Opaque(_FORMAT, {"citation": each}) for each in raw.get("citations") or []]
    for call in raw.get("tool_calls") or []:
        parts.append(ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]))
    return Message(raw["role"], parts)


def _part(raw: dict[str, Any]) -> Part:
    if raw["type"] == "text":
        return Text(raw["text"])
    if raw["type"] == "thinking":
        return Thinking(raw["thinking"], format=_FORMAT)
    if raw["type"] == "image_url":
        return Image(url=raw["image_url"]["url"], detail=raw["image_url"].get("detail"))
    return Opaque(_FORMAT, raw)


def equal_sense(body: dict[str, Any]) -> Any:
    """A body without what says nothing or can be said in two ways.

    Nulls and empty lists, an empty text of the assistant's, a lone text with or without its piece, the capitals of a
    choice, and the types and names that all bind an answer to a schema.
    """
    plain = {name: value for name, value in body.items() if value not in (None, [])}
    plain["messages"] = [_plain_turn(each) for each in body["messages"]]
    plain["stream"] = bool(body.get("stream"))
    if "tool_choice" in plain:
        plain["tool_choice"] = plain["tool_choice"].upper()
    if plain.get("response_format"):
        plain["response_format"] = {"type": "json_object", "schema": _schema(plain["response_format"])}
    return plain


def _plain_turn(raw: dict[str, Any]) -> dict[str, Any]:
    turn = {name: value for name, value in raw.items() if value not in (None, [], "")}
    if isinstance(turn.get("content"), str):
        turn["content"] = [{"type": "text", "text": turn["content"]}]
    pieces = [piece for piece in turn.get("content", ()) if piece != {"type": "text", "text": ""}]
    turn.pop("content", None)
    return {**turn, "content": pieces} if pieces else turn
