"""What cannot be had from the vendors of a dialect, by whatever client, and why."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ABSENT", "ABSENT_FOR", "WITHOUT_ROW"]

_NO_THOUGHTS = "chat completions of OpenAI and Azure tell no thoughts"

ABSENT: Mapping[tuple[str, str], str] = {
    ("openai", "thinking"): _NO_THOUGHTS,
    ("azure", "thinking"): _NO_THOUGHTS,
}
"""(dialect, capability) -> why."""

_UNASKED = "chat completions cannot ask for thoughts, and this vendor tells them only if it is asked"
_IN_PIECES = "Mistral's client reads streamed calls only whole, and these vendors send them in pieces"
_NOBODY_ASKED = "include_thoughts asks nobody to think, and Cohere has no field for showing thoughts"

ABSENT_FOR: Mapping[tuple[str, str, str], str] = {
    **{
        (client, dialect, "thinking"): _UNASKED
        for client in ("openai", "openai, asynchronous", "openai for Azure", "openai for Node")
        for dialect in ("openai-responses", "google", "vertex")
    },
    **{
        ("mistralai", dialect, "tools streamed"): _IN_PIECES
        for dialect in ("openai", "openai-responses", "azure", "anthropic", "cohere", "bedrock")
    },
    ("google-genai", "cohere", "thinking"): _NOBODY_ASKED,
}
"""(client, dialect, capability) -> why."""

WITHOUT_ROW: Mapping[str, str] = {
    "cohere": "Cohere's client speaks Cohere's interface only, which the daemon does not offer",
}
"""Clients that cannot be pointed at the daemon."""
