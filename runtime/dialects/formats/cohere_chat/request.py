"""A canonical request as a body of `v2/chat`.

The format's limits, as they are met here:

- a tool cannot be named as the one to call: only that one is sent, and one must be called, which comes to the same;
- strictness is of all tools or of none, and JSON cannot be asked for together with tools or documents;
- `p` ends at 0.01 and 0.99, which what lies beyond becomes; there are at most five stop sequences;
- how much to think is a budget of tokens. Of the words for it `none` switches thinking off, `minimal`, `low` and
  `medium` have the budgets that Google documents for its own models, and higher ones none;
- calls cannot be kept from being parallel, one answer is all there is, and of each token only the log probability of
  itself is told;
- `user` has no field and is dropped without a word, since it says nothing about the answer.

`Request.extra["cohere_chat"]` (`documents`, `citation_options`, `safety_mode`, `priority`, ...) is sent as it stands.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import Reasoning, Request, Tool, ToolChoice
from ...wishes import Wishes
from . import FORMAT
from .turns import write_turns

__all__ = ["write"]

_PLAIN: Final = (
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("top_k", "k"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("logprobs", "logprobs"),
)
_LEAST_P: Final = 0.01
_MOST_P: Final = 0.99
_MOST_STOPS: Final = 5
_BUDGETS: Final[dict[str, int | None]] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": None,
    "xhigh": None,
    "max": None,
}
_NO_PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def write(
    request: Request, model: str, *, stream: bool, lenient: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    own = request.extra.get(FORMAT, {})
    body: dict[str, Any] = {"model": model, "messages": write_turns(request.messages, wishes)}
    _write_tools(request, body, wishes)
    _write_output(request, own, body, wishes)
    for name, theirs in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            body[theirs] = value
    if request.top_p is not None:
        body["p"] = min(max(request.top_p, _LEAST_P), _MOST_P)
    if request.stop:
        if len(request.stop) > _MOST_STOPS:
            wishes.cannot(f"more than {_MOST_STOPS} stop sequences")
        body["stop_sequences"] = request.stop[:_MOST_STOPS]
    _write_thinking(request.reasoning, body, wishes)
    if request.n is not None and request.n != 1:
        wishes.cannot("n above 1", "ask several times")
    if request.top_logprobs:
        wishes.cannot("top_logprobs", "ask for logprobs alone")
    body.update(own)
    wishes.of_others(request.extra, FORMAT)
    body["stream"] = stream
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _write_tools(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    if request.parallel_tool_calls is False and request.tools:
        wishes.cannot("parallel_tool_calls: false", "leave it out")
    functions = tools = wishes.functions(request.tools, FORMAT)
    choice = request.tool_choice
    if choice is not None and choice.mode == "named":
        tools = [tool for tool in tools if tool.name == choice.name]
        if not tools:
            wishes.cannot(f"a call of {choice.name!r}, which is none of the tools")
            tools, choice = functions, None
    if not tools:
        return
    body["tools"] = [_tool(tool) for tool in tools]
    strict = [tool for tool in tools if tool.strict]
    if strict:
        if len(strict) < len(tools):
            wishes.cannot("strictness of some tools alone", "mark all of them as strict, or none")
        else:
            body["strict_tools"] = True
    word = _choice(choice)
    if word is not None:
        body["tool_choice"] = word


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice | None) -> str | None:
    if choice is None or choice.mode == "auto":
        return None
    return "NONE" if choice.mode == "none" else "REQUIRED"


def _write_output(request: Request, own: dict[str, Any], body: dict[str, Any], wishes: Wishes) -> None:
    output = request.output
    if output is None:
        return
    if request.tools or own.get("documents"):
        wishes.cannot("JSON output together with tools or documents", "ask for one of them")
        return
    body["response_format"] = (
        {"type": "json_object"}
        if output.schema is None
        else {"type": "json_object", "json_schema": output.schema}
    )


def _write_thinking(reasoning: Reasoning | None, body: dict[str, Any], wishes: Wishes) -> None:
    if reasoning is None:
        return
    budget, word = reasoning.budget_tokens, reasoning.effort
    if budget == 0 or (budget is None and word == "none"):
        body["thinking"] = {"type": "disabled"}
        return
    if budget is None and word is not None:
        if word not in _BUDGETS:
            wishes.cannot(f"the reasoning effort {word!r}", f"use none, {', '.join(_BUDGETS)}")
            return
        budget = _BUDGETS[word]
    if budget is not None and budget > 0:
        body["thinking"] = {"type": "enabled", "token_budget": budget}
    elif word is not None or budget is not None or reasoning.adaptive:
        body["thinking"] = {"type": "enabled"}
