"""A request body in the chat-completions format: `read` from a client, `write` for a vendor.

What the canonical request has a word for is translated; every other top-level field is kept as it is in
`Request.extra`, and goes to vendors of this format only. `mode` is an extension of ours: the name of a
routing mode, which vendors never see.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ....canon import (
    Audio,
    File,
    Image,
    JsonOutput,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from ...base import InvalidBody
from ...media import AUDIO_WORDS, PDF, data_of_url, data_url, inline_data, told_as_text
from ...untrusted import MOST_OUTPUT, Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT
from .quirks import Quirks
from .reply import MOST_CHOICES
from .thinking import write_reasoning, write_thoughts

__all__ = ["ClientRequest", "InvalidBody", "read", "write"]


class ClientRequest(Struct, frozen=True):
    """What a client sent: the request, whether it wants a stream, and usage at the stream's end."""

    request: Request
    stream: bool
    include_usage: bool


_Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Body(Struct):
    """The fields with a canonical word, or of which the type matters."""

    messages: list[dict[str, Any]]
    model: str | None = None
    mode: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: Annotated[int, Meta(le=MOST_OUTPUT)] | None = None
    max_completion_tokens: Annotated[int, Meta(le=MOST_OUTPUT)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: _Whole | None = None
    stop: str | list[str] | None = None
    seed: _Whole | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_CHOICES)] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: _Whole | None = None
    reasoning_effort: str | None = None
    user: str | None = None


_KNOWN: Final = frozenset(_Body.__struct_fields__)
_CHOICES: Final = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
}
_ROLES: Final = ("assistant", "developer", "system", "tool", "user")
_MESSAGE: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})


