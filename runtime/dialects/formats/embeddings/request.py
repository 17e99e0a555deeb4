"""A request body in the embeddings format: `read` from a client, `write` for a vendor.

Beyond OpenAI's own fields a client may say `mode` (as for chat) and what the vectors are for, as `input_type` in the words of
any vendor. Every other field is kept as it is, and goes to vendors of this format only.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ....vectors import Embed, Task
from ...base import InvalidBody
from ...untrusted import Unreadable, read_json
from ...wishes import Wishes
from . import FORMAT
from .options import Options

__all__ = ["TASKS", "ClientRequest", "read", "write"]

TASKS: Final[dict[str, Task]] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "similarity": "similarity",
    "classification": "classification",
    "clustering": "clustering",
    "question_answering": "question_answering",
    "fact_verification": "fact_verification",
    "code_query": "code_query",
}
"""The words that are understood as `input_type`, in the spellings of Cohere, Voyage and NVIDIA and our own."""


class ClientRequest(Struct, frozen=True):
    """What a client sent: the request, and how it wants its vectors."""

    request: Embed
    encoding: Literal["float", "base64"]


_Tokens = list[Annotated[int, Meta(ge=0, le=2**31 - 1)]]


class _Body(Struct):
    model: str
    # A list is looked into by hand: texts, tokens, or lists of tokens.
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    user: str | None = None
    mode: str | None = None
    input_type: str | None = None


_KNOWN: Final = frozenset(_Body.__struct_fields__)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read(body: bytes, model: str | None = None) -> ClientRequest:
    """A client's request. `model` is the one that the URL names, if it does: it counts, whatever the body says.

    Raises `InvalidBody`, naming the field.
    """
    try:
        raw = _decode(body)
        if model is not None:
            body = _encode({**raw, "model": model})
        fields = msgspec.json.decode(body, type=_Body)
        extra = {
            name: read_json(bytes(value))
            for name, value in raw.items()
            if name not in _KNOWN and bytes(value) != b"null"
        }
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        param = path.rstrip("`") or None
        raise InvalidBody(f"{param}: {message}" if param else message, param) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable) as error:
        raise InvalidBody(f"the body is not JSON: {error}") from error
    task = None
    if fields.input_type is not None:
        task = TASKS.get(fields.input_type.lower())
        if task is None:
            message = f"input_type: {fields.input_type!r} is none of {', '.join(TASKS)}"
            raise InvalidBody(message, "input_type")
    return ClientRequest(
        Embed(
            model=fields.model,
            inputs=_inputs(fields.input),
            dimensions=fields.dimensions,
            task=task,
            mode=fields.mode,
            user=fields.user,
            extra={FORMAT: extra} if extra else {},
        ),
        fields.encoding_format or "float",
    )


def _inputs(raw: str | list[Any]) -> list[str] | list[list[int]]:
    if isinstance(raw, str):
        raw = [raw]
    kind: Any = list[_Tokens]
    if raw and isinstance(raw[0], str):
        kind = list[str]
    elif raw and not isinstance(raw[0], list):
        raw = [raw]
    try:
        inputs: list[str] | list[list[int]] = msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        message = "input: a text, a list of texts, a list of tokens or a list of lists of tokens is needed"
        raise InvalidBody(message, "input") from None
    if not inputs or not all(inputs):
        raise InvalidBody("input: must not be empty, nor hold anything empty", "input")
    return inputs


# --- out ----------------------------------------------------------------------------------------


def write(wanted: Embed, model: str, options: Options, *, lenient: bool) -> tuple[bytes, tuple[str, ...]]:
    """The body for a vendor, and what was dropped. Raises `Unsupported` unless `lenient`."""
    wishes = Wishes(lenient=lenient)
    if isinstance(wanted.inputs[0], list) and not options.tokens:
        # Without its input nothing is left to ask.
        Wishes(lenient=False).cannot("an input of tokens", "send it as text")
    body: dict[str, Any] = {"model": model, "input": wanted.inputs}
    if options.base64:
        body["encoding_format"] = "base64"
    if wanted.dimensions is not None:
        body[options.dimensions_field] = wanted.dimensions
    if wanted.user is not None:
        body["user"] = wanted.user
    _write_task(wanted.task or options.task, body, options, wishes)
    if wanted.extra:
        body.update(wanted.extra.get(FORMAT, {}))
        wishes.of_others(wanted.extra, FORMAT)
    for name in options.refuses:
        if body.pop(name, None) is not None:
            wishes.cannot(name)
    return msgspec.json.encode(body), tuple(wishes.dropped)


def _write_task(task: Task | None, body: dict[str, Any], options: Options, wishes: Wishes) -> None:
    if task is None:
        return
    word = options.tasks.get(task)
    if options.task_field is None or word is None:
        wishes.cannot("input_type", "leave it out, or name a model that knows what its vectors are for")
    else:
        body[options.task_field] = word
