"""The further halves of the dialects whose chat is chat completions: embeddings and text completion beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ...base import Dialect, EmbeddingsHalf, TextsHalf
from ...door import Door
from .quirks import Quirks

__all__ = ["OPTIONS", "OWN_EMBEDDINGS", "embeddings_half", "texts_half"]

OPTIONS: Final = ("embeddings", "completions")
"""The options of such a dialect that are tables of a half's own."""

OWN_EMBEDDINGS: Final = {"most_inputs": 2048, "most_tokens": 300_000, "base64": True, "tokens": True}
"""What OpenAI's models take, by its API reference and by what its refusals tell of."""

Place = Callable[[str], Door]
"""From the end of a path, such as `embeddings`, to the door there."""


def embeddings_half(
    dialect: Dialect, place: Place, usual: Mapping[str, Any], own: object
) -> EmbeddingsHalf | None:
    """How embeddings are asked for, if they are wanted of this deployment. Raises `ValueError` for wrong options."""
    if "embeddings" not in dialect.target.operations and not own:
        return None
    from ..embeddings.half import Embedder
    from ..embeddings.options import options_of

    # Of a vendor whose models chat too the options are checked all the same.
    options = options_of(dialect.name, usual, own)
    if "embeddings" not in dialect.target.operations:
        return None
    return Embedder(place("embeddings"), options, dialect.target)


def texts_half(dialect: Dialect, place: Place, quirks: Quirks, own: object) -> TextsHalf | None:
    """How a bare text is gone on with, if that is wanted of this deployment. Raises `ValueError` for wrong options.

    The one option is `path`: where it is not `completions`, such as Mistral's `fim/completions`; with a `/` before it,
    from the root of the host.
    """
    path = own.get("path", "completions") if isinstance(own, Mapping) else None
    if not isinstance(path, str) or not path or (isinstance(own, Mapping) and own.keys() - {"path"}):
        raise ValueError(
            f"options of the dialect {dialect.name!r}: `completions` is a table, which may have a `path`"
        )
    if "completions" not in dialect.target.operations:
        return None
    from ..completions.half import Completer

    return Completer(place(path), quirks, dialect.target)
