"""What a request asks for and a format cannot say: refused at once, or noted where dropping is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..canon import Tool
from .base import Unsupported

__all__ = ["Wishes", "foreign_type"]


_ASK_FOR_NOTHING: Final = frozenset(
    {
        "generate_content.generationConfig.responseSchema",
        "generate_content.labels",
        "generate_content.safetySettings",
        "generate_content.toolConfig.functionCallingConfig",
        "chat_completions.metadata",
        "chat_completions.prompt_cache_key",
        "chat_completions.prompt_cache_retention",
        "chat_completions.safety_identifier",
        "chat_completions.service_tier",
        "chat_completions.store",
        "chat_completions.user",
        "messages.betas",
        "messages.metadata",
        "messages.service_tier",
        "responses.client_metadata",
        "responses.metadata",
        "responses.prompt_cache_key",
        "responses.prompt_cache_options",
        "responses.prompt_cache_retention",
        "responses.reasoning.summary",
        "responses.safety_identifier",
        "responses.service_tier",
        "responses.stream_options",
    }
)
"""Fields that only permit what other fields then ask for, or do not change what the answer is: names for a vendor's
books, advice for its cache, how fast and at which of its prices it answers, which of several summaries of the reasoning, how strict a filter of its own is. On their own
they wish for nothing. Google's schema and its choice among functions stand in the canon too, which has read them."""

_OF_SEVERAL: Final = frozenset({"generate_content.generationConfig", "generate_content.toolConfig"})
"""Fields whose own fields are wishes of their own."""

_AS_ALWAYS: Final[dict[str, Any]] = {"generate_content.generationConfig.responseModalities": ["TEXT"]}
"""What is wished for by naming it, and given without."""


_FUNCTIONS: Final = frozenset({("messages", "custom")})
"""Formats, and their words for a function where they have one."""


def foreign_type(tool: Tool, format: str) -> str | None:
    """The type of a tool that another format than `format` keeps whole and that is no function; None for a function.

    Written as a function, without a description and parameters, it would be one that nobody can call.
    """
    for owner, fields in (tool.extra or {}).items():
        if owner != format and "type" in fields and (owner, fields["type"]) not in _FUNCTIONS:
            return str(fields["type"])
    return None


class Wishes:
    """Collects the names of what is `dropped` while one request is written."""

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        self.dropped: list[str] = []

    def cannot(self, feature: str, remedy: str = "") -> None:
        """`feature` cannot be said. Raises `Unsupported` unless lenient."""
        if not self._lenient:
            raise Unsupported(feature, remedy)
        self.dropped.append(feature)

    def drop(self, feature: str) -> None:
        """Note that `feature` is left out, as it always may be."""
        self.dropped.append(feature)

    def refused(self, field: str, format: str) -> None:
        """The vendor refuses `field`, though its `format` has it."""
        if f"{format}.{field}" in _ASK_FOR_NOTHING:
            self.drop(field)
        else:
            self.cannot(field)

    def functions(self, tools: Sequence[Tool], format: str) -> list[Tool]:
        """Those of `tools` that `format` can say: its own, and functions."""
        found = []
        for tool in tools:
            strange = foreign_type(tool, format)
            if strange is None:
                found.append(tool)
            else:
                self.cannot(f"a tool of the type {strange}")
        return found

    def of_others(self, extra: Mapping[str, Mapping[str, Any]], format: str) -> None:
        """None of the fields that other formats than `format` have kept can be said."""
        for owner, fields in extra.items():
            if owner != format:
                self._of_another(owner, fields)

    def _of_another(self, owner: str, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            wish = f"{owner}.{name}"
            if wish in _OF_SEVERAL and isinstance(value, dict):
                self._of_another(wish, value)
            elif wish not in _ASK_FOR_NOTHING and _AS_ALWAYS.get(wish) != value:
                self.cannot(wish)
