"""One request under observation: its times, and what became of it. The loop makes it, a target writes into it."""

from __future__ import annotations

from decimal import Decimal

import trio

from .histogram import Histogram

__all__ = ["Watch"]


class Watch:
    """Times are on trio's clock.

    `intended` is when the request was to be sent. Whoever measures from when it was really sent leaves out all the time
    that a busy generator, or a slow answer before it, has taken from it ("coordinated omission"), so nothing here does.
    """

    __slots__ = (
        "_gaps", "_last", "attempts", "characters", "cost", "ended", "error", "first", "input_tokens", "intended", "message",
        "output_tokens", "pieces", "started", "vendor",
    )  # fmt: skip

    def __init__(self, intended: float, started: float, gaps: Histogram) -> None:
        self.intended = intended
        self.started = started
        self.first: float | None = None
        """When the first content came; only of streams."""
        self.ended = started
        self.error: str | None = None
        """The class of the failure; None for a whole answer."""
        self.message = ""
        self.vendor: str | None = None
        """Who answered, where that is told."""
        self.attempts = 1
        self.cost: Decimal | None = None
        """Dollars; None where it is not told."""
        self.input_tokens = 0
        """As reported with the answer; 0 where nothing is."""
        self.output_tokens = 0
        self.pieces = 0
        """Pieces of content of a stream, and their characters; of a plain answer only the characters count."""
        self.characters = 0
        self._gaps = gaps
        self._last = 0.0

    def content(self, characters: int) -> None:
        """A piece of a stream's content has come."""
        now = trio.current_time()
        if self.first is None:
            self.first = now
        else:
            self._gaps.add(now - self._last)
        self._last = now
        self.pieces += 1
        self.characters += characters

    def fail(self, error: str, message: str = "") -> None:
        """The request has failed; the first failure that is told counts."""
        if self.error is None:
            self.error = error
            self.message = message[:300]

    @property
    def latency(self) -> float:
        """Seconds from when it was to be sent to the answer's end."""
        return self.ended - self.intended

    @property
    def first_content(self) -> float | None:
        """Seconds from when it was to be sent to the first content."""
        return None if self.first is None else self.first - self.intended
