"""A request body in the responses format: `read` from a client, `write` for a vendor.

What the format has no word for is refused: stop sequences, seeds, several answers, penalties, `top_k`, budgets for
reasoning. `Request.extra["responses"]` is merged in: its `tools` after the functions, its `text`, `reasoning` and
`include` beside what the canon says, and every other field unless the canon has said it already.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....canon import JsonOutput, Reasoning, Request, Tool, ToolChoice
from ...wishes import Wishes
from . import FORMAT
from .input import own_fields, write_items
from .options import Options, seals_thoughts
from .reading import LOGPROBS, SEALED, SUMMARY, ClientRequest, InvalidBody, read

__all__ = ["ClientRequest", "InvalidBody", "read", "write"]

_SAME: Final = ("parallel_tool_calls", "temperature", "top_p", "user")
_NOT_SAID: Final = ("top_k", "seed", "presence_penalty", "frequency_penalty")
_DROPPED: Final = frozenset({"stream", "store", SUMMARY})


def write(
    request: Request, model: str, options: Options, *, stream: bool, lenient: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    body: dict[str, Any] = {"model": model, "input": write_items(request.messages, wishes)}
    tools = [_tool(tool) for tool in wishes.functions(request.tools, FORMAT)]
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None and (tools or not request.tools):
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.output is not None:
        body["text"] = {"format": _output(request.output)}
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    for name in _SAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    _sampling(request, body, wishes)
    extra = request.extra.get(FORMAT, {})
    if request.reasoning is not None:
        _reasoning(request.reasoning, extra.get(SUMMARY), body, wishes)
    _extra(extra, body)
    wishes.of_others(request.extra, FORMAT)
    for name in options.refuses:
        if body.pop(name, None) is not None:
            wishes.refused(name, FORMAT)
    _ours(body, model, options)
    if stream:
        body["stream"] = True
    return msgspec.json.encode(body), tuple(dict.fromkeys(wishes.dropped))


def _sampling(request: Request, body: dict[str, Any], wishes: Wishes) -> None:
    if request.top_logprobs:
        body["top_logprobs"] = request.top_logprobs
    if request.logprobs:
        body["include"] = [LOGPROBS]
    if request.stop:
        wishes.cannot("stop", "leave it out, or send the request to a vendor that has it")
    if request.n not in (None, 1):
        wishes.cannot("n", "send the request several times")
    for name in _NOT_SAID:
        # A penalty of 0 asks for nothing; a seed of 0 is a seed.
        value = getattr(request, name)
        if value is not None and (value or name == "seed"):
            wishes.cannot(name, "leave it out, or send the request to a vendor that has it")


def _tool(tool: Tool) -> dict[str, Any]:
    own = (tool.extra or {}).get(FORMAT)
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    written["parameters"] = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters  # fmt: skip
    if tool.strict is not None:
        written["strict"] = tool.strict
    elif own is None:
        # Functions are strict here unless it is said that they are not; in other formats it is the other way round.
        written["strict"] = False
    return {**written, **own_fields(tool.extra)}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "named":
        return {"type": "function", "name": choice.name}
    return choice.mode


def _output(output: JsonOutput) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    wanted: dict[str, Any] = {
        "type": "json_schema",
        "name": output.name or "answer",
        "schema": output.schema,
    }
    if output.description is not None:
        wanted["description"] = output.description
    if output.strict is not None:
        wanted["strict"] = output.strict
    return wanted


def _reasoning(reasoning: Reasoning, summary: Any, body: dict[str, Any], wishes: Wishes) -> None:
    wanted: dict[str, Any] = {}
    if reasoning.effort is not None:
        wanted["effort"] = reasoning.effort
    elif reasoning.budget_tokens == 0:
        wanted["effort"] = "none"
    elif (reasoning.budget_tokens or 0) > 0:
        wishes.cannot("reasoning budget", "say an effort instead")
    if summary or reasoning.include:
        wanted["summary"] = summary or "auto"
    if wanted:
        body["reasoning"] = wanted


def _extra(extra: dict[str, Any], body: dict[str, Any]) -> None:
    for name, value in extra.items():
        if name in ("tools", "include") and isinstance(value, list):
            body[name] = [*body.get(name, ()), *value]
        elif name in ("text", "reasoning") and isinstance(value, dict):
            body[name] = {**value, **body.get(name, {})}
        elif name not in _DROPPED:
            body.setdefault(name, value)


def _ours(body: dict[str, Any], model: str, options: Options) -> None:
    """What we ask for in any case, where the vendor knows it: that nothing is kept, and thoughts under seal."""
    if "store" not in options.refuses:
        body["store"] = options.store
    sealed = seals_thoughts(model) if options.sealed_thoughts is None else options.sealed_thoughts
    if sealed and "include" not in options.refuses:
        body["include"] = [*body.get("include", ()), SEALED]
