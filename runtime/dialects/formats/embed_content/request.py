"""The body of a request for embeddings, in the three ways of asking for them."""

from __future__ import annotations

from typing import Any

import msgspec

from ....vectors import Embed, Task
from ...wishes import Wishes
from . import FORMAT, TASKS

__all__ = ["write"]


def write(
    wanted: Embed, model: str, way: str, task: Task | None, *, lenient: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The body for `model`, named with its collection, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    texts = [text for text in wanted.inputs if isinstance(text, str)]
    if len(texts) != len(wanted.inputs):
        # Without its input nothing is left to ask.
        Wishes(lenient=False).cannot("an input of tokens", "send it as text")
    own = dict(wanted.extra.get(FORMAT, {}))
    wishes.of_others(wanted.extra, FORMAT)
    said = wanted.task or task
    word = None if said is None else TASKS[said]
    body = _predict(texts, word, wanted.dimensions, own) if way == "predict" else None
    if body is None:
        each = _given(taskType=word, outputDimensionality=wanted.dimensions) | own
        contents = [{"content": {"parts": [{"text": text}]}, **each} for text in texts]
        body = contents[0] if way == "single" else {"requests": [{"model": model, **one} for one in contents]}
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _predict(
    texts: list[str], word: str | None, dimensions: int | None, own: dict[str, Any]
) -> dict[str, Any]:
    title = _given(title=own.pop("title", None))
    instances = [{"content": text, **_given(task_type=word), **title} for text in texts]
    parameters = _given(outputDimensionality=dimensions) | own
    return {"instances": instances} | ({"parameters": parameters} if parameters else {})


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
