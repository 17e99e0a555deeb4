"""Which of Anthropic's models can be bound to a JSON schema."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["has_structured_outputs"]

_WITHOUT: Final = re.compile(
    r"claude-(?:2|instant|3-|4-(?:opus|sonnet)|(?:opus|sonnet)-4(?:-0)?(?=$|[-@](?:\d{8}|latest)|-v\d))"
)
"""Before Opus 4.1 and Sonnet 4.5 (Claude API documentation, "Structured outputs")."""


def has_structured_outputs(model: str) -> bool:
    """Whether `output_config.format` is known to `model`, by its name; a name that is not known counts as new."""
    return _WITHOUT.search(model) is None
