"""A request body in the messages format: `read` from a client, `write` for a vendor.

What Anthropic has no word for is refused: seeds, several answers, log probabilities, penalties, temperatures above 1,
JSON without a schema (unless `dialects.by_call` can ask for it). The name, description and strictness of a wanted JSON schema are left out: they do not
change what is asked for, since Anthropic keeps to every schema. `Request.extra["messages"]` is merged in: its `tools`
after the functions, its `metadata` and `output_config` field by field, and every other field unless the
canon has said it already. Its `betas` are a header and not a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ....canon import JsonOutput, Request, Tool
from ...wishes import Wishes
from . import FORMAT
from .blocks import own_fields
from .reading import ClientRequest, InvalidBody, read
from .thinking import Way, way_of, write_thinking
from .turns import split_system, write_turns

__all__ = ["DEFAULT_MAX_TOKENS", "ClientRequest", "InvalidBody", "read", "write"]

DEFAULT_MAX_TOKENS: Final = 4096
"""Tokens that an answer may have where the caller named no bound: Anthropic wants one in every request. It is what
every model can do, Claude 3 included."""

_TOOL_MODES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def write(
    request: Request,
    model: str,
    *,
    stream: bool,
    opening: Mapping[str, Any] | None = None,
    default_max_tokens: int = DEFAULT_MAX_TOKENS,
    thinking: Way | None = None,
    system_turns: bool = False,
    structured: bool = True,
    lenient: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the names of what was dropped. Raises `Unsupported` unless `lenient`.

    `model` is the vendor's name of the model; `opening` what the body begins with, if not with that; `thinking` how it is
    told to think, None: as its name suggests; `system_turns` whether it takes system messages within the conversation,
    `structured` whether it can be bound to a schema.
    """
    wishes = Wishes(lenient=lenient)
    bound = request.max_tokens
    body: dict[str, Any] = {"model": model} if opening is None else {**opening}
    body["max_tokens"] = default_max_tokens if bound is None else bound
    system, messages = split_system(request.messages, wishes)
    if system is not None:
        body["system"] = system
    body["messages"] = write_turns(messages, wishes, system_turns=system_turns)
    _sampling(request, body, wishes)
    if request.tools:
        _tools(request.tools, body, wishes)
    if request.reasoning is not None:
        write_thinking(request.reasoning, thinking or way_of(model), body, bound, wishes)
    if request.output is not None:
        _output(request.output, body, wishes, structured)
    _extra(request.extra, body, wishes)
    _tool_choice(request, body)
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body), tuple(dict.fromkeys(wishes.dropped))


def _sampling(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    if request.temperature is not None:
        if request.temperature > 1:
            wishes.cannot("temperature above 1", "Anthropic's temperatures end at 1")
        else:
            body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.n not in (None, 1):
        wishes.cannot("n", "send the request several times")
    if request.seed is not None:
        wishes.cannot("seed", "leave it out")
    for name in ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"):
        # A penalty of 0 and log probabilities that are not wanted ask for nothing.
        if getattr(request, name):
            wishes.cannot(name, "leave it out")


def _tools(tools: list[Tool], body: dict[str, Any], wishes: Wishes) -> None:
    written = [_tool(tool) for tool in wishes.functions(tools, FORMAT)]
    if written:
        body["tools"] = written


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": tool.name,
        "input_schema": {"type": "object", "properties": {}} if not tool.parameters else tool.parameters,
    }
    if tool.description is not None:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return {**written, **own_fields(tool.extra)}


def _tool_choice(request: Request, body: dict[str, Any]) -> None:
    """The choice, which may only be given beside tools; `auto` and `none` say nothing without any."""
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    mode = "auto" if choice is None else choice.mode
    if mode in ("auto", "none") and not (body.get("tools") or body.get("mcp_servers")):
        return
    if choice is None and parallel is None:
        return
    written: dict[str, Any] = {"type": _TOOL_MODES[mode]}
    if choice is not None and mode == "named":
        written["name"] = choice.name or ""
    if parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not parallel
    body.setdefault("tool_choice", written)


def _output(output: JsonOutput, body: dict[str, Any], wishes: Wishes, structured: bool) -> None:
    """What could not be asked for by a call (`dialects.by_call`), or need not."""
    if output.schema is None:
        wishes.cannot("JSON without a schema, beside tools or reasoning", "give a JSON schema")
        return
    if not structured:
        wishes.cannot("a JSON schema beside tools or reasoning", "leave these out, or choose a newer model")
        return
    wanted = {"type": "json_schema", "schema": output.schema}
    body["output_config"] = {**body.get("output_config", {}), "format": wanted}


def _extra(extra: dict[str, dict[str, Any]], body: dict[str, Any], wishes: Wishes) -> None:
    for name, value in extra.get(FORMAT, {}).items():
        if name == "tools" and isinstance(value, list):
            body["tools"] = [*body.get("tools", ()), *value]
        elif name in ("metadata", "output_config") and isinstance(value, dict):
            body[name] = {**value, **body.get(name, {})}
        elif name not in ("betas", "stream"):
            body.setdefault(name, value)
    wishes.of_others(extra, FORMAT)
