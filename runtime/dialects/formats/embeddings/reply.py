"""An answer in the embeddings format, in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct

from .....actors.faults import FaultClass
from ....canon import Fault, Usage
from ....vectors import Embeddings, Vector, base64_of, floats_of, length_of, unpacked_base64
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, token_count
from ..chat_completions.faults import in_stream
from . import FORMAT

__all__ = ["malformed", "placed", "read", "write"]


class _Item(Struct):
    embedding: str | list[float]
    index: int | None = None


class _Body(Struct):
    data: list[_Item] | None = None
    model: str | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


class _Disguised(Struct):
    error: Raw = Raw()


# Typed, and so twice as fast as reading whatever comes: these answers are megabytes of numbers.
_decode: Final = msgspec.json.Decoder(_Body).decode
_decode_error: Final = msgspec.json.Decoder(_Disguised).decode
_NOTHING: Final = (b"", b"null")


def read(body: bytes) -> Embeddings:
    """An answer of status 200. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = _body(body)
        _refuse(raw.error)
        usage = _usage(raw.usage)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable) as error:
        raise malformed(f"the answer cannot be read: {error}") from error
    if raw.data is None:
        raise malformed("the answer has no data")
    return Embeddings(
        vectors=placed([(each.index, _vector(each.embedding)) for each in raw.data]),
        model=raw.model or "",
        usage=usage,
        format=FORMAT,
    )


def _body(body: bytes) -> _Body:
    try:
        return _decode(body)
    except msgspec.ValidationError:
        _refuse(_decode_error(body).error)
        raise


def _refuse(raw: Raw) -> None:
    """Raises `VendorFault` for an error that came with status 200."""
    error = None if bytes(raw) in _NOTHING else read_json(bytes(raw))
    if error:
        raise VendorFault(in_stream(error))


def _vector(raw: str | list[float]) -> Vector:
    if isinstance(raw, list):
        return raw
    try:
        return unpacked_base64(raw)
    except ValueError as error:
        raise malformed(f"a vector is neither numbers nor base64 of them: {error}") from error


def placed(vectors: list[tuple[int | None, Vector]]) -> list[Vector]:
    """The vectors in their inputs' order, by the index that each came with (None: where it stands). Raises `VendorFault`
    where two have one place: whose vector is whose must never be guessed."""
    if all(index is None or index == position for position, (index, _) in enumerate(vectors)):
        return [vector for _, vector in vectors]
    ordered: dict[int, Vector] = {}
    for position, (index, vector) in enumerate(vectors):
        ordered[position if index is None else index] = vector
    if ordered.keys() != set(range(len(vectors))):
        raise malformed("the vectors' indices are not those of the inputs")
    return [ordered[position] for position in range(len(vectors))]


def _usage(raw: Raw) -> Usage | None:
    if bytes(raw) in _NOTHING:
        return None
    fields = read_json(bytes(raw))
    if not isinstance(fields, dict):
        return None
    given = fields.get("prompt_tokens")
    return Usage(input_tokens=token_count(fields.get("total_tokens") if given is None else given))


def malformed(message: str) -> VendorFault:
    """What a vendor sent is no answer."""
    return VendorFault(Fault(kind=FaultClass.MALFORMED, message=message))


# --- out ----------------------------------------------------------------------------------------

_encode: Final = msgspec.json.Encoder().encode
_AT_ONCE: Final = 100_000
"""Numbers that are written at once: some 20 ms of work as digits, of which others should not have to wait for more."""


def write(embeddings: Embeddings, *, model: str, encoding: Literal["float", "base64"]) -> Iterator[bytes]:
    """The body for a client in pieces, whatever format the vectors came in."""
    form: Any = base64_of if encoding == "base64" else floats_of
    piece, size = bytearray(b'{"object":"list","data":['), 0
    for index, vector in enumerate(embeddings.vectors):
        if size > _AT_ONCE:
            yield bytes(piece)
            piece, size = bytearray(), 0
        item = {"object": "embedding", "index": index, "embedding": form(vector)}
        piece += b"," * (index > 0) + _encode(item)
        size += length_of(vector)
    tokens = 0 if embeddings.usage is None else embeddings.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    piece += b'],"model":' + _encode(embeddings.model or model) + b',"usage":' + _encode(usage) + b"}"
    yield bytes(piece)
