"""A body in the responses format as a canonical request.

The items of the assistant in a row are one message, the results of calls in a row another. What has no canonical word is
kept to the letter, so that the request can be written again in this format: items and parts as `Opaque`, further fields of
messages, texts, calls and tools in their own `extra`, everything else in `Request.extra["responses"]`, tools that run at
the vendor among it (they come after the functions when written).

Not kept, since they mean nothing here: ids and states of items, `store`, fields that are null or say what is so anyway,
empty messages of the assistant, thoughts of which neither words nor a seal are given, and the difference between instructions
and a first system message, between a text and a list of one text, between an image without a `detail` and one of `auto`. The
wish for sealed thoughts is not kept either, since they are always asked for.

What would need a vendor's memory is refused: earlier answers, conversations and items by their ids, answers in the background.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from ....canon import (
    Audio,
    File,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from ...base import InvalidBody
from ...media import AUDIO_WORDS, data_of_url
from . import FORMAT
from .envelope import Asked, asked_in
from .output import parts_of_items
from .thoughts import unsealed_by_client

__all__ = ["LOGPROBS", "SEALED", "SUMMARY", "ClientRequest", "InvalidBody", "read"]

SEALED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
SUMMARY: Final = "reasoning.summary"
"""Under this name `Request.extra` holds which summary of the reasoning is wanted, where it is not just any."""


class ClientRequest(Struct, frozen=True):
    """What a client sent: the request, whether it wants a stream, and what answers repeat of it."""

    request: Request
    stream: bool
    asked: Asked


class _Body(Struct):
    """The fields with a canonical word, or of which the type matters."""

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    mode: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, Any] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None


_KNOWN: Final = frozenset(_Body.__struct_fields__) - {"metadata"}
_CHOICES: Final = {name: ToolChoice(cast("Any", name)) for name in ("auto", "none", "required")}
_ROLES: Final = frozenset({"system", "developer", "user"})
_INPUT: Final = frozenset({"id", "type", "role", "status", "content"})
_ANYWAY: Final[dict[str, Any]] = {"truncation": "disabled", "service_tier": "auto"}
"""What is so if nothing is said."""

_STORED: Final = "nothing is stored here, and what one vendor stores no other can go on with; send the whole conversation as `input`"


def read(body: bytes) -> ClientRequest:
    """A client's request. Raises `InvalidBody`, naming the field."""
    raw = _object(body)
    fields = _fields(raw)
    _refuse_memory(fields)
    if not fields.model:
        raise InvalidBody("model: a model is needed", "model")
    if not fields.input:
        raise InvalidBody("input: a text or a list of items is needed", "input")
    if fields.max_output_tokens is not None and fields.max_output_tokens < 1:
        raise InvalidBody("max_output_tokens: must be at least 1", "max_output_tokens")
    extra = {
        name: value
        for name, value in raw.items()
        if name not in _KNOWN and value not in (None, {}) and _ANYWAY.get(name) != value
    }
    tools = _tools(fields.tools or [], extra)
    logprobs = _include(fields.include or [], extra)
    output = _output(fields.text or {}, extra)
    reasoning = _reasoning(fields.reasoning or {}, extra)
    request = Request(
        model=fields.model,
        messages=[*_instructions(fields.instructions), *_messages(fields.input)],
        mode=fields.mode,
        tools=tools,
        tool_choice=_choice(fields.tool_choice, extra),
        parallel_tool_calls=fields.parallel_tool_calls,
        output=output,
        max_tokens=fields.max_output_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        logprobs=True if logprobs else None,
        top_logprobs=fields.top_logprobs or None,
        reasoning=reasoning,
        user=fields.user,
        extra={FORMAT: extra} if extra else {},
    )
    return ClientRequest(request, bool(fields.stream), asked_in(raw))


def _object(body: bytes) -> dict[str, Any]:
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    return raw


