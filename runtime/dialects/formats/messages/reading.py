"""A body in the messages format as a canonical request.

What has no canonical word is kept to the letter, so that the request can be written again in this format: blocks as
`Opaque`, further fields of blocks, turns and tools in their own `extra`, everything else in
`Request.extra["messages"]`. Kept there as well, since no canonical word is near enough:

- tools that run at the vendor (`web_search_20250305` and such), which come after the functions when written;
- an effort without thinking: it makes the whole answer shorter or longer.

Not kept, since they mean nothing: fields that are null, empty blocks of text, the difference between a text and a
list of one text, between neighbouring turns of one role and one turn of both, and between the field
`output_format` of the beta and `output_config.format`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from ....canon import (
    File,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolResult,
)
from ...base import InvalidBody
from ...untrusted import MOST_OUTPUT, Unreadable, read_json
from . import FORMAT
from .reply import read_block
from .thinking import EFFORTS

__all__ = ["ClientRequest", "InvalidBody", "read"]

T = TypeVar("T")


class ClientRequest(Struct, frozen=True):
    """What a client sent: the request, and whether it wants a stream."""

    request: Request
    stream: bool


class _Turn(Struct):
    role: str
    content: str | list[dict[str, Any]]


class _Body(Struct):
    """The fields with a canonical word, or of which the type matters."""

    messages: list[dict[str, Any]]
    model: str | None = None
    mode: str | None = None
    max_tokens: Annotated[int, Meta(le=MOST_OUTPUT)] | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop_sequences: list[str] | None = None
    metadata: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None


_KNOWN: Final = frozenset(_Body.__struct_fields__)
_CHOICES: Final = {"auto": ToolChoice("auto"), "any": ToolChoice("required"), "none": ToolChoice("none")}
_SHOWN: Final = {"summarized": True, "omitted": False, None: None}


def read(body: bytes, model: str | None = None) -> ClientRequest:
    """A client's request. `model` is for bodies that name none, since the URL does.

    Raises `InvalidBody`, naming the field.
    """
    raw = _object(body)
    fields = _convert(raw, _Body, "")
    name = fields.model or model
    if not name:
        raise InvalidBody("model: a model is needed", "model")
    if not fields.messages:
        raise InvalidBody("messages: at least one message is needed", "messages")
    if fields.max_tokens is not None and fields.max_tokens < 0:
        raise InvalidBody("max_tokens: must be at least 0", "max_tokens")
    extra = {key: value for key, value in raw.items() if key not in _KNOWN and value is not None}
    tools = _tools(fields.tools or [], extra)
    choice, parallel = _choice(fields.tool_choice, extra)
    config = dict(fields.output_config or {})
    output = _output(config, fields.output_format, extra)
    reasoning = _reasoning(fields.thinking, config, extra)
    user = _user(fields.metadata, extra)
    if config:
        extra["output_config"] = config
    return ClientRequest(
        Request(
            model=name,
            messages=[*_system(fields.system), *_messages(fields.messages)],
            mode=fields.mode,
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=parallel,
            output=output,
            max_tokens=fields.max_tokens,
            temperature=fields.temperature,
            top_p=fields.top_p,
            top_k=fields.top_k,
            stop=fields.stop_sequences or [],
            reasoning=reasoning,
            user=user,
            extra={FORMAT: extra} if extra else {},
        ),
        bool(fields.stream),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    return raw


def _convert(raw: dict[str, Any], kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$.")
        param = ".".join(name for name in (path, field.rstrip("`")) if name) or None
        raise InvalidBody(f"{param}: {message}" if param else message, param) from error


# --- turns --------------------------------------------------------------------------------------


def _system(system: str | list[dict[str, Any]] | None) -> list[Message]:
    if not system:
        return []
    return [Message("system", system if isinstance(system, str) else [read_block(each) for each in system])]


def _messages(raw: list[dict[str, Any]]) -> list[Message]:
    messages: list[Message] = []
    for index, each in enumerate(raw):
        path = f"messages[{index}]"
        turn = _convert(each, _Turn, path)
        further = {name: value for name, value in each.items() if name not in ("role", "content")}
        extra = {FORMAT: further} if further else None
        if turn.role == "system":
            messages.append(Message("system", _content(turn.content), extra=extra or {FORMAT: {}}))
        elif turn.role == "assistant":
            messages.append(Message("assistant", _content(turn.content), extra=extra))
        elif turn.role == "user":
            messages += _user_turn(turn.content, extra)
        else:
            raise InvalidBody(f"{path}.role: {turn.role!r} is not a role", f"{path}.role")
    return messages


def _content(content: str | list[dict[str, Any]]) -> str | list[Part]:
    return content if isinstance(content, str) else [read_block(block) for block in content]


def _user_turn(content: str | list[dict[str, Any]], extra: dict[str, Any] | None) -> list[Message]:
    """A user's turn; the results in it become a message of their own, with the role `tool`."""
    if isinstance(content, str):
        return [Message("user", content, extra=extra)]
    parts = [_user_part(block) for block in content]
    results: list[Part] = [part for part in parts if isinstance(part, ToolResult)]
    others: list[Part] = [part for part in parts if not isinstance(part, ToolResult)]
    if not results:
        return [Message("user", others, extra=extra)]
    messages = [Message("tool", results, extra=extra)]
    return [*messages, Message("user", others)] if others else messages


