"""An answer with embeddings, whichever way they were asked for, in and out."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ....canon import Usage
from ....vectors import Embeddings, Vector, floats_of
from ...base import VendorFault
from ...untrusted import Unreadable, read_json, token_count
from ..generate_content.faults import embedded_fault, malformed
from . import FORMAT

__all__ = ["read", "write_batch", "write_predict", "write_single"]


class _Statistics(Struct, gc=False):
    token_count: float | None = None


class _Values(Struct):
    values: list[float] | None = None
    statistics: _Statistics | None = None


class _Prediction(Struct):
    embeddings: _Values | None = None


class _Metadata(Struct, rename="camel", gc=False):
    prompt_token_count: float | None = None


class _Body(Struct, rename="camel"):
    embeddings: list[_Values] | None = None
    embedding: _Values | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: _Metadata | None = None
    error: Raw = Raw()


class _Disguised(Struct):
    error: Raw = Raw()


_decode: Final = msgspec.json.Decoder(_Body).decode
_decode_error: Final = msgspec.json.Decoder(_Disguised).decode


def read(body: bytes) -> Embeddings:
    """An answer of status 200. Raises `VendorFault` for an error in disguise, and for what is no answer at all."""
    try:
        raw = _body(body)
        _refuse(raw.error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable) as error:
        raise VendorFault(malformed(body, f"the answer cannot be read: {error}")) from error
    found = _values(raw)
    if found is None:
        raise VendorFault(malformed(body, "the answer holds no embeddings"))
    vectors: list[Vector] = [[] if each is None else each.values or [] for each in found]
    return Embeddings(vectors=vectors, usage=_usage(raw, found), format=FORMAT)


def _body(body: bytes) -> _Body:
    try:
        return _decode(body)
    except msgspec.ValidationError:
        _refuse(_decode_error(body).error)
        raise


def _refuse(raw: Raw) -> None:
    """Raises `VendorFault` for an error that came with status 200."""
    error = read_json(bytes(raw)) if bytes(raw) not in (b"", b"null") else None
    if error:
        raise VendorFault(embedded_fault(error))


def _values(raw: _Body) -> list[_Values | None] | None:
    if raw.embeddings is not None:
        return list(raw.embeddings)
    if raw.embedding is not None:
        return [raw.embedding]
    return None if raw.predictions is None else [each.embeddings for each in raw.predictions]


def _usage(raw: _Body, found: list[_Values | None]) -> Usage | None:
    """What was counted; Google's older models count nothing."""
    if raw.usage_metadata is not None and raw.usage_metadata.prompt_token_count is not None:
        return Usage(input_tokens=token_count(raw.usage_metadata.prompt_token_count))
    counts = [
        None if each is None or each.statistics is None else each.statistics.token_count for each in found
    ]
    if None in counts or not counts:
        return None
    return Usage(input_tokens=sum([token_count(count) for count in counts]))


# --- out ----------------------------------------------------------------------------------------


def write_single(embeddings: Embeddings) -> dict[str, Any]:
    """The answer to `embedContent`, whatever format the vector came in."""
    return {"embedding": _told(embeddings.vectors[0]), **_metadata(embeddings)}


def write_batch(embeddings: Embeddings) -> dict[str, Any]:
    """The answer to `batchEmbedContents`."""
    return {"embeddings": [_told(vector) for vector in embeddings.vectors], **_metadata(embeddings)}


def write_predict(embeddings: Embeddings) -> dict[str, Any]:
    """The answer to `predict`. How many tokens each text had is only known of a single one."""
    statistics: dict[str, Any] = {}
    if embeddings.usage is not None and len(embeddings.vectors) == 1:
        statistics = {"statistics": {"truncated": False, "token_count": embeddings.usage.input_tokens}}
    return {
        "predictions": [{"embeddings": {**_told(vector), **statistics}} for vector in embeddings.vectors],
        **_metadata(embeddings),
    }


def _told(vector: Vector) -> dict[str, Any]:
    return {"values": floats_of(vector)}


def _metadata(embeddings: Embeddings) -> dict[str, Any]:
    if embeddings.usage is None:
        return {}
    return {"usageMetadata": {"promptTokenCount": embeddings.usage.input_tokens}}