def read(body: bytes, model: str | None = None) -> ClientRequest:
    """A client's request. `model` is the one that the URL names, if it does: it counts, whatever the body says.

    Raises `InvalidBody`, naming the field.
    """
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    try:
        fields = msgspec.convert(raw, _Body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        param = path.rstrip("`") or None
        raise InvalidBody(f"{param}: {message}" if param else message, param) from error
    named = model or fields.model
    if not named:
        raise InvalidBody("model: a model is needed", "model")
    if not fields.messages:
        raise InvalidBody("messages: at least one message is needed", "messages")
    extra = {name: value for name, value in raw.items() if name not in _KNOWN and value is not None}
    output = _read_output(fields.response_format, extra)
    max_tokens = fields.max_completion_tokens if fields.max_tokens is None else fields.max_tokens
    if max_tokens is not None and max_tokens < 1:
        raise InvalidBody("max_tokens: must be at least 1", "max_tokens")
    stop = fields.stop
    return ClientRequest(
        Request(
            model=named,
            messages=[
                _read_message(each, f"messages[{index}]") for index, each in enumerate(fields.messages)
            ],
            mode=fields.mode,
            tools=[_read_tool(each, f"tools[{index}]") for index, each in enumerate(fields.tools or ())],
            tool_choice=_read_choice(fields.tool_choice),
            parallel_tool_calls=fields.parallel_tool_calls,
            output=output,
            max_tokens=max_tokens,
            temperature=fields.temperature,
            top_p=fields.top_p,
            top_k=fields.top_k,
            stop=[stop] if isinstance(stop, str) else stop or [],
            seed=fields.seed,
            n=fields.n,
            presence_penalty=fields.presence_penalty,
            frequency_penalty=fields.frequency_penalty,
            logprobs=fields.logprobs,
            top_logprobs=fields.top_logprobs,
            reasoning=None if fields.reasoning_effort is None else Reasoning(fields.reasoning_effort),
            user=fields.user,
            extra={FORMAT: extra} if extra else {},
        ),
        bool(fields.stream),
        bool(fields.stream_options and fields.stream_options.get("include_usage")),
    )


T = TypeVar("T")

_WORDS: Final[dict[type, str]] = {str: "a text", bool: "true or false", list: "a list"}


def _optional(raw: dict[str, Any], name: str, kind: type[T], path: str) -> T | None:
    """A field that may be left out; refused when it is there and of another type."""
    value = raw.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise InvalidBody(f"{path}.{name}: {_WORDS[kind]} is needed", f"{path}.{name}")


def _read_output(raw: dict[str, Any] | None, extra: dict[str, Any]) -> JsonOutput | None:
    if raw is None:
        return None
    kind = raw.get("type")
    if kind == "json_object":
        # Hugging Face's own client has the schema here, whatever it was given, since its servers want it so.
        value = raw.get("value")
        return JsonOutput(value if isinstance(value, dict) else None)
    schema = raw.get("json_schema")
    if kind == "json_schema":
        if not isinstance(schema, dict):
            raise InvalidBody("response_format.json_schema: an object is needed", "response_format")
        inner, path = schema.get("schema"), "response_format.json_schema"
        return JsonOutput(
            schema=inner if isinstance(inner, dict) else {},
            name=_optional(schema, "name", str, path),
            description=_optional(schema, "description", str, path),
            strict=_optional(schema, "strict", bool, path),
        )
    extra["response_format"] = raw
    return None


def _read_tool(raw: dict[str, Any], path: str) -> Tool:
    function = raw.get("function")
    if raw.get("type") not in ("function", None) or not isinstance(function, dict):
        if "type" not in raw or raw["type"] == "function":
            raise InvalidBody(f"{path}.function: an object is needed", f"{path}.function")
        # A tool that only this format knows: kept whole.
        return Tool(str(raw["type"]), extra={FORMAT: raw})
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidBody(f"{path}.function.name: a text is needed", f"{path}.function.name")
    parameters = function.get("parameters")
    return Tool(
        name,
        _optional(function, "description", str, f"{path}.function"),
        parameters if isinstance(parameters, dict) else None,
        _optional(function, "strict", bool, f"{path}.function"),
    )


def _read_choice(raw: str | dict[str, Any] | None) -> ToolChoice | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw not in _CHOICES:
            raise InvalidBody(f"tool_choice: {raw!r} is none of {', '.join(_CHOICES)}", "tool_choice")
        return _CHOICES[raw]
    function = raw.get("function")
    name = function.get("name") if isinstance(function, dict) else raw.get("name")
    if not isinstance(name, str):
        raise InvalidBody("tool_choice.function.name: a text is needed", "tool_choice")
    return ToolChoice("named", name)


def _read_message(raw: dict[str, Any], path: str) -> Message:
    role = raw.get("role")
    if role not in _ROLES:
        raise InvalidBody(f"{path}.role: {role!r} is none of {', '.join(_ROLES)}", f"{path}.role")
    content = _read_content(raw.get("content"), f"{path}.content")
    extra = {name: value for name, value in raw.items() if name not in _MESSAGE and value is not None}
    name = raw.get("name")
    if role == "tool":
        call_id = raw.get("tool_call_id")
        if not isinstance(call_id, str):
            raise InvalidBody(f"{path}.tool_call_id: a text is needed", f"{path}.tool_call_id")
        content = [ToolResult(call_id, content)]
    elif role == "assistant":
        content = _read_assistant(raw, content, path)
    return Message(
        role,
        content,
        name if isinstance(name, str) else None,
        {FORMAT: extra} if extra else None,
    )


def _read_assistant(raw: dict[str, Any], content: str | list[Part], path: str) -> str | list[Part]:
    calls, refusal = _optional(raw, "tool_calls", list, path), raw.get("refusal")
    if not calls and not refusal:
        return content
    parts: list[Part] = []
    if isinstance(content, list):
        parts += content
    elif content:
        parts.append(Text(content))
    if refusal:
        parts.append(Refusal(str(refusal)))
    for index, call in enumerate(calls or ()):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            where = f"{path}.tool_calls[{index}].function"
            raise InvalidBody(f"{where}: an object with a name is needed", where)
        arguments = function.get("arguments")
        extra = {key: value for key, value in call.items() if key not in ("id", "type", "function")}
        parts.append(
            ToolCall(
                str(call.get("id") or f"call_{index}"),
                function["name"],
                arguments if isinstance(arguments, str) else "{}",
                extra={FORMAT: extra} if extra else None,
            )
        )
    return parts


def _read_content(raw: Any, path: str) -> str | list[Part]:
    if raw is None or isinstance(raw, str):
        return raw or ""
    if not isinstance(raw, list):
        raise InvalidBody(f"{path}: a text or a list of parts is needed", path)
    return [_read_part(piece, f"{path}[{index}]") for index, piece in enumerate(raw)]


def _read_part(raw: Any, path: str) -> Part:
    if not isinstance(raw, dict):
        raise InvalidBody(f"{path}: an object is needed", path)
    kind = raw.get("type")
    if kind == "text":
        if not isinstance(raw.get("text"), str):
            raise InvalidBody(f"{path}.text: a text is needed", f"{path}.text")
        extra = {name: value for name, value in raw.items() if name not in ("type", "text")}
        return Text(raw["text"], extra={FORMAT: extra} if extra else None)
    if kind == "image_url":
        return _read_image(raw, path)
    if kind == "refusal":
        return Refusal(str(raw.get("refusal") or ""))
    return _read_file(raw) or _read_audio(raw) or Opaque(FORMAT, raw)


def _read_file(raw: dict[str, Any]) -> File | None:
    """A document that is sent along, or stands at a URL; None where a vendor keeps it, and for anything else."""
    match raw:
        case {"type": "file", "file": {"file_data": str(data), **rest}} if rest.keys() <= {"filename"}:
            name = rest.get("filename")
            extra = {key: value for key, value in raw.items() if key not in ("type", "file")}
            told = File(
                name=name if isinstance(name, str) else None, extra={FORMAT: extra} if extra else None
            )
            found = data_of_url(data)
            if found is not None:
                return replace(told, data=found.content, media_type=found.media_type)
            if data.startswith(("https://", "http://")):
                return replace(told, url=data)
            return replace(told, data=data, media_type=PDF)
    return None


def _read_audio(raw: dict[str, Any]) -> Audio | None:
    match raw:
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(word), **rest}} if (
            not rest
        ):
            extra = {key: value for key, value in raw.items() if key not in ("type", "input_audio")}
            media_type = AUDIO_WORDS.get(word, f"audio/{word}")
            return Audio(data=data, media_type=media_type, extra={FORMAT: extra} if extra else None)
    return None