def _user_part(block: dict[str, Any]) -> Part:
    kind = block.get("type")
    if kind == "image":
        return _image(block) or Opaque(FORMAT, block)
    if kind == "document":
        return _document(block) or Opaque(FORMAT, block)
    if kind == "tool_result":
        return _result(block) or Opaque(FORMAT, block)
    return read_block(block)


def _image(block: dict[str, Any]) -> Image | None:
    """An image by URL or as base64; None where it is of another kind, such as an uploaded file."""
    source: dict[str, Any] = block.get("source") or {}
    extra = _further(block, "type", "source")
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)} if len(source) == 3:
            return Image(data=data, media_type=media_type, extra=extra)
        case {"type": "url", "url": str(url)} if len(source) == 2:
            return Image(url=url, extra=extra)
    return None


def _document(block: dict[str, Any]) -> File | None:
    """A document by URL, as base64 or as text; None where it is of another kind, such as an uploaded file."""
    source: Any = block.get("source")
    title = block.get("title")
    name = title if isinstance(title, str) else None
    extra = _further(block, "type", "source", "title")
    match source:
        case {"type": "base64", "media_type": str(media_type), "data": str(data)} if len(source) == 3:
            return File(data=data, media_type=media_type, name=name, extra=extra)
        case {"type": "text", "media_type": "text/plain", "data": str(text)} if len(source) == 3:
            data = b64encode(text.encode("utf-8", "surrogatepass")).decode()
            return File(data=data, media_type="text/plain", name=name, extra=extra)
        case {"type": "url", "url": str(url)} if len(source) == 2:
            return File(url=url, name=name, extra=extra)
    return None


def _result(block: dict[str, Any]) -> ToolResult | None:
    call_id, content = block.get("tool_use_id"), block.get("content") or ""
    if not isinstance(call_id, str):
        return None
    if isinstance(content, list):
        if not all(isinstance(piece, dict) for piece in content):
            return None
        content = [_user_part(piece) for piece in content]
    elif not isinstance(content, str):
        return None
    extra = _further(block, "type", "tool_use_id", "content", "is_error")
    return ToolResult(call_id, content, is_error=block.get("is_error") is True, extra=extra)


def _further(block: dict[str, Any], *known: str) -> dict[str, Any] | None:
    fields = {name: value for name, value in block.items() if name not in known and value is not None}
    return {FORMAT: fields} if fields else None


# --- settings -----------------------------------------------------------------------------------


def _tools(raw: list[dict[str, Any]], extra: dict[str, Any]) -> list[Tool]:
    tools: list[Tool] = []
    vendors: list[dict[str, Any]] = []
    for index, each in enumerate(raw):
        schema = each.get("input_schema")
        if each.get("type") not in (None, "custom") or not isinstance(schema, dict):
            vendors.append(each)
            continue
        name, description, strict = each.get("name"), each.get("description"), each.get("strict")
        if not isinstance(name, str) or not isinstance(description, str | None):
            raise InvalidBody(
                f"tools[{index}]: a name and a description must be texts", f"tools[{index}].name"
            )
        further = _further(each, "name", "description", "strict", "input_schema")
        tools.append(Tool(name, description, schema, strict if isinstance(strict, bool) else None, further))
    if vendors:
        extra["tools"] = vendors
    return tools


def _choice(raw: dict[str, Any] | None, extra: dict[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    if raw is None:
        return None, None
    kind, single = raw.get("type"), raw.get("disable_parallel_tool_use")
    parallel = not single if isinstance(single, bool) else None
    if kind == "tool" and isinstance(raw.get("name"), str):
        return ToolChoice("named", raw["name"]), parallel
    found = _CHOICES.get(str(kind))
    if found is None:
        extra["tool_choice"] = raw
        return None, None
    return found, parallel


def _output(config: dict[str, Any], beta: dict[str, Any] | None, extra: dict[str, Any]) -> JsonOutput | None:
    """The wanted JSON; takes it out of `config`."""
    wanted = config.get("format") or beta
    match wanted:
        case {"type": "json_schema", "schema": dict(schema)}:
            config.pop("format", None)
            return JsonOutput(schema)
    if beta is not None:
        extra["output_format"] = beta
    return None


def _reasoning(
    thinking: dict[str, Any] | None, config: dict[str, Any], extra: dict[str, Any]
) -> Reasoning | None:
    """The wanted reasoning; takes its effort out of `config`."""
    if thinking is None:
        return None
    budget, display = thinking.get("budget_tokens"), thinking.get("display")
    effort = config.get("effort") if config.get("effort") in EFFORTS.values() else None
    kind = thinking.get("type")
    known = display in _SHOWN and thinking.keys() <= {"type", "budget_tokens", "display"}
    found: Reasoning | None = None
    if known and kind == "enabled" and type(budget) is int and budget > 0:
        found = Reasoning(effort, budget, _SHOWN[display])
    elif known and kind == "adaptive" and budget is None:
        found = Reasoning(effort, None, _SHOWN[display], adaptive=True)
    elif thinking == {"type": "disabled"}:
        found = Reasoning(effort, 0)
    if found is None:
        extra["thinking"] = thinking
    elif effort is not None:
        del config["effort"]
    return found


def _user(metadata: dict[str, Any] | None, extra: dict[str, Any]) -> str | None:
    if not metadata:
        return None
    user = metadata.get("user_id")
    rest = {name: value for name, value in metadata.items() if value is not None}
    if isinstance(user, str):
        del rest["user_id"]
    if rest:
        extra["metadata"] = rest
    return user if isinstance(user, str) else None
