"""`generationConfig`: sampling, limits, output and thinking.

Thinking is told in two units. Models from Gemini 3 on take a level, earlier ones a budget of tokens; a budget
is still read by all. The table from words to tokens is the one that Google documents for its
OpenAI-compatible endpoint (`reasoning_effort`); words that neither unit has are refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ....canon import Reasoning, Request
from ...wishes import Wishes

__all__ = ["generation_config", "takes_levels"]

_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS: Final = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}
_GENERATION: Final = re.compile(r"gemini-(\d+)")
_MOST_STOPS: Final = 5
"""Stop sequences that a request may hold (the `stopSequences` field's documentation)."""

_PLAIN: Final = (
    ("max_tokens", "maxOutputTokens"),
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("n", "candidateCount"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
    ("logprobs", "responseLogprobs"),
    ("top_logprobs", "logprobs"),
)


def takes_levels(model: str) -> bool:
    """Whether the model's name says that it is of the third generation or later."""
    found = _GENERATION.search(model)
    return found is not None and int(found.group(1)) >= 3


def generation_config(request: Request, model: str, thinking: str | None, wishes: Wishes) -> dict[str, Any]:
    """The fields of `generationConfig` that `request` asks for in canonical words."""
    config: dict[str, Any] = {}
    for name, field in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            config[field] = value
    if request.stop:
        config["stopSequences"] = _stops(request.stop, wishes)
    if request.output is not None:
        config["responseMimeType"] = "application/json"
        if request.output.schema is not None:
            config["responseJsonSchema"] = request.output.schema
    if request.reasoning is not None:
        levels = takes_levels(model) if thinking is None else thinking == "level"
        told = _thinking(request.reasoning, levels, wishes)
        if told:
            config["thinkingConfig"] = told
    return config


def _stops(stops: list[str], wishes: Wishes) -> list[str]:
    if len(stops) > _MOST_STOPS:
        wishes.cannot(f"more than {_MOST_STOPS} stop sequences", "name fewer")
    return stops[:_MOST_STOPS]


def _thinking(reasoning: Reasoning, levels: bool, wishes: Wishes) -> dict[str, Any]:
    told: dict[str, Any] = {}
    effort = reasoning.effort
    if effort is not None and (levels or reasoning.budget_tokens is None):
        unit: dict[str, Any] = _LEVELS if levels else _BUDGETS
        if effort in unit:
            told["thinkingLevel" if levels else "thinkingBudget"] = unit[effort]
        else:
            wishes.cannot(f"reasoning effort {effort!r}", f"use one of {', '.join(unit)}")
    elif reasoning.budget_tokens is not None:
        told["thinkingBudget"] = reasoning.budget_tokens
    elif reasoning.adaptive and not levels:
        told["thinkingBudget"] = -1
    if reasoning.include is not None:
        told["includeThoughts"] = reasoning.include
    return told