def _read_image(raw: dict[str, Any], path: str) -> Image:
    image = raw.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str) or not url:
        raise InvalidBody(f"{path}.image_url.url: a text is needed", f"{path}.image_url")
    detail = _optional(image, "detail", str, f"{path}.image_url") if isinstance(image, dict) else None
    extra = {name: value for name, value in raw.items() if name not in ("type", "image_url")}
    rest = {FORMAT: extra} if extra else None
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        if head.endswith(";base64"):
            media_type = head.removesuffix(";base64") or None
            return Image(data=data, media_type=media_type, detail=detail, extra=rest)
    return Image(url=url, detail=detail, extra=rest)


# --- out ----------------------------------------------------------------------------------------


def write(
    request: Request, model: str, quirks: Quirks, *, stream: bool, lenient: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    body: dict[str, Any] = {"model": model, "messages": _write_messages(request.messages, quirks, wishes)}
    tools = [_write_tool(tool) for tool in wishes.functions(request.tools, FORMAT)]
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None and (tools or not request.tools):
        body["tool_choice"] = _write_choice(request.tool_choice)
    if request.output is not None:
        body["response_format"] = _write_output(request.output, quirks, wishes)
    if request.max_tokens is not None:
        body[quirks.max_tokens_field] = request.max_tokens
    if request.stop:
        body["stop"] = request.stop
    for name in (
        "parallel_tool_calls", "temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "logprobs",
        "top_logprobs", "user",
    ):  # fmt: skip
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.seed is not None:
        body[quirks.seed_field] = request.seed
    if request.n is not None and request.n > 1 and not quirks.choices:
        wishes.cannot("n above 1", "ask several times")
        del body["n"]
    write_reasoning(request.reasoning, quirks, body, wishes)
    if request.top_k is not None:
        if quirks.top_k:
            body["top_k"] = request.top_k
        else:
            wishes.cannot("top_k", "leave it out, or send the request to a vendor that has it")
    if request.extra:
        _write_extra(request.extra, body, wishes)
    for name in quirks.refuses:
        if body.pop(name, None) is not None:
            wishes.refused(name, FORMAT)
    if stream:
        body["stream"] = True
        if quirks.stream_usage:
            # Always asked for, since the accounts need it; a client that did not ask is not shown it.
            body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _write_extra(extra: dict[str, dict[str, Any]], body: dict[str, Any], wishes: Wishes) -> None:
    body.update(extra.get(FORMAT, {}))
    wishes.of_others(extra, FORMAT)


def _write_tool(tool: Tool) -> dict[str, Any]:
    own = (tool.extra or {}).get(FORMAT)
    if own is not None and "type" in own:
        whole: dict[str, Any] = own
        return whole
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _write_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _write_output(output: JsonOutput, quirks: Quirks, wishes: Wishes) -> dict[str, Any]:
    if output.schema is not None and not quirks.json_schema:
        wishes.cannot("a JSON schema for the answer", "describe it in the prompt and ask for any JSON")
    if output.schema is None or not quirks.json_schema:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name or "answer", "schema": output.schema}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}


def _write_messages(messages: list[Message], quirks: Quirks, wishes: Wishes) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            written += _write_results(message, shown, wishes)
        else:
            _show(shown, written)
            written.append(_write_message(message, quirks, wishes))
    _show(shown, written)
    return written


