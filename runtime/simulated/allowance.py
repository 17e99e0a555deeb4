"""A simulated vendor's own rate limits: requests and tokens per minute, and the headers that tell of them.

Both are continuous buckets, as OpenAI's are. A request is counted with the tokens it really uses, which
a simulated vendor knows beforehand. What is refused is not counted.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from ...actors.machines.bucket import TokenBucket
from ..config.schema import Limits

__all__ = ["Allowance", "Exceeded"]

_MINUTE: Final = 60.0

_GRACE: Final = 1.0
"""Seconds' worth of a limit that is let through above the burst, so that a client who keeps to the limit exactly
is not refused because two of its requests came a little closer together than it sent them."""


class Exceeded(Struct, frozen=True):
    """A limit is reached. `wait` is in seconds; `what` is `requests` or `tokens`."""

    what: str
    limit: int
    wait: float


class _Dimension(Struct):
    what: str
    limit: int
    bucket: TokenBucket

    def cost(self, tokens: int) -> float:
        """What a request of so many tokens takes; one whole request may always pass an empty limit."""
        return min(1.0 if self.what == "requests" else tokens, self.bucket.burst)


class Allowance:
    """What is left of `limits`. Raises `ValueError` for a limit of nothing."""

    def __init__(self, limits: Limits) -> None:
        given = (("requests", limits.requests_per_minute), ("tokens", limits.tokens_per_minute))
        self._dimensions = [
            _Dimension(
                what,
                limit,
                TokenBucket(limit / _MINUTE, max(1.0, limits.burst * limit) + _GRACE * limit / _MINUTE),
            )
            for what, limit in given
            if limit is not None
        ]

    def admit(self, tokens: int, now: float) -> Exceeded | None:
        """Count a request of `tokens` tokens, or say which limit forbids it."""
        for dimension in self._dimensions:
            wait = dimension.bucket.wait(dimension.cost(tokens), now)
            if wait > 0:
                return Exceeded(dimension.what, dimension.limit, wait)
        for dimension in self._dimensions:
            dimension.bucket.take(dimension.cost(tokens), now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        """OpenAI's `x-ratelimit-*` headers; none for what is not limited."""
        headers = {}
        for dimension in self._dimensions:
            what, left = dimension.what, dimension.bucket.statistics(now)
            headers[f"x-ratelimit-limit-{what}"] = str(dimension.limit)
            headers[f"x-ratelimit-remaining-{what}"] = str(max(0, math.floor(left.available)))
            headers[f"x-ratelimit-reset-{what}"] = _duration(left.full_at - now)
        return headers


def _duration(seconds: float) -> str:
    """As Go writes durations, and so OpenAI: `0s`, `120ms`, `8.64s`, `1m30s`."""
    if seconds < 1:
        milliseconds = math.ceil(seconds * 1000)
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(seconds, 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}m{text}s" if minutes else f"{text}s"
