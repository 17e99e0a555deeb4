"""A request that is passed on, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ..canon import Criticality, Midstream, Usage
from ..dialects.base import Decoder

__all__ = ["ANY", "IDEMPOTENT", "Known", "Passage"]

ANY: Final = "*"
"""The model of the deployment that stands for the whole of a vendor's interface."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be repeated whatever became of the first time (RFC 9110, section 9.2.2)."""


class Known(Struct, frozen=True, kw_only=True):
    """How the answer is read of a request whose path a dialect knows."""

    decoder: Callable[[], Decoder]
    """For one that is streamed."""
    usage: Callable[[bytes], Usage | None]
    """For one that is not. Raises `VendorFault` for what cannot be read."""
    input_tokens: int
    """Estimated."""
    output_tokens: int
    """The most that may come back, or a usual number where the request does not say."""
    streamed: bool
    priced: bool
    """Whether it is of a model that is configured, and so has limits and a price of its own."""


class Passage(Struct, frozen=True, kw_only=True):
    """What is asked of `vendor`. `model` is the name by which a deployment is leased: one of its own, or `vendor/*`.

    `path` is what follows the vendor's base address, without a slash before it, and `query` what follows a question mark;
    both as they came, checked (`paths`). `headers` are those that may go on (`headers`).
    """

    vendor: str
    model: str
    method: str
    path: bytes
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    known: Known | None = None
    mode: str | None = None
    user: str | None = None
    criticality: Criticality = "critical"
    timeout: float | None = None
    hedge: bool | None = False
    midstream: Midstream | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it does no harm to send it twice: the method says so, or what it asks for is an answer like any other."""
        return self.known is not None or self.method in IDEMPOTENT