def _show(shown: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
    """What results held beside text, which the format has no place for in them: said by the user once all calls of the
    turn are answered, since nothing may come between these answers."""
    if shown:
        written.append({"role": "user", "content": list(shown)})
        shown.clear()


def _write_message(message: Message, quirks: Quirks, wishes: Wishes) -> dict[str, Any]:
    role: Role = message.role
    if role == "developer" and not quirks.developer_role:
        role = "system"
    body: dict[str, Any] = {"role": role}
    content = message.content
    if isinstance(content, str):
        body["content"] = content
    elif role == "assistant":
        _write_assistant(content, body, wishes)
    else:
        body["content"] = [piece for part in content if (piece := _write_part(part, wishes)) is not None]
    if message.name is not None:
        body["name"] = message.name
    if message.extra:
        body.update(message.extra.get(FORMAT, {}))
    if role == "assistant":
        write_thoughts(message, quirks, body)
    return body


def _write_assistant(parts: list[Part], body: dict[str, Any], wishes: Wishes) -> None:
    pieces: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, ToolCall):
            own = (part.extra or {}).get(FORMAT, {})
            function = {"name": part.name, "arguments": part.arguments or "{}"}
            calls.append({"id": part.id, "type": "function", "function": function, **own})
        elif isinstance(part, Refusal):
            body["refusal"] = part.text
        elif not isinstance(part, Thinking):  # Of these, `write_thoughts`.
            piece = _write_part(part, wishes)
            if piece is not None:
                pieces.append(piece)
    if len(pieces) == 1 and pieces[0].keys() == {"type", "text"}:
        body["content"] = pieces[0]["text"]
    elif pieces:
        body["content"] = pieces
    elif not calls:
        body["content"] = ""
    if calls:
        body["tool_calls"] = calls


def _write_results(message: Message, shown: list[dict[str, Any]], wishes: Wishes) -> list[dict[str, Any]]:
    if isinstance(message.content, str):
        wishes.cannot("a tool message without a call's id", "use ToolResult parts")
        return []
    written: list[dict[str, Any]] = []
    for part in message.content:
        if not isinstance(part, ToolResult):
            wishes.cannot(f"{type(part).__name__} in a tool message")
            continue
        content: Any = part.content
        if not isinstance(content, str):
            content = _write_result(part.call_id, content, shown, wishes)
        body = {"role": "tool", "tool_call_id": part.call_id, "content": content}
        if message.name is not None:
            body["name"] = message.name
        if message.extra:
            body.update(message.extra.get(FORMAT, {}))
        written.append(body)
    return written


def _write_result(
    call_id: str, parts: list[Part], shown: list[dict[str, Any]], wishes: Wishes
) -> list[dict[str, Any]]:
    """The text of a result; anything else in it is added to `shown`."""
    pieces: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for part in parts:
        piece = _write_part(part, wishes)
        if piece is not None:
            (pieces if piece.get("type") == "text" else others).append(piece)
    if others:
        shown += [{"type": "text", "text": f"The tool call {call_id} gave:"}, *others]
        if not pieces:
            pieces.append({"type": "text", "text": "The result follows in the next message of the user."})
    return pieces


def _write_part(part: Part, wishes: Wishes) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text, **(part.extra or {}).get(FORMAT, {})}
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data or ''}"
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        return {"type": "image_url", "image_url": image, **(part.extra or {}).get(FORMAT, {})}
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Opaque) and part.format == FORMAT:
        return part.payload
    if isinstance(part, File):
        return _write_file(part, wishes)
    if isinstance(part, Audio):
        return _write_audio(part, wishes)
    if not isinstance(part, Thinking):
        what = f"a part of the format {part.format}" if isinstance(part, Opaque) else type(part).__name__
        wishes.cannot(what)
    return None


def _write_file(file: File, wishes: Wishes) -> dict[str, Any] | None:
    text = told_as_text(file)
    if text is not None:
        return {"type": "text", "text": text}
    held = inline_data(file)
    if held is None:
        wishes.cannot("a document at a URL", "send its content")
        return None
    data = data_url(held.content, held.media_type or PDF)
    told = {"filename": file.name or "document.pdf", "file_data": data}
    return {"type": "file", "file": told, **(file.extra or {}).get(FORMAT, {})}


def _write_audio(audio: Audio, wishes: Wishes) -> dict[str, Any] | None:
    word = next((word for word, kind in AUDIO_WORDS.items() if kind == audio.media_type), None)
    if word is None and (audio.media_type or "").startswith("audio/"):
        word = (audio.media_type or "").removeprefix("audio/")
    if audio.data is None or word is None:
        wishes.cannot("sound at a URL, or of no stated type", "send its content, as WAV or MP3")
        return None
    told = {"data": audio.data, "format": word}
    return {"type": "input_audio", "input_audio": told, **(audio.extra or {}).get(FORMAT, {})}
