"""The contract of a format: how one vendor's interface looks from the vendor's side. Pure, without I/O.

A format is a row of the table in `formats`: it reads requests at its paths, and writes answers, events, errors and
limit headers as its vendor does. What an answer says, and when, is `plan`'s business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from ....runtime.simulated.vectors import EmbeddingsBody
from ..limits import State
from ..script import ErrorKind, RetryStyle

__all__ = ["Answer", "Asked", "Error", "Format", "Unreadable", "characters", "data", "rfc3339"]

_TEXTS: Final = frozenset({"content", "text", "system"})


class Unreadable(Exception):
    """The request is none of this format; the message says why."""


class Asked(Struct, kw_only=True):
    """What a request asks for, as far as a scripted vendor cares."""

    model: str
    stream: bool
    characters: int
    most_tokens: int | None = None
    include_usage: bool = True
    """Whether a stream is to report usage."""
    embeddings: EmbeddingsBody | None = None
    """Vectors are asked for, and nothing is to be said."""


class Answer(Struct, kw_only=True):
    """What all parts of one answer have in common."""

    id: str
    model: str
    created: int
    input_tokens: int
    include_usage: bool
    omit: Sequence[str] = ()
    """`script.Step.omit`."""
    embeddings: EmbeddingsBody | None = None
    """As of `Asked`."""


class Error(Struct, frozen=True):
    """A kind of error as one vendor says it; what `type` and `code` are is the format's own affair."""

    status: int
    message: str
    type: str
    code: str | None = None
    headers: Mapping[str, str] = {}


class Format(ABC):
    """One vendor's interface. Stateless; there is one instance in the table. What is in `answer.omit` is left out."""

    name: ClassVar[str]
    base_path: ClassVar[str]
    """What stands before the format's own paths in a base URL."""
    errors: ClassVar[Mapping[ErrorKind, Error]]
    """Every `script.ErrorKind`."""
    line_end: ClassVar[bytes] = b"\n"
    retry_style: ClassVar[RetryStyle] = "seconds"

    @abstractmethod
    def serves(self, path: str) -> bool:
        """Whether requests to this path are of this format."""

    @abstractmethod
    def read(self, path: str, query: str, body: dict[str, Any]) -> Asked:
        """The request. Raises `Unreadable`."""

    @abstractmethod
    def key(self, headers: Mapping[str, str], query: str) -> str:
        """The caller's key; empty if it sent none."""

    @abstractmethod
    def whole(self, answer: Answer, text: str, tokens: int, finish: str) -> bytes:
        """An answer in one piece. `finish` is `stop` or `length`."""

    @abstractmethod
    def opening(self, answer: Answer) -> list[bytes]:
        """The events before any content."""

    @abstractmethod
    def token(self, answer: Answer, text: str, so_far: int) -> bytes:
        """One event with content, the `so_far`-th."""

    @abstractmethod
    def empty(self, answer: Answer) -> bytes:
        """An event without content that is no ping."""

    @abstractmethod
    def ping(self) -> bytes:
        """What keeps a connection alive and says nothing."""

    @abstractmethod
    def closing(self, answer: Answer, tokens: int, finish: str) -> list[bytes]:
        """The events after the content, usage and the terminal one included."""

    @abstractmethod
    def error_body(
        self, error: Error, message: str, retry_after: float | None, number: int
    ) -> dict[str, Any]:
        """The body of a refusal."""

    @abstractmethod
    def error_events(self, body: dict[str, Any]) -> list[bytes]:
        """The same within a stream, to its end."""

    @abstractmethod
    def limit_headers(self, states: Sequence[State], wall_now: float) -> dict[str, str]:
        """The headers that tell of limits; empty if the vendor has none."""


def characters(node: Any) -> int:
    """Characters of all texts below `node`: the values of `content`, `text` and `system`, however nested."""
    if isinstance(node, list):
        return sum([characters(each) for each in node])
    if not isinstance(node, dict):
        return 0
    return sum(
        [
            len(value) if isinstance(value, str) and name in _TEXTS else characters(value)
            for name, value in node.items()
        ]
    )


def data(payload: Any, line_end: bytes = b"\n", event: str | None = None) -> bytes:
    """One server-sent event."""
    name = b"" if event is None else b"event: " + event.encode() + line_end
    return name + b"data: " + msgspec.json.encode(payload) + line_end * 2


def rfc3339(wall: float) -> str:
    """A time of the wall clock as Anthropic writes it."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
