"""A simulated vendor's embeddings: vectors that are the same for the same text, always, and near for texts that share words.

Each word points in a few directions that a digest of it decides, a text where its words point together ("random
indexing": P. Kanerva et al., "Random indexing of text samples for latent semantic analysis", CogSci 2000). That knows no
meaning, but a search over a handful of notes finds those with the words that were asked for, so that a demonstration
without a key shows something.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from base64 import b64encode
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from .body import CHARACTERS_PER_TOKEN, Rejected

__all__ = ["EmbeddingsBody", "embeddings", "read_embeddings_body"]

_DIMENSIONS: Final = 256
_MOST_INPUTS: Final = 2048
_WORD: Final = re.compile(r"\w+")
_DIRECTIONS: Final = 8
"""Of one word, each told by four bytes of its digest."""


class EmbeddingsBody(Struct, kw_only=True):
    """A request for embeddings, as far as it changes the answer."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | list[Any]
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def inputs(self) -> list[str | list[int]]:
        """One by one. Raises `Rejected` where they are neither texts nor tokens."""
        raw: list[Any] = [self.input] if isinstance(self.input, str) else self.input
        if raw and isinstance(raw[0], int):
            raw = [raw]
        try:
            found: list[str | list[int]] = msgspec.convert(raw, list[str | list[int]])
        except msgspec.ValidationError as error:
            raise Rejected(f"Invalid 'input': {error}", "input") from None
        if not 1 <= len(found) <= _MOST_INPUTS or not all(found):
            raise Rejected(f"'input' must hold 1 to {_MOST_INPUTS} texts, none of them empty", "input")
        return found


_DECODER: Final = msgspec.json.Decoder(EmbeddingsBody)


def read_embeddings_body(raw: bytes) -> EmbeddingsBody:
    """The request. Raises `Rejected`, saying where it is wrong."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"Invalid request: {error}") from error


def embeddings(body: EmbeddingsBody) -> tuple[dict[str, Any], int]:
    """The answer to `body`, and how many tokens it counts."""
    inputs = body.inputs
    tokens = sum([_tokens(each) for each in inputs])
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _said(_vector(each, body.dimensions or _DIMENSIONS), body),
        }
        for index, each in enumerate(inputs)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}, tokens


def _tokens(text: str | list[int]) -> int:
    return len(text) if isinstance(text, list) else math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _said(vector: list[float], body: EmbeddingsBody) -> list[float] | str:
    if body.encoding_format == "float":
        return vector
    return b64encode(array("f", vector).tobytes()).decode("ascii")


def _vector(text: str | list[int], dimensions: int) -> list[float]:
    """Of length 1."""
    vector = [0.0] * dimensions
    for word in _words(text):
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * _DIRECTIONS).digest()
        for start in range(0, len(digest), 4):
            number = int.from_bytes(digest[start : start + 4], "big")
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum([each * each for each in vector]))
    if not length:
        # Directions may cancel one another, in few dimensions at least.
        return [1.0] + [0.0] * (dimensions - 1)
    return [each / length for each in vector]


def _words(text: str | list[int]) -> Iterator[str]:
    if isinstance(text, list):
        return map(str, text)
    return iter(_WORD.findall(text.lower()) or [text])
