"""The body of a request for embeddings in Cohere's format.

Its models make different vectors of what is looked for and of what is found, and want to be told which. What nobody says
is taken for a document: that is what most texts are that are sent in numbers, and what makes searches better once
queries say that they are queries (`input_type`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ....vectors import Embed, Task
from ...wishes import Wishes
from . import FORMAT

__all__ = ["TASKS", "write"]

TASKS: Final[dict[Task, str]] = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}
"""Cohere's words for what vectors are for."""

_USUAL: Final = "document"


def write(wanted: Embed, model: str, task: Task | None, *, lenient: bool) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    if isinstance(wanted.inputs[0], list):
        # Without its input nothing is left to ask.
        Wishes(lenient=False).cannot("an input of tokens", "send it as text")
    said = wanted.task or task or _USUAL
    if said not in TASKS:
        wishes.cannot(f"input_type {said}", f"say one of {', '.join(TASKS)}")
    body: dict[str, Any] = {
        "model": model,
        "texts": wanted.inputs,
        "input_type": TASKS.get(said, TASKS["document"]),
        "embedding_types": ["float"],
    }
    if wanted.dimensions is not None:
        body["output_dimension"] = wanted.dimensions
    body.update(wanted.extra.get(FORMAT, {}))
    wishes.of_others(wanted.extra, FORMAT)
    return msgspec.json.encode(body), tuple(wishes.dropped)
