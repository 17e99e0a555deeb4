"""How much a model shall think, as each generation of Anthropic's models is told.

From Claude 4.6 on a model decides for itself (`adaptive`) and is given an effort. Before that, from 3.7 on, it is
given a budget of tokens, and an effort is translated:

| effort | minimal | low | medium | high | xhigh, max |
|---|---|---|---|---|---|
| budget | 1024 | 2048 | 8192 | 16384 | 24576 |

The budget counts within `max_tokens`. One that was translated from an effort is cut to three quarters of the
caller's `max_tokens`; one that the caller named is never changed. Where the caller named no `max_tokens`, the
default is added to the budget. Still older models cannot think. 24576 and the default together stay below
the 32000 tokens that Claude Opus 4 may answer.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from ....canon import Reasoning
from ...wishes import Wishes

__all__ = ["EFFORTS", "Way", "way_of", "write_thinking"]

Way = Literal["adaptive", "budget", "none"]
"""How a model is told to think."""

EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
"""Efforts as vendors call them -> Anthropic's. `none` turns thinking off."""

_BUDGETS: Final = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 24576,
}
_SMALLEST: Final = 1024
_BUDGET_MODELS: Final = re.compile(
    r"claude-(?:3-7|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?=$|[-@](?:\d{8}|latest)|-v\d))"
)
_SIMPLE_MODELS: Final = re.compile(r"claude-(?:2|instant|3-(?:5|opus|sonnet|haiku))")


def way_of(model: str) -> Way:
    """How `model` is told to think, by its name; a name that is not known counts as new."""
    if _BUDGET_MODELS.search(model):
        return "budget"
    return "none" if _SIMPLE_MODELS.search(model) else "adaptive"


def write_thinking(
    reasoning: Reasoning, way: Way, body: dict[str, Any], bound: int | None, wishes: Wishes
) -> None:
    """Put `thinking`, `output_config.effort` and, if `bound` (the caller's `max_tokens`) is None, room into `body`."""
    effort, budget = reasoning.effort, reasoning.budget_tokens
    if effort not in (None, "none", *EFFORTS):
        wishes.cannot(f"reasoning effort {effort!r}", f"say one of none, {', '.join(EFFORTS)}")
        return
    if budget == 0 or (effort == "none" and budget is None):
        if way != "none":
            body["thinking"] = {"type": "disabled"}
        _effort(effort, body, way)
        return
    if way == "none":
        wishes.cannot("reasoning", "this model cannot think; choose one from Claude 3.7 on")
        return
    named = budget is not None and budget > 0
    if named or (way == "budget" and not reasoning.adaptive):
        tokens = budget if named and budget is not None else _translated(effort, bound)
        if not _fits(tokens, bound, wishes):
            return
        if bound is None:
            body["max_tokens"] += tokens
        body["thinking"] = {"type": "enabled", "budget_tokens": tokens}
    else:
        body["thinking"] = {"type": "adaptive"}
    if reasoning.include is not None:
        body["thinking"]["display"] = "summarized" if reasoning.include else "omitted"
    if named or way == "adaptive" or reasoning.adaptive:
        _effort(effort, body, way)


def _translated(effort: str | None, bound: int | None) -> int:
    tokens = _BUDGETS[effort or "medium"]
    return tokens if bound is None else min(tokens, bound * 3 // 4)


def _fits(tokens: int, bound: int | None, wishes: Wishes) -> bool:
    if tokens < _SMALLEST:
        wishes.cannot("a reasoning budget below 1024 tokens", "raise the budget, or max_tokens")
        return False
    if bound is not None and tokens >= bound:
        wishes.cannot("a reasoning budget that leaves no tokens for the answer", "raise max_tokens")
        return False
    return True


def _effort(effort: str | None, body: dict[str, Any], way: Way) -> None:
    if effort not in (None, "none") and way != "none":
        body["output_config"] = {"effort": EFFORTS[effort or ""]}
