"""The contract of credentials: what is put on every request, and what has to be done so that it is at hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import httpx

__all__ = ["Credentials", "Refused"]


class Refused(Exception):
    """There are no credentials to be had. The message says why; `passing` whether that may be different soon, without
    anybody's doing."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Credentials(ABC):
    """One account's."""

    @abstractmethod
    async def headers(self, request: httpx.Request) -> Mapping[str, str]:
        """The headers to put on `request`, names in lower case. Raises `Refused`."""

    async def run(self, transport: httpx.AsyncBaseTransport) -> None:
        """Keep them fresh until cancelled, asking by way of `transport`. One task for each account; by default there is
        nothing to do, and it ends at once."""
        _ = transport
