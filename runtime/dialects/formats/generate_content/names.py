"""The two spellings of a field: Google's JSON reads `maxOutputTokens` and `max_output_tokens` alike.

Only fields of the format itself are respelled, never the keys of what a caller put inside them (a JSON
schema, the arguments of a call, the result of a function).
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["camel", "camel_keys"]

_LETTER: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def camel(name: str) -> str:
    """The spelling that the format documents."""
    return _LETTER.sub(lambda match: match.group(1).upper(), name) if "_" in name else name


def camel_keys(fields: dict[str, Any]) -> dict[str, Any]:
    """The same object with its own keys respelled; fields that are null count as absent."""
    return {camel(name): value for name, value in fields.items() if value is not None}
