"""The HTTP side of an attempt: bodies read within bounds, and what a transport's exceptions mean."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

import httpx
import trio

from ..actors.faults import FaultClass
from .canon import Fault
from .dialects import VendorFault
from .wire.client_errors import ConnectionRefused, NameNotResolved, NotProcessed, StaleConnection, TLSFailed

__all__ = ["MOST_BODY", "answered", "body_of", "broken", "next_piece", "read_refusal", "read_whole", "unsent"]

MOST_BODY: Final = 64 * 2**20
_MOST_REFUSAL: Final = 64 * 2**10
"""Bytes of a whole answer, and of a refusal, that are read at most."""

_BY_EXCEPTION: Final[tuple[tuple[type[Exception], FaultClass], ...]] = (
    (StaleConnection, FaultClass.STALE_CONNECTION),
    (NotProcessed, FaultClass.NOT_PROCESSED),
    (TLSFailed, FaultClass.TLS),
    (NameNotResolved, FaultClass.CONNECT),
    (httpx.ConnectError, FaultClass.CONNECT),
    (httpx.ConnectTimeout, FaultClass.CONNECT),
    (httpx.ProxyError, FaultClass.CONNECT),
    (httpx.ReadTimeout, FaultClass.TTFT_TIMEOUT),
    (httpx.RemoteProtocolError, FaultClass.MALFORMED),
    (httpx.DecodingError, FaultClass.MALFORMED),
    (httpx.PoolTimeout, FaultClass.LOCAL),
)
"""What a transport's exception means; the first row that fits counts. Anything else: the connection broke."""


def body_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it arrives. Not `aiter_raw`, whose generator would have to be closed when it is left early."""
    body = response.stream
    if not isinstance(body, AsyncIterable):
        raise TypeError("the transport's answer has no asynchronous body")
    return aiter(body)


def unsent(error: httpx.HTTPError) -> bool:
    """Whether it is certain that the vendor has seen nothing of the request."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)


def answered(error: httpx.HTTPError) -> bool:
    """Whether somebody at the vendor's address answered, if only with a refusal: then our own network is well."""
    return isinstance(error, ConnectionRefused | TLSFailed)


def broken(error: httpx.HTTPError, otherwise: FaultClass) -> Fault:
    """The fault that a transport's exception stands for; `otherwise` where it only says that the connection broke."""
    kind = next((kind for exception, kind in _BY_EXCEPTION if isinstance(error, exception)), otherwise)
    if kind is FaultClass.MALFORMED and otherwise is FaultClass.TRUNCATED:
        # A body that ends before its declared length reads as a protocol error: it was cut.
        kind = otherwise
    return Fault(kind=kind, message=str(error) or type(error).__name__)


async def next_piece(pieces: AsyncIterator[bytes], seconds: float) -> bytes:
    """The next bytes of the body; empty at its end. Raises `httpx.ReadTimeout` when none come within so many seconds.

    The own transport's body keeps the time itself, at a small part of a cancel scope's price (`wire.client`).
    """
    if hasattr(pieces, "read_timeout"):
        timed: Any = pieces
        timed.read_timeout = seconds
        return await anext(pieces, b"")
    with trio.move_on_after(seconds):
        return await anext(pieces, b"")
    raise httpx.ReadTimeout(f"nothing received for {seconds} s")


async def read_whole(pieces: AsyncIterator[bytes], most: int) -> bytes:
    """The whole body. Raises `VendorFault` if it is cut, or longer than `most` bytes."""
    found: list[bytes] = []
    size = 0
    try:
        while piece := await anext(pieces, b""):
            found.append(piece)
            size += len(piece)
            if size > most:
                message = f"the answer is larger than {most} bytes"
                raise VendorFault(Fault(kind=FaultClass.OVERSIZED, message=message))
    except httpx.HTTPError as error:
        raise VendorFault(broken(error, FaultClass.TRUNCATED)) from error
    return found[0] if len(found) == 1 else b"".join(found)


async def read_refusal(pieces: AsyncIterator[bytes]) -> bytes:
    """As much of a refusal's body as can be had, within bounds."""
    found: list[bytes] = []
    size = 0
    try:
        while size < _MOST_REFUSAL and (piece := await anext(pieces, b"")):
            found.append(piece)
            size += len(piece)
    except httpx.HTTPError:
        # The status is known, and says the most.
        pass
    return b"".join(found)[:_MOST_REFUSAL]
