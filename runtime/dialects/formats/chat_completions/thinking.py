"""How much a model shall think, and what it thought before, as each vendor of the format is told.

OpenAI has a word for the first (`reasoning_effort`) and none for the second; the others have found their own. Ways to ask
(`Quirks.reasoning`):

| way | field | vendors |
|---|---|---|
| `effort` | `reasoning_effort` | OpenAI, Groq, Cerebras, xAI, Mistral, ... |
| `object` | `reasoning`, an object with `effort` or `max_tokens` | OpenRouter, Vercel |
| `switch` | `thinking`, on or off, and `reasoning_effort` | DeepSeek, z.ai |
| `flag` | `enable_thinking` and `thinking_budget` | Alibaba |
| `template` | `chat_template_kwargs.enable_thinking` | vLLM, llama.cpp |

Where only on and off can be said, any effort but `none` is on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ....canon import Message, Reasoning, Thinking
from ...wishes import Wishes
from . import FORMAT
from .quirks import Quirks, ReasoningWay

__all__ = ["write_reasoning", "write_thoughts"]

_FIELDS: Final = ("reasoning_content", "reasoning")
"""Names under which clients send back what a model thought."""

_Write = Callable[[Reasoning, dict[str, Any], Wishes], None]


def write_reasoning(
    reasoning: Reasoning | None, quirks: Quirks, body: dict[str, Any], wishes: Wishes
) -> None:
    """Put what is wished for into `body`."""
    if reasoning is not None:
        _WAYS[quirks.reasoning](reasoning, body, wishes)


def write_thoughts(message: Message, quirks: Quirks, body: dict[str, Any]) -> None:
    """Put what the model thought in an earlier turn into that turn's `body`, which holds the client's own fields."""
    if quirks.thoughts == "as_sent":
        return
    sent = [text for name in _FIELDS if isinstance(text := body.pop(name, None), str) and text]
    if quirks.thoughts == "drop":
        return
    parts = message.content if isinstance(message.content, list) else []
    # A seal is another format's, and so is what it closes.
    own = [part.text for part in parts if isinstance(part, Thinking) and part.format in (None, FORMAT)]
    text = "".join(own) or "".join(sent[:1])
    if text:
        body[quirks.thoughts] = text


def _is_off(reasoning: Reasoning) -> bool:
    budget = reasoning.budget_tokens
    return budget == 0 or (budget is None and reasoning.effort == "none")


def _is_on(reasoning: Reasoning) -> bool:
    return bool(reasoning.effort or reasoning.budget_tokens or reasoning.adaptive or reasoning.include)


def _effort(reasoning: Reasoning, body: dict[str, Any], wishes: Wishes) -> None:
    if reasoning.effort is not None:
        body["reasoning_effort"] = reasoning.effort
    elif reasoning.budget_tokens is not None or reasoning.adaptive:
        wishes.cannot("reasoning budget", "say an effort instead")


def _object(reasoning: Reasoning, body: dict[str, Any], wishes: Wishes) -> None:
    _ = wishes
    told: dict[str, Any] = {}
    if _is_off(reasoning):
        told["effort"] = "none"
    elif reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        told["max_tokens"] = reasoning.budget_tokens
    elif reasoning.effort is not None:
        told["effort"] = reasoning.effort
    elif _is_on(reasoning):
        told["enabled"] = True
    if reasoning.include is False:
        told["exclude"] = True
    if told:
        body["reasoning"] = told


def _switch(reasoning: Reasoning, body: dict[str, Any], wishes: Wishes) -> None:
    if _is_off(reasoning):
        body["thinking"] = {"type": "disabled"}
        return
    if reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        wishes.cannot("reasoning budget", "say an effort instead")
    if _is_on(reasoning):
        body["thinking"] = {"type": "enabled"}
    if reasoning.effort is not None:
        body["reasoning_effort"] = reasoning.effort


def _flag(reasoning: Reasoning, body: dict[str, Any], wishes: Wishes) -> None:
    _ = wishes
    off = _is_off(reasoning)
    if off or _is_on(reasoning):
        body["enable_thinking"] = not off
    if reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        body["thinking_budget"] = reasoning.budget_tokens


def _template(reasoning: Reasoning, body: dict[str, Any], wishes: Wishes) -> None:
    off = _is_off(reasoning)
    if reasoning.budget_tokens is not None and reasoning.budget_tokens > 0:
        wishes.cannot("reasoning budget", "leave it out")
    if off or _is_on(reasoning):
        body["chat_template_kwargs"] = {"enable_thinking": not off}


_WAYS: Final[dict[ReasoningWay, _Write]] = {
    "effort": _effort,
    "object": _object,
    "switch": _switch,
    "flag": _flag,
    "template": _template,
}
