"""A body of `generateContent` as a canonical request.

Both spellings of a field are read. What has no canonical word is kept to the letter, so that the request
can be written again in this format: parts as `Opaque`, further fields of parts and tools in their own
`extra`, everything else in `Request.extra["generate_content"]`. Not kept, since they mean nothing: fields that
are null, `thought: false`, the role of the system instruction, and a `model` (the URL names it).

For other vendors some of it has no counterpart: a choice among several allowed functions becomes
`required`, the calling mode VALIDATED becomes `auto`.
"""

from __future__ import annotations

from typing import Any, Final

from ....canon import JsonOutput, Message, Opaque, Reasoning, Request, Text, Tool, ToolChoice
from ...base import InvalidBody
from ...untrusted import MOST_OUTPUT, Unreadable, read_json
from .names import camel_keys
from .schema import json_schema
from .turns import TurnReader
from .wire import FORMAT, MOST_CANDIDATES

__all__ = ["read", "read_body", "read_count"]


def read(body: dict[str, Any], *, model: str) -> Request:
    """The request in `body`, as `untrusted.read_json` gives it; `model` is the one that the URL names.

    Raises `ValueError`, naming the field, where the body is not of this format.
    """
    fields = camel_keys(body)
    fields.pop("model", None)
    system = _system(fields.pop("systemInstruction", None))
    turns = TurnReader().read(_list(fields.pop("contents", None), "contents"))
    tools, others = _tools(fields.pop("tools", None))
    if others:
        fields["tools"] = others
    choice = _tool_choice(fields)
    config = camel_keys(_object(fields.pop("generationConfig", None), "generationConfig"))
    said = _plain(config)
    said["output"] = _output(config)
    said["reasoning"] = _reasoning(config)
    if config:
        fields["generationConfig"] = config
    return Request(
        model=model,
        messages=[*system, *turns],
        tools=tools,
        tool_choice=choice,
        extra={FORMAT: fields} if fields else {},
        **said,
    )


def read_body(body: bytes, *, model: str) -> Request:
    """A client's request. Raises `InvalidBody`."""
    return _checked(_parsed(body), model)


def read_count(body: bytes, *, model: str) -> Request:
    """A client's `countTokens`: the request that is to be counted, which may stand in `generateContentRequest`.

    Raises `InvalidBody`.
    """
    raw = _parsed(body)
    inner = camel_keys(raw).get("generateContentRequest")
    return _checked(inner if isinstance(inner, dict) else raw, model)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    return raw


def _checked(raw: dict[str, Any], model: str) -> Request:
    try:
        request = read(raw, model=model)
    except ValueError as error:
        raise InvalidBody(str(error)) from error
    if all(message.role == "system" for message in request.messages):
        raise InvalidBody("contents: at least one content is needed", "contents")
    return request


def _object(value: object, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _list(value: object, name: str) -> list[dict[str, Any]]:
    """A list of objects; one object alone stands for a list of one, as in Google's own JSON reader."""
    items: list[Any] = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{name} is not a list of objects")
    return items


def _system(value: object) -> list[Message]:
    parts: list[Any] = []
    for part in _list(
        camel_keys(_object(value, "systemInstruction")).get("parts"), "systemInstruction.parts"
    ):
        text = part.get("text")
        known = isinstance(text, str) and not part.keys() - {"text", "thought"}
        parts.append(Text(str(text)) if known else Opaque(FORMAT, part))
    return [Message("system", parts)] if parts else []


# --- tools --------------------------------------------------------------------------------------


def _tools(value: object) -> tuple[list[Tool], list[dict[str, Any]]]:
    """The functions, and the tools of Google's own that stood beside them."""
    tools: list[Tool] = []
    others: list[dict[str, Any]] = []
    for raw in _list(value, "tools"):
        item = camel_keys(raw)
        declarations = _list(item.pop("functionDeclarations", None), "functionDeclarations")
        tools.extend([_tool(camel_keys(declaration)) for declaration in declarations])
        if item:
            others.append(item)
    return tools, others


def _tool(fields: dict[str, Any]) -> Tool:
    name = fields.pop("name", None)
    if not isinstance(name, str):
        raise ValueError("a function declaration has no name")
    description = fields.pop("description", None)
    parameters = fields.pop("parametersJsonSchema", None)
    if parameters is None:
        parameters = json_schema(fields.get("parameters"))
    if description is not None and not isinstance(description, str):
        raise ValueError(f"the description of the function {name!r} is not a text")
    if parameters is not None and not isinstance(parameters, dict):
        raise ValueError(f"the parameters of the function {name!r} are not an object")
    return Tool(name, description, parameters, extra={FORMAT: fields} if fields else None)


_MODES: Final = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}


