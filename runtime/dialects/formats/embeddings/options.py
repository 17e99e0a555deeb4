"""Where vendors of the embeddings format differ, declared as data: the table `embeddings` among a dialect's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ....vectors import Task
from ...base import BatchLimits

__all__ = ["Options", "options_of"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one vendor speaks the format."""

    most_inputs: int = 256
    """Inputs in one call; more are split. This default is what servers of all kinds take; OpenAI takes 2,048."""
    most_tokens: int | None = None
    """Tokens in one call, all inputs together; None: no bound is known."""
    base64: bool = False
    """Whether it sends vectors as base64, at a quarter of the size, when it is asked to."""
    tokens: bool = False
    """Whether it takes inputs that are tokens already."""
    dimensions_field: Literal["dimensions", "output_dimension"] = "dimensions"
    task_field: str | None = None
    """The field that says what the vectors are for; None: it has none."""
    tasks: dict[str, str] = {}
    """Its words for that, by the canonical ones (`vectors.Task`)."""
    task: Task | None = None
    """What the vectors are for where the caller does not say, for models that want to know."""
    refuses: tuple[str, ...] = ()
    """Names of body fields that it refuses, such as `user`."""

    def limits(self) -> BatchLimits:
        """What one call may hold."""
        return BatchLimits(self.most_inputs, self.most_tokens)


def options_of(dialect: str, usual: Mapping[str, Any], own: object) -> Options:
    """The options of one deployment: its `own` table over what is `usual` there. Raises `ValueError`."""
    if not isinstance(own, Mapping):
        raise ValueError(f"options of the dialect {dialect!r}: `embeddings` is a table")
    try:
        options = msgspec.convert({**usual, **own}, Options)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise ValueError(
            f"options of the dialect {dialect!r}: embeddings: {error}; known are {known}"
        ) from None
    if options.most_inputs < 1 or (options.most_tokens is not None and options.most_tokens < 1):
        raise ValueError(f"options of the dialect {dialect!r}: embeddings: a bound is at least 1")
    return options