def _fields(raw: dict[str, Any]) -> _Body:
    try:
        return msgspec.convert(raw, _Body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        param = path.rstrip("`") or None
        raise InvalidBody(f"{param}: {message}" if param else message, param) from error


def _refuse_memory(fields: _Body) -> None:
    for name in ("previous_response_id", "conversation"):
        if getattr(fields, name):
            raise InvalidBody(f"{name}: {_STORED}", name)
    if fields.background:
        raise InvalidBody("background: answers are not kept to be asked for later; use `stream`", "background")  # fmt: skip


def _instructions(text: str | None) -> list[Message]:
    return [Message("system", text)] if text else []


# --- items --------------------------------------------------------------------------------------


def _messages(raw: str | list[dict[str, Any]]) -> list[Message]:
    if isinstance(raw, str):
        return [Message("user", raw)]
    messages: list[Message] = []
    numbered = list(enumerate(raw))
    for kind, group in groupby(numbered, key=lambda each: _kind(each[1], f"input[{each[0]}]")):
        items = list(group)
        if kind == "assistant":
            messages.append(_assistant([item for _, item in items]))
        elif kind == "results":
            results: list[Part] = [_result(item, f"input[{number}]") for number, item in items]
            messages.append(Message("tool", results))
        else:
            messages += [_said(item, f"input[{number}]") for number, item in items]
    return messages


def _kind(item: dict[str, Any], path: str) -> str:
    """Whose the item is: the assistant's, the caller's results of calls, or somebody else's."""
    kind, role = item.get("type"), item.get("role")
    if kind == "item_reference" or (kind is None and role is None and "id" in item):
        raise InvalidBody(f"{path}: an item by its id; {_STORED}", path)
    if kind in (None, "message"):
        if role == "assistant":
            return "assistant"
        if not isinstance(role, str) or role not in _ROLES:
            known = ", ".join(sorted({"assistant", *_ROLES}))
            raise InvalidBody(f"{path}.role: {role!r} is none of {known}", f"{path}.role")
        return "said"
    if kind == "function_call_output":
        return "results"
    if kind == "function_call" and not (
        isinstance(item.get("name"), str) and isinstance(item.get("call_id"), str)
    ):
        raise InvalidBody(f"{path}: a call needs a `name` and a `call_id`", path)
    theirs = str(kind).endswith(("_output", "_response")) or kind == "additional_tools"
    return "said" if theirs else "assistant"


def _assistant(items: list[dict[str, Any]]) -> Message:
    parts = parts_of_items([_as_output(item) for item in items])
    parts = [unsealed_by_client(part) if isinstance(part, Thinking) else part for part in parts]
    if not parts:
        return Message("assistant", "")
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].extra is None:
        return Message("assistant", parts[0].text)
    return Message("assistant", parts)


def _as_output(item: dict[str, Any]) -> dict[str, Any]:
    """An item as an answer would have it; a message may come as a plain text."""
    if item.get("type") not in (None, "message"):
        return item
    content = item.get("content")
    if not isinstance(content, list):
        content = [{"type": "output_text", "text": content or ""}]
    pieces = [
        {**piece, "type": "output_text"}
        if isinstance(piece, dict) and piece.get("type") in ("text", "input_text")
        else piece
        for piece in content
    ]
    return {**item, "type": "message", "content": pieces}


def _said(item: dict[str, Any], path: str) -> Message:
    if item.get("type") not in (None, "message"):
        return Message("user", [Opaque(FORMAT, item)])
    further = {name: value for name, value in item.items() if name not in _INPUT and value is not None}
    content = _content(item.get("content"), f"{path}.content")
    return Message(cast("Role", item["role"]), content, extra={FORMAT: further} if further else None)


def _result(item: dict[str, Any], path: str) -> ToolResult:
    call_id = item.get("call_id")
    if not isinstance(call_id, str):
        raise InvalidBody(f"{path}.call_id: a text is needed", f"{path}.call_id")
    further = {
        name: value
        for name, value in item.items()
        if name not in ("id", "type", "status", "call_id", "output") and value is not None
    }
    content = _content(item.get("output"), f"{path}.output")
    return ToolResult(call_id, content, extra={FORMAT: further} if further else None)


def _content(raw: Any, path: str) -> str | list[Part]:
    if raw is None or isinstance(raw, str):
        return raw or ""
    if not isinstance(raw, list):
        raise InvalidBody(f"{path}: a text or a list of parts is needed", path)
    return [_part(piece, f"{path}[{number}]") for number, piece in enumerate(raw)]


def _part(raw: Any, path: str) -> Part:
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise InvalidBody(f"{path}: an object with a type is needed", path)
    further = {
        name: value
        for name, value in raw.items()
        if name not in ("type", "text", "image_url", "detail") and value not in (None, [])
    }
    extra = {FORMAT: further} if further else None
    match raw:
        case {"type": "input_text" | "text" | "output_text", "text": str(text)}:
            return Text(text, extra=extra)
        case {"type": "input_text"}:
            raise InvalidBody(f"{path}.text: a text is needed", f"{path}.text")
        case {"type": "input_image", "image_url": str(url)} if url:
            detail = raw.get("detail")
            return _image(url, detail if isinstance(detail, str) else None, extra)
        case {"type": "input_file", "file_data": str(url), **rest} if (
            "file_url" not in rest and "file_id" not in rest
        ):
            return _file(url, rest) or Opaque(FORMAT, raw)
        case {"type": "input_file", "file_url": str(url), **rest} if rest.keys() == {"type"} or not rest:
            return File(url=url)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(word)}} if (
            word in AUDIO_WORDS
        ):
            return Audio(data=data, media_type=AUDIO_WORDS[word])
    return Opaque(FORMAT, raw)


