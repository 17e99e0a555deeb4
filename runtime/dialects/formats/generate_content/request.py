"""A canonical request as a body of `generateContent`.

The format's limits, as they are met here:

- there is one system instruction, so system messages keep their order but lose their place among the turns;
- `user` has no field and is dropped without a word, since it says nothing about the answer;
- a tool cannot be marked strict: that becomes the calling mode `VALIDATED`, which checks all calls;
- calls cannot be kept from being parallel.

`Request.extra["generate_content"]` is merged in: its `generationConfig` and `toolConfig` field by field
(what the canon says wins, except over a `responseSchema` and a `functionCallingConfig` of the format's own),
its `tools` after the functions, every other field as it stands.
"""

from __future__ import annotations

from typing import Any

from ....canon import Request, Tool, ToolChoice
from ...wishes import Wishes
from .config import generation_config
from .contents import contents_of, system_of
from .names import camel_keys
from .wire import FORMAT

__all__ = ["write"]


def write(
    request: Request, model: str, *, lenient: bool = False, thinking: str | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for `request` and the names of what was dropped from it.

    `model` is the vendor's name of the model, `thinking` (`level` or `budget`) how it is told to think;
    None: as its name suggests. Raises `Unsupported` unless `lenient`.
    """
    wishes = Wishes(lenient=lenient)
    extra = camel_keys(request.extra.get(FORMAT) or {})
    body: dict[str, Any] = {"contents": contents_of(request.messages, model, wishes)}
    system = system_of(request.messages, wishes)
    if system:
        body["systemInstruction"] = {"parts": system}
    tools = _tools(wishes.functions(request.tools, FORMAT), extra.pop("tools", None))
    if tools:
        body["tools"] = tools
    given = _fields(extra, "toolConfig")
    choice = {} if "functionCallingConfig" in given else _tool_config(request, bool(tools))
    _put(body, "toolConfig", {**given, **choice})
    given = _fields(extra, "generationConfig")
    config = generation_config(request, model, thinking, wishes)
    if "responseSchema" in given:
        config.pop("responseJsonSchema", None)
    _put(body, "generationConfig", {**given, **config})
    if request.parallel_tool_calls is False and request.tools:
        wishes.cannot("parallel_tool_calls: false", "leave it out")
    for name, value in extra.items():
        body.setdefault(name, value)
    wishes.of_others(request.extra, FORMAT)
    return body, tuple(dict.fromkeys(wishes.dropped))


def _fields(extra: dict[str, Any], name: str) -> dict[str, Any]:
    given = extra.pop(name, None)
    return camel_keys(given) if isinstance(given, dict) else {}


def _put(body: dict[str, Any], name: str, fields: dict[str, Any]) -> None:
    if fields:
        body[name] = fields


def _tools(tools: list[Tool], others: object) -> list[Any]:
    found: list[Any] = [{"functionDeclarations": [_declaration(tool) for tool in tools]}] if tools else []
    if isinstance(others, list):
        found.extend(others)
    return found


def _declaration(tool: Tool) -> dict[str, Any]:
    own = (tool.extra or {}).get(FORMAT) or {}
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    if tool.parameters is not None and "parameters" not in own:
        declaration["parametersJsonSchema"] = tool.parameters
    return {**declaration, **own}


_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def _tool_config(request: Request, any_tools: bool) -> dict[str, Any]:
    choice = request.tool_choice
    strict = any(tool.strict for tool in request.tools)
    if choice is None or (choice.mode == "auto" and strict):
        return {"functionCallingConfig": {"mode": "VALIDATED"}} if strict else {}
    if not any_tools and choice.mode in ("auto", "none"):
        return {}
    return {"functionCallingConfig": _calling(choice)}


def _calling(choice: ToolChoice) -> dict[str, Any]:
    calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named" and choice.name:
        calling["allowedFunctionNames"] = [choice.name]
    return calling
