"""Embeddings in the canonical language: the request, the reply, and vectors.

A vector stays in the form in which its vendor sent it, since the caller often wants the very same: `Packed` as
little-endian 32-bit floats, which is what base64 carries (a quarter of the digits' size, and nothing to parse), or a
list of numbers. `floats_of` and `base64_of` make of either what is asked for.

Vectors of different models have nothing to do with one another: whoever keeps some of one model in an index must never
get one of another. So an embedding request only ever goes to deployments of the very model that it names, unless a route
says otherwise (`mixed_embeddings`), and even then all vectors of one reply are of one model.
"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal, TypeAlias

from msgspec import Struct

from .canon import Criticality, Usage

__all__ = [
    "Embed",
    "Embeddings",
    "Packed",
    "Task",
    "Vector",
    "base64_of",
    "flaw_in",
    "floats_of",
    "length_of",
    "sound",
    "unpacked_base64",
]

Packed: TypeAlias = bytes
"""Little-endian 32-bit floats, one after another."""

Vector: TypeAlias = Packed | list[float]

Task: TypeAlias = Literal[
    "query", "document", "similarity", "classification", "clustering", "question_answering", "fact_verification", "code_query"
]  # fmt: skip
"""What vectors are for, where a model makes different ones: a search's `query` and the `document`s that it looks for,
and so on. Vendors have words of their own, and not all of them for all."""

_WIDTH: Final = 4
_LARGEST: Final = 3.4028234663852886e38
_SWAPPED: Final = sys.byteorder == "big"
_SUSPECT: Final = (0x7F, 0xFF)
"""The highest byte of a 32-bit float that is infinite or not a number; else only of those beyond 1.7e38."""


class Embed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Texts, or texts already cut into a model's own tokens, of which vectors are wanted.

    `model` is a model's name, `vendor/model` or a route's name. The other fields as those of `canon.Request`; None was
    not asked for and is not sent.
    """

    model: str
    inputs: list[str] | list[list[int]]
    dimensions: int | None = None
    """The length of the vectors, where the model can make shorter ones."""
    task: Task | None = None
    mode: str | None = None
    user: str | None = None
    criticality: Criticality = "critical"
    timeout: float | None = None
    extra: dict[str, dict[str, Any]] = {}
    """Per wire format (`embeddings`, `embed_content`, `cohere_embed`): top-level fields of the body that have no canonical
    word, sent to vendors of that format and to no others."""
    hedge: ClassVar[bool] = False
    """Never hedged: nobody waits in front of a screen for a vector, and a batch would be paid twice."""


class Embeddings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vendor's answer: one vector for each input, in their order. `usage` is None when the vendor reported none."""

    vectors: list[Vector]
    model: str = ""
    usage: Usage | None = None
    format: str = ""
    """The wire format that it came in."""

    def floats(self) -> list[list[float]]:
        """The vectors as lists of numbers."""
        return [floats_of(vector) for vector in self.vectors]


def floats_of(vector: Vector) -> list[float]:
    """The numbers of a vector."""
    if isinstance(vector, list):
        return vector
    numbers = array("f", vector)
    if _SWAPPED:
        numbers.byteswap()
    return numbers.tolist()


def base64_of(vector: Vector) -> str:
    """A vector as base64 of little-endian 32-bit floats."""
    if isinstance(vector, list):
        numbers = array("f", vector)
        if _SWAPPED:
            numbers.byteswap()
        vector = numbers.tobytes()
    return b64encode(vector).decode("ascii")


def unpacked_base64(text: str) -> Packed:
    """The packed vector that base64 stands for. Raises `ValueError` for what is no base64, or no 32-bit floats."""
    packed = b64decode(text, validate=True)
    if len(packed) % _WIDTH:
        raise ValueError(f"{len(packed)} bytes are no whole number of 32-bit floats")
    return packed


def length_of(vector: Vector) -> int:
    """How many numbers a vector has."""
    return len(vector) if isinstance(vector, list) else len(vector) // _WIDTH


def sound(vector: Vector) -> bool:
    """Whether every number is one, finite, and no larger than 32-bit floats can be."""
    if isinstance(vector, list):
        # One pass in C: the length is finite only if they all are.
        return math.hypot(*vector) <= _LARGEST or all(abs(each) <= _LARGEST for each in vector)
    highest = vector[_WIDTH - 1 :: _WIDTH]
    if not any(each in highest for each in _SUSPECT):
        return True
    return all(math.isfinite(each) for each in floats_of(vector))


def flaw_in(vectors: Sequence[Vector], wanted: Embed) -> str | None:
    """Why these are not the vectors of `wanted`, in words; None if they are: one for each input, all of one length, every
    number finite."""
    if len(vectors) != len(wanted.inputs):
        return f"{len(vectors)} vectors came for {len(wanted.inputs)} inputs"
    lengths = {length_of(vector) for vector in vectors}
    if 0 in lengths:
        return "a vector is empty"
    if len(lengths) > 1:
        return f"the vectors are of different lengths: {sorted(lengths)}"
    for index, vector in enumerate(vectors):
        if not sound(vector):
            return f"vector {index} holds what is no finite number"
    return None
