"""What a client asks for and gets, whatever it speaks."""

from __future__ import annotations

import math
from typing import Final

import trio
from msgspec import Struct, field

from .history import End
from .story import Client

__all__ = ["PATIENCE", "Answer", "Leaving", "prompt_of"]

PATIENCE: Final = 300.0
"""Seconds after which a client gives its answer up for lost: far beyond any deadline."""


class Leaving(Exception):
    """The client has had enough."""


class Answer(Struct):
    """What a client got. `seams`: where in the text another vendor went on with it."""

    how: End = "cut"
    status: int | None = None
    code: str | None = None
    text: str = ""
    seams: list[int] = field(default_factory=list)
    events: int = 0
    first_at: float | None = None
    """When it saw the first content."""
    ended_at: float = math.inf
    """When it knew that it was over; for one who left, when it did."""

    def add(self, text: str) -> None:
        """More of the answer."""
        if text and self.first_at is None:
            self.first_at = trio.current_time()
        self.text += text

    def fail(self, code: str) -> None:
        """An error, after it had begun."""
        self.how, self.code = "broken", code

    def seam(self) -> None:
        """Another vendor goes on from here."""
        self.seams.append(len(self.text))

    def restart(self) -> None:
        """Another vendor begins anew."""
        self.text, self.seams = "", []


def prompt_of(client: Client) -> str:
    """The text of a request: its number, by which it is known again at the vendor, and words to its length."""
    mark = f"[r{client.number}] "
    words = mark + "tell me about barometers " * (client.characters // 25 + 1)
    return words[: max(len(mark), client.characters)]
