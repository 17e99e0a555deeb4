"""A client's request for Google's embeddings, in each of its three ways, as a canonical one.

The texts of a batch travel together here, so what is wanted of them (what they are for, their length, a title) has to be the
same for all. Only text is read: a vector of a picture is not what another vendor could make.
"""

from __future__ import annotations

from typing import Any, Final

from ....vectors import Embed, Task
from ...base import InvalidBody
from ...untrusted import Unreadable, read_json
from ..generate_content.names import camel_keys
from . import FORMAT, TASKS

__all__ = ["read_batch", "read_predict", "read_single"]

_TASKS: Final[dict[str, Task]] = {word: task for task, word in TASKS.items()}
_MOST_TEXTS: Final = 250
"""In one request. Google takes 100 in a batch, and 250 in `predict`."""
_MOST_DIMENSIONS: Final = 1_000_000


def read_single(body: bytes, *, model: str) -> Embed:
    """The body of `embedContent`. Raises `InvalidBody`."""
    fields = _object(body)
    text = _text_of(fields.pop("content", None), "content")
    return _embed(model, [text], fields)


def read_batch(body: bytes, *, model: str) -> Embed:
    """The body of `batchEmbedContents`. Raises `InvalidBody`."""
    requests = _list(_object(body).get("requests"), "requests")
    texts: list[str] = []
    wishes: dict[str, Any] = {}
    for at, raw in enumerate(requests):
        fields = camel_keys(raw)
        texts.append(_text_of(fields.pop("content", None), f"requests[{at}].content"))
        fields.pop("model", None)
        if at and fields != wishes:
            message = f"requests[{at}]: differs from the first in more than its text; send it by itself"
            raise InvalidBody(message, f"requests[{at}]")
        wishes = fields
    return _embed(model, texts, wishes)


def read_predict(body: bytes, *, model: str) -> Embed:
    """The body of `predict`. Raises `InvalidBody`."""
    fields = _object(body)
    texts: list[str] = []
    wishes: dict[str, Any] = {}
    for at, raw in enumerate(_list(fields.get("instances"), "instances")):
        instance = camel_keys(raw)
        text = instance.pop("content", None)
        if not isinstance(text, str):
            raise InvalidBody(f"instances[{at}].content: a text is needed", f"instances[{at}].content")
        texts.append(text)
        if at and instance != wishes:
            message = f"instances[{at}]: differs from the first in more than its text; send it by itself"
            raise InvalidBody(message, f"instances[{at}]")
        wishes = instance
    parameters = fields.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidBody("parameters: an object is needed", "parameters")
    return _embed(model, texts, {**camel_keys(parameters), **wishes})


def _object(body: bytes) -> dict[str, Any]:
    try:
        raw = read_json(body)
    except Unreadable as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidBody("the body is not a JSON object")
    return camel_keys(raw)


def _list(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise InvalidBody(f"{name}: a list of at least one object is needed", name)
    if len(value) > _MOST_TEXTS:
        raise InvalidBody(f"{name}: at most {_MOST_TEXTS} texts go into one request", name)
    return value


def _text_of(content: object, name: str) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    found = [parts] if isinstance(parts, dict) else parts
    texts = [each.get("text") for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if not texts or not all(isinstance(text, str) for text in texts) or len(texts) != len(found or ()):
        raise InvalidBody(f"{name}: a content of texts is needed", name)
    return "".join([text for text in texts if isinstance(text, str)])


def _embed(model: str, texts: list[str], wishes: dict[str, Any]) -> Embed:
    fields = dict(wishes)
    fields.pop("model", None)
    word, dimensions = fields.pop("taskType", None), fields.pop("outputDimensionality", None)
    task = _TASKS.get(word) if isinstance(word, str) else None
    if task is None and word not in (None, "TASK_TYPE_UNSPECIFIED"):
        fields["taskType"] = word
    if dimensions is not None and (type(dimensions) is not int or not 1 <= dimensions <= _MOST_DIMENSIONS):
        raise InvalidBody("outputDimensionality: a number from 1 is needed", "outputDimensionality")
    return Embed(
        model=model,
        inputs=texts,
        dimensions=dimensions,
        task=task,
        extra={FORMAT: fields} if fields else {},
    )
