"""Whose model it is: what Converse has no field for is told to each maker's models in the maker's own words.

Such fields stand in `additionalModelRequestFields`:

| family | how much to think | `top_k` |
|---|---|---|
| `claude` | `thinking` (and `output_config`), as Anthropic's own interface has them | `top_k` |
| `nova` | `reasoningConfig`, from Nova 2 on | `inferenceConfig.topK` |
| `gpt-oss` | `reasoning_effort` | - |
| `other` | - | - |
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from ....canon import Reasoning, Request
from ...wishes import Wishes
from ..messages.thinking import way_of, write_thinking

__all__ = ["FAMILIES", "Family", "cache_points", "family_of", "write_further"]

Family = Literal["claude", "nova", "gpt-oss", "other"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)

_NOVA_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def family_of(model: str) -> Family:
    """The family of a model by its id, as far as the id shows it."""
    name = model.lower()
    return next((family for family in FAMILIES if family in name), "other")


def cache_points(family: Family) -> bool:
    """Whether its models take cache points. Others refuse a request that holds one."""
    return family in ("claude", "nova")


def write_further(request: Request, model: str, family: Family, wishes: Wishes) -> dict[str, Any]:
    """What goes into `additionalModelRequestFields`."""
    fields: dict[str, Any] = {}
    if request.top_k is not None:
        if family == "claude":
            fields["top_k"] = request.top_k
        elif family == "nova":
            fields["inferenceConfig"] = {"topK": request.top_k}
        else:
            wishes.cannot("top_k", "leave it out for this model")
    if request.reasoning is not None:
        _write_thinking(request, request.reasoning, model, family, fields, wishes)
    return fields


def _write_thinking(
    request: Request,
    reasoning: Reasoning,
    model: str,
    family: Family,
    fields: dict[str, Any],
    wishes: Wishes,
) -> None:
    if family == "claude":
        # Without a bound the model's own maximum counts here, so there is no room to be made.
        told: dict[str, Any] = {"max_tokens": 0}
        write_thinking(reasoning, way_of(model), told, request.max_tokens, wishes)
        fields.update({name: value for name, value in told.items() if name != "max_tokens"})
        return
    effort, budget = reasoning.effort, reasoning.budget_tokens
    if budget == 0 or (budget is None and effort == "none"):
        if family == "nova":
            fields["reasoningConfig"] = {"type": "disabled"}
        return
    if family == "other" or budget not in (None, -1) or effort not in (None, *_NOVA_EFFORTS):
        what = "reasoning" if family == "other" else "a reasoning budget"
        wishes.cannot(what, "leave it out for this model, or name an effort: low, medium or high")
        return
    told_effort = _NOVA_EFFORTS[effort or "medium"]
    if family == "nova":
        fields["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": told_effort}
    else:
        fields["reasoning_effort"] = told_effort
