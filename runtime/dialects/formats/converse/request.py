"""A canonical request as a body of Converse.

The format's limits, as they are met here:

- what no field is for is told to some families of models in their own words (`families`), and cannot be told to others;
- tools cannot be switched off while the conversation holds calls of them, nor left undeclared then;
- JSON can be asked for by a schema only; one answer is all there is; there are neither seeds, penalties nor
  log probabilities, and calls cannot be kept from being parallel;
- `user` has no field and is dropped without a word, since it says nothing about the answer.

`Request.extra["converse"]` (`guardrailConfig`, `performanceConfig`, `serviceTier`, `requestMetadata`, ...) is sent as it
stands, and its `additionalModelRequestFields` beside those that are made here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import JsonOutput, Request, Tool
from ...wishes import Wishes
from . import FORMAT
from .families import Family, cache_points, write_further
from .turns import holds_tools, write_turns

__all__ = ["write"]

_FURTHER: Final = "additionalModelRequestFields"
_PLAIN: Final = (("max_tokens", "maxTokens"), ("temperature", "temperature"), ("top_p", "topP"))
_UNKNOWN: Final = ("seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")
_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def write(
    request: Request, model: str, family: Family, *, lenient: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    system, turns = write_turns(request.messages, wishes, cache_points=cache_points(family))
    body: dict[str, Any] = {"messages": turns}
    if system:
        body["system"] = system
    settings = {theirs: value for ours, theirs in _PLAIN if (value := getattr(request, ours)) is not None}
    if request.stop:
        settings["stopSequences"] = request.stop
    if settings:
        body["inferenceConfig"] = settings
    _write_tools(request, turns, body, wishes)
    if request.output is not None:
        _write_output(request.output, body, wishes)
    for name in _UNKNOWN:
        if getattr(request, name):
            wishes.cannot(name, "leave it out")
    if request.n is not None and request.n != 1:
        wishes.cannot("n above 1", "ask several times")
    further = write_further(request, model, family, wishes)
    own = request.extra.get(FORMAT, {})
    body.update(own)
    if further:
        theirs = own.get(_FURTHER)
        body[_FURTHER] = {**further, **theirs} if isinstance(theirs, dict) else further
    wishes.of_others(request.extra, FORMAT)
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _write_tools(request: Request, turns: list[dict[str, Any]], body: dict[str, Any], wishes: Wishes) -> None:
    tools, choice = request.tools, request.tool_choice
    if request.parallel_tool_calls is False and tools:
        wishes.cannot("parallel_tool_calls: false", "leave it out")
    if choice is not None and choice.mode == "none":
        if tools and holds_tools(turns):
            wishes.cannot("tool_choice none after calls of tools", "leave it out")
        else:
            tools = []
    if not tools:
        if holds_tools(turns):
            wishes.cannot("a conversation with calls of tools and without the tools", "send the tools too")
        return
    config: dict[str, Any] = {"tools": [_tool(tool, wishes) for tool in tools]}
    if choice is not None and choice.mode == "required":
        config["toolChoice"] = {"any": {}}
    elif choice is not None and choice.mode == "named":
        config["toolChoice"] = {"tool": {"name": choice.name}}
    body["toolConfig"] = config


def _tool(tool: Tool, wishes: Wishes) -> dict[str, Any]:
    other = next((name for name in tool.extra or {} if name != FORMAT), None)
    if other is not None and tool.parameters is None and tool.description is None:
        wishes.cannot(f"the tool {tool.name!r} of the format {other}")
    told: dict[str, Any] = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    told["inputSchema"] = {"json": _NO_PARAMETERS if tool.parameters is None else tool.parameters}
    if tool.strict:
        told["strict"] = True
    return {"toolSpec": told}


def _write_output(output: JsonOutput, body: dict[str, Any], wishes: Wishes) -> None:
    if output.schema is None:
        wishes.cannot("JSON output without a schema", "give a schema, or ask for it in the text")
        return
    schema: dict[str, Any] = {
        "name": output.name or "answer",
        # Not an object, but its text.
        "schema": msgspec.json.encode(output.schema).decode(),
    }
    if output.description:
        schema["description"] = output.description
    body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
