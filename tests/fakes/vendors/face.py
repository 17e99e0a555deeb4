"""The contract of a wire format seen from the vendor's side. One object serves one exchange."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from .asked import Asked, require
from .said import Said

__all__ = ["Face", "sse"]


class Face(ABC):
    """Reads one request and writes the answer to it."""

    stream_type: ClassVar[str] = "text/event-stream"

    @abstractmethod
    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Asked:
        """What is asked. Raises `Malformed`. `path` begins below the vendor's address and has the query, if there is one."""

    @abstractmethod
    def whole(self, said: Said) -> bytes:
        """An answer in one piece."""

    @abstractmethod
    def opening(self, said: Said) -> list[bytes]:
        """The events before the text, thoughts included."""

    @abstractmethod
    def token(self, text: str) -> bytes:
        """One event with a piece of the text."""

    @abstractmethod
    def closing(self, said: Said) -> list[bytes]:
        """The events after the text: a call, usage, and why the answer ends."""

    @abstractmethod
    def refusal(self, status: int, message: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of a refusal."""


def sse(payload: Any, event: str | None = None) -> bytes:
    """A server-sent event."""
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {json.dumps(payload)}\n\n".encode()


def bearer(headers: Mapping[str, str]) -> None:
    """Raises `Malformed` where the key is not sent as a bearer token."""
    require(headers.get("authorization") == "Bearer sk-theirs", "the key is not sent as a bearer token")
