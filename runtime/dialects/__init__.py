"""How vendors speak. `base` is the contract, `formats` the wire formats, every other file one dialect.

What a refusal means is found by `recognise`, from what `error_text` reads of its body, by the tables of rules in
`spellings`; `hints` says when to come back, `days` when a vendor's day ends.

To add a dialect: one file with a subclass of `base.Dialect`, one line in `DIALECTS`, and recordings for
its tests. Chat is in its own methods; for embeddings and text completion it has a half each, if it can say them. Third parties register theirs under the entry point group `llm_dispatcher.dialects`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from .base import Answer, BatchLimits, Built, Decoder, Dialect, Target, Unsupported, VendorFault

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = [
    "DIALECTS",
    "Answer",
    "BatchLimits",
    "Built",
    "Decoder",
    "Dialect",
    "Target",
    "Unsupported",
    "VendorFault",
    "dialect_class",
    "dialect_names",
]

DIALECTS: Final[dict[str, str]] = {
    "openai": "openai:OpenAI",
    "openai-responses": "openai_responses:OpenAIResponses",
    "azure": "azure:Azure",
    "azure-responses": "azure_responses:AzureResponses",
    "anthropic": "anthropic:Anthropic",
    "google": "google:Google",
    "vertex": "vertex:Vertex",
    "vertex-anthropic": "vertex_anthropic:VertexAnthropic",
    "cohere": "cohere:Cohere",
    "bedrock": "bedrock:Bedrock",
    "ollama": "ollama:Ollama",
    "program": "program:Program",
}
"""Name in the configuration -> module and class. Imported when first used."""

ENTRY_POINTS: Final = "llm_dispatcher.dialects"


def dialect_names() -> list[str]:
    """Every dialect that a configuration may name, built in or installed."""
    return sorted({*DIALECTS, *_installed().names})


def dialect_class(name: str) -> type[Dialect]:
    """The class of a dialect. Raises `KeyError` for a name that is neither built in nor installed."""
    if name in DIALECTS:
        module, _, attribute = DIALECTS[name].partition(":")
        found: type[Dialect] = getattr(import_module(f".{module}", __name__), attribute)
        return found
    for point in _installed():
        if point.name == name:
            loaded: type[Dialect] = point.load()
            return loaded
    raise KeyError(name)


def _installed() -> EntryPoints:
    """What third parties have registered. Reads about every package that is installed, which takes a while."""
    from importlib.metadata import entry_points

    return entry_points(group=ENTRY_POINTS)
