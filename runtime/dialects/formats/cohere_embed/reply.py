"""An answer with embeddings in Cohere's format."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from ....vectors import Embeddings, Vector
from ...base import VendorFault
from ...untrusted import Unreadable, read_json
from ..cohere_chat.faults import malformed
from ..cohere_chat.usage import read_usage
from . import FORMAT

__all__ = ["read"]


class _ByType(Struct):
    floats: list[list[float]] | None = field(default=None, name="float")


class _Body(Struct):
    embeddings: _ByType | None = None
    meta: Raw = Raw()


_decode: Final = msgspec.json.Decoder(_Body).decode


def read(body: bytes) -> Embeddings:
    """An answer of status 200. Raises `VendorFault` for what is no answer at all."""
    try:
        raw = _decode(body)
        usage = read_usage(read_json(bytes(raw.meta)) if bytes(raw.meta) else None)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unreadable) as error:
        raise VendorFault(malformed(f"the answer cannot be read: {error}")) from error
    if raw.embeddings is None or raw.embeddings.floats is None:
        raise VendorFault(malformed("the answer holds no embeddings of the type float"))
    vectors: list[Vector] = list(raw.embeddings.floats)
    return Embeddings(vectors=vectors, usage=usage, format=FORMAT)