def _tool_choice(fields: dict[str, Any]) -> ToolChoice | None:
    """The canonical choice; what it does not say in full stays in `fields` as it came."""
    config = camel_keys(_object(fields.pop("toolConfig", None), "toolConfig"))
    calling = camel_keys(_object(config.pop("functionCallingConfig", None), "functionCallingConfig"))
    mode = str(calling.get("mode", "")).upper()
    names = calling.get("allowedFunctionNames") or []
    choice: ToolChoice | None = None
    if mode in _MODES:
        choice = ToolChoice(_MODES[mode])  # type: ignore[arg-type]  # the table's words are the canon's
    if mode == "ANY" and isinstance(names, list) and len(names) == 1 and isinstance(names[0], str):
        choice = ToolChoice("named", names[0])
    elif calling and (mode not in _MODES or mode == "VALIDATED" or names):
        config["functionCallingConfig"] = calling
    if config:
        fields["toolConfig"] = config
    return choice


# --- generationConfig ---------------------------------------------------------------------------

_NUMBER: Final = (int, float)
_LARGEST: Final = 2**63 - 1
_BOUNDS: Final = {"max_tokens": MOST_OUTPUT, "n": MOST_CANDIDATES}
"""Bounds from 1 of what tokens are reserved by; a number beyond is left in its place, for the vendor to refuse."""
_PLAIN: Final[tuple[tuple[str, str, type | tuple[type, ...]], ...]] = (
    ("maxOutputTokens", "max_tokens", int),
    ("temperature", "temperature", _NUMBER),
    ("topP", "top_p", _NUMBER),
    ("topK", "top_k", _NUMBER),
    ("seed", "seed", int),
    ("candidateCount", "n", int),
    ("presencePenalty", "presence_penalty", _NUMBER),
    ("frequencyPenalty", "frequency_penalty", _NUMBER),
    ("responseLogprobs", "logprobs", bool),
    ("logprobs", "top_logprobs", int),
)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Takes the fields with a canonical word out of `config`; one of a wrong type is left for the vendor to judge."""
    said: dict[str, Any] = {}
    for field, name, kind in _PLAIN:
        value = config.get(field)
        number = isinstance(value, int | float) and not isinstance(value, bool) and _sane(name, value)
        if isinstance(value, kind) and (kind is bool or number):
            said[name] = config.pop(field)
    top_k = said.get("top_k")
    if isinstance(top_k, float):
        said["top_k"] = int(top_k)
    stops = config.get("stopSequences")
    if isinstance(stops, list) and all(isinstance(stop, str) for stop in stops):
        said["stop"] = config.pop("stopSequences")
    return said


def _sane(name: str, value: float) -> bool:
    """Whether a number is one that the rest of the house can calculate with."""
    if name in _BOUNDS:
        return 1 <= value <= _BOUNDS[name]
    return -_LARGEST <= value <= _LARGEST and (name != "top_k" or float(value).is_integer())


def _output(config: dict[str, Any]) -> JsonOutput | None:
    if config.get("responseMimeType") != "application/json":
        return None
    del config["responseMimeType"]
    schema = config.pop("responseJsonSchema", None)
    if schema is None:
        schema = json_schema(config.get("responseSchema"))
    if schema is not None and not isinstance(schema, dict):
        raise ValueError("the schema of the response is not an object")
    return JsonOutput(schema)


def _reasoning(config: dict[str, Any]) -> Reasoning | None:
    thinking = camel_keys(_object(config.pop("thinkingConfig", None), "thinkingConfig"))
    level, budget, include = (
        thinking.pop(name, None) for name in ("thinkingLevel", "thinkingBudget", "includeThoughts")
    )
    if budget is not None and (type(budget) is not int or not -_LARGEST <= budget <= _LARGEST):
        raise ValueError("thinkingConfig.thinkingBudget is not a whole number")
    if include is not None and not isinstance(include, bool):
        raise ValueError("thinkingConfig.includeThoughts is not true or false")
    reasoning = Reasoning(
        effort=level.lower() if isinstance(level, str) and level != "THINKING_LEVEL_UNSPECIFIED" else None,
        budget_tokens=budget,
        include=include,
    )
    if thinking:
        config["thinkingConfig"] = thinking
    return reasoning if reasoning != Reasoning() else None