def _file(url: str, rest: dict[str, Any]) -> File | None:
    """A document that is sent along; None where that is no `data:` URL."""
    held, name = data_of_url(url), rest.pop("filename", None)
    if held is None or held.media_type is None or not isinstance(name, str | None):
        return None
    further = {key: value for key, value in rest.items() if key != "type" and value is not None}
    extra = {FORMAT: further} if further else None
    return File(data=held.content, media_type=held.media_type, name=name, extra=extra)


def _image(url: str, detail: str | None, extra: dict[str, Any] | None) -> Image:
    head, _, data = url.removeprefix("data:").partition(",")
    if url.startswith("data:") and head.endswith(";base64"):
        return Image(data=data, media_type=head.removesuffix(";base64") or None, detail=detail, extra=extra)
    return Image(url=url, detail=detail, extra=extra)


# --- settings -----------------------------------------------------------------------------------


def _tools(raw: list[dict[str, Any]], extra: dict[str, Any]) -> list[Tool]:
    tools: list[Tool] = []
    vendors: list[dict[str, Any]] = []
    for number, each in enumerate(raw):
        if each.get("type") != "function":
            vendors.append(each)
        else:
            tools.append(_tool(each, f"tools[{number}]"))
    if vendors:
        extra["tools"] = vendors
    return tools


def _tool(raw: dict[str, Any], path: str) -> Tool:
    name, description, parameters = raw.get("name"), raw.get("description"), raw.get("parameters")
    if not isinstance(name, str) or not name:
        raise InvalidBody(f"{path}.name: a text is needed", f"{path}.name")
    further = {
        field: value
        for field, value in raw.items()
        if field not in ("type", "name", "description", "parameters", "strict") and value is not None
    }
    strict = raw.get("strict")
    return Tool(
        name,
        description if isinstance(description, str) else None,
        parameters if isinstance(parameters, dict) else None,
        strict if isinstance(strict, bool) else None,
        {FORMAT: further},
    )


def _choice(raw: str | dict[str, Any] | None, extra: dict[str, Any]) -> ToolChoice | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw not in _CHOICES:
            raise InvalidBody(f"tool_choice: {raw!r} is none of {', '.join(_CHOICES)}", "tool_choice")
        return _CHOICES[raw]
    if raw.get("type") == "function":
        if not isinstance(raw.get("name"), str):
            raise InvalidBody("tool_choice.name: a text is needed", "tool_choice")
        return ToolChoice("named", raw["name"])
    extra["tool_choice"] = raw
    return None


def _include(raw: list[str], extra: dict[str, Any]) -> bool:
    """Whether log probabilities are wanted; what else is goes to `extra`."""
    rest = [name for name in raw if name not in (SEALED, LOGPROBS)]
    if rest:
        extra["include"] = rest
    return LOGPROBS in raw


def _output(text: dict[str, Any], extra: dict[str, Any]) -> JsonOutput | None:
    rest = {name: value for name, value in text.items() if name != "format" and value is not None}
    wanted: Any = text.get("format")
    found: JsonOutput | None = None
    match wanted:
        case {"type": "json_object"}:
            found = JsonOutput()
        case {"type": "json_schema"}:
            if not isinstance(wanted.get("schema"), dict):
                raise InvalidBody("text.format.schema: an object is needed", "text.format.schema")
            found = JsonOutput(
                wanted["schema"], wanted.get("name"), wanted.get("description"), wanted.get("strict")
            )
        case None | {"type": "text"}:
            pass
        case _:
            rest["format"] = wanted
    if rest:
        extra["text"] = rest
    return found


def _reasoning(raw: dict[str, Any], extra: dict[str, Any]) -> Reasoning | None:
    rest = {name: value for name, value in raw.items() if value is not None}
    effort = rest.pop("effort", None)
    summary = rest.pop("summary", None) or rest.pop("generate_summary", None)
    if summary not in (None, "auto"):
        extra[SUMMARY] = summary
    if rest:
        extra["reasoning"] = rest
    if effort is None and summary is None:
        return None
    return Reasoning(None if effort is None else str(effort), include=True if summary else None)
