"""What the product made of a recording, in the terms of its oracle, so that the two can be compared."""

from __future__ import annotations

import json
from typing import Any

from llm_dispatcher.runtime.canon import Completion

from . import Expected


def found_in(completion: Completion, expected: Expected) -> Expected:
    """`completion` as an `Expected`; of the usage only the fields that the recording reports."""
    usage = completion.usage
    choices = sorted(completion.choices, key=lambda choice: choice.index)
    return Expected(
        texts=[choice.text for choice in choices],
        thinking=[choice.thinking for choice in choices],
        tool_calls=[[(call.name, _json(call.arguments)) for call in choice.tool_calls] for choice in choices],
        finishes=[choice.vendor_finish for choice in choices],
        usage=None
        if usage is None or expected.usage is None
        else {name: getattr(usage, name) for name in expected.usage},
        complete=expected.complete,
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except json.JSONDecodeError:
        return text
