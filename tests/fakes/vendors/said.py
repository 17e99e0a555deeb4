"""What is answered, in no format yet."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from llm_dispatcher.runtime.simulated.schema import invent
from msgspec import Struct

from .asked import Asked

__all__ = ["INPUT_TOKENS", "OUTPUT_TOKENS", "THOUGHT", "Call", "Refusal", "Said", "answer_to", "pieces"]

INPUT_TOKENS = 11
OUTPUT_TOKENS = 7
"""Of every answer, thoughts included."""

THOUGHT = "They want an answer."


class Call(Struct):
    """A call of a function."""

    id: str
    name: str
    arguments: dict[str, Any]

    @property
    def written(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.arguments)


class Said(Struct, kw_only=True):
    """An answer: a text or a call, and what was thought before."""

    text: str = ""
    call: Call | None = None
    thought: str | None = None
    endless: bool = False
    """The text is said again and again, until nobody listens."""


class Refusal(Struct):
    """A refusal of this status."""

    status: int
    message: str


def answer_to(asked: Asked) -> Said | Refusal:
    """Only what was asked decides; the same request is answered in the same way."""
    thought = THOUGHT if asked.thinks else None
    fails = re.search(r"fail (\d{3})", asked.text)
    if asked.result is not None:
        return Said(text=f"The tool said: {asked.result}", thought=thought)
    if fails:
        return Refusal(int(fails[1]), f"You asked for a {fails[1]}.")
    if asked.tools:
        tool = asked.tools[0]
        arguments = invent(tool.schema, random.Random(1)) if tool.schema.get("properties") else {}
        return Said(call=Call("call_theirs_1", tool.name, arguments), thought=thought)
    if asked.schema is not None:
        return Said(text=json.dumps(invent(asked.schema, random.Random(1))), thought=thought)
    if asked.images:
        return Said(text=f"Images that I see: {asked.images}", thought=thought)
    if "go on and on" in asked.text:
        return Said(text="and on ", endless=True)
    return Said(text=f"You said: {asked.text}", thought=thought)


def pieces(text: str) -> list[str]:
    """`text` as a stream brings it."""
    return re.findall(r"\S*\s*", text)[:-1]
