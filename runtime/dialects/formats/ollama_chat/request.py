"""A canonical request as a body of `api/chat`.

The format's limits, as they are met here:

- no tool can be demanded, and calls cannot be kept from being parallel; to allow none, none is sent;
- `think` is on or off; only gpt-oss is told how much (`low`, `medium`, `high`), and nobody how many tokens;
- one answer is all there is, and a token's bias cannot be said;
- a schema's name, and whether a tool's or an output's schema is strict, are left out: schemas for the output are always
  enforced, those of tools never;
- `user` has no field and is dropped without a word, since it says nothing about the answer.

`Request.extra["ollama_chat"]` (`keep_alive`, `template`, ...) is sent as it stands, and its `options` over those that
are made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ....canon import Reasoning, Request, Tool
from ...wishes import Wishes
from . import FORMAT
from .turns import write_turns

__all__ = ["write"]

_OPTIONS: Final = (
    ("max_tokens", "num_predict"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
)
_LEVELS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_LEVELLED: Final = "gpt-oss"
_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def write(
    request: Request,
    model: str,
    *,
    stream: bool,
    parameters: Mapping[str, Any],
    keep_alive: str | int | None = None,
    lenient: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a server, and what was dropped. Raises `Unsupported` unless `lenient`. `parameters`: Ollama's own options,
    such as `num_ctx`, for every request."""
    wishes = Wishes(lenient=lenient)
    own = request.extra.get(FORMAT, {})
    body: dict[str, Any] = {"model": model, "messages": write_turns(request.messages, wishes)}
    _write_tools(request, body, wishes)
    if request.output is not None:
        body["format"] = "json" if request.output.schema is None else request.output.schema
    if request.reasoning is not None:
        _write_thinking(request.reasoning, model, body, wishes)
    if request.logprobs or request.top_logprobs:
        body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
    if request.n is not None and request.n != 1:
        wishes.cannot("n above 1", "ask several times")
    options = {
        **parameters,
        **{theirs: value for ours, theirs in _OPTIONS if (value := getattr(request, ours)) is not None},
    }
    if request.stop:
        options["stop"] = request.stop
    theirs = own.get("options")
    if isinstance(theirs, dict):
        options.update(theirs)
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    body.update(own)
    if options:
        body["options"] = options
    wishes.of_others(request.extra, FORMAT)
    body["stream"] = stream
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _write_tools(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    choice = request.tool_choice
    if not request.tools or (choice is not None and choice.mode == "none"):
        return
    if request.parallel_tool_calls is False:
        wishes.cannot("parallel_tool_calls: false", "leave it out")
    if choice is not None and choice.mode != "auto":
        wishes.cannot("that a tool must be called", "ask for it in the text")
    body["tools"] = [_tool(tool, wishes) for tool in request.tools]


def _tool(tool: Tool, wishes: Wishes) -> dict[str, Any]:
    other = next((name for name in tool.extra or {} if name != FORMAT), None)
    if other is not None and tool.parameters is None and tool.description is None:
        wishes.cannot(f"the tool {tool.name!r} of the format {other}")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    return {"type": "function", "function": function}


def _write_thinking(reasoning: Reasoning, model: str, body: dict[str, Any], wishes: Wishes) -> None:
    effort, budget = reasoning.effort, reasoning.budget_tokens
    if budget is not None and budget > 0:
        wishes.cannot("a reasoning budget", "name an effort, or leave it out")
    elif budget == 0 or effort == "none":
        body["think"] = False
    elif effort is not None and effort not in _LEVELS:
        wishes.cannot(f"the reasoning effort {effort!r}", f"use none, {', '.join(_LEVELS)}")
    elif effort is not None and _LEVELLED in model:
        body["think"] = _LEVELS[effort]
    elif effort is not None or reasoning.include or reasoning.adaptive or budget == -1:
        body["think"] = True
