"""One deployment as the data plane sees it: its dialect, its way out, its timeouts and its price."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec import Struct

from ..actors.mailbox import Mailbox
from .config.schema import Model, Timeouts
from .dialects import BatchLimits, Dialect
from .stalls import Stalls

__all__ = ["Deployment"]


class Deployment(Struct, frozen=True, kw_only=True):
    """Made once when the configuration is loaded, and shared by all requests."""

    name: str
    vendor: str
    model: Model
    dialect: Dialect
    transport: httpx.AsyncBaseTransport
    timeouts: Timeouts
    mailbox: Mailbox[Any]
    """The vendor's actor, which every attempt is settled with."""
    batch: BatchLimits | None = None
    """What one call for embeddings may hold; None if it makes none."""
    drains: bool = False
    """Whether an answer is read to its end when the caller has left (`on_disconnect`)."""
    stalls: Stalls = Stalls()
    """Whether it was this process that stood still when a clock ran out. This default is never told."""
