"""The HTTP side of an attempt: one request and its answer, read within bounds, and what a transport's exceptions mean.

A vendor's time begins when there is a connection for it. Waiting for one of our own (`max_connections`) is not the
vendor's slowness, so no clock of his runs meanwhile, and nothing has been sent: the transport says when that begins and ends.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

import httpx
import trio

from ..actors.faults import FaultClass
from .canon import Fault
from .dialects import VendorFault
from .wire.client_errors import (
    ConnectionRefused,
    NameNotResolved,
    NotProcessed,
    OversizedHead,
    StaleConnection,
    TLSFailed,
)

__all__ = ["MOST_BODY", "Exchange", "broken"]

MOST_BODY: Final = 64 * 2**20
_MOST_REFUSAL: Final = 64 * 2**10
"""Bytes of a whole answer, and of a refusal, that are read at most."""

_LINGER: Final = 0.1
"""Seconds for which the end of a body is waited for after the vendor's last event, and for a connection to close."""


class _Nothing:
    """The body before there is one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


_NOTHING: Final = _Nothing()

_BY_EXCEPTION: Final[tuple[tuple[type[Exception], FaultClass], ...]] = (
    (StaleConnection, FaultClass.STALE_CONNECTION),
    (NotProcessed, FaultClass.NOT_PROCESSED),
    (TLSFailed, FaultClass.TLS),
    (NameNotResolved, FaultClass.CONNECT),
    (httpx.ConnectError, FaultClass.CONNECT),
    (httpx.ConnectTimeout, FaultClass.CONNECT),
    (httpx.ProxyError, FaultClass.CONNECT),
    (httpx.ReadTimeout, FaultClass.TTFT_TIMEOUT),
    (OversizedHead, FaultClass.OVERSIZED),
    (httpx.RemoteProtocolError, FaultClass.MALFORMED),
    (httpx.DecodingError, FaultClass.MALFORMED),
    (httpx.PoolTimeout, FaultClass.LOCAL),
)
"""What a transport's exception means; the first row that fits counts. Anything else: the connection broke."""


def _answered(error: httpx.HTTPError) -> bool:
    """Whether somebody at the vendor's address answered, if only with a refusal: then our own network is well."""
    return isinstance(error, ConnectionRefused | TLSFailed)


def broken(error: httpx.HTTPError, otherwise: FaultClass) -> Fault:
    """The fault that a transport's exception stands for; `otherwise` where it only says that the connection broke."""
    kind = next((kind for exception, kind in _BY_EXCEPTION if isinstance(error, exception)), otherwise)
    if kind is FaultClass.MALFORMED and otherwise is FaultClass.TRUNCATED:
        # A body that ends before its declared length reads as a protocol error: it was cut.
        kind = otherwise
    return Fault(kind=kind, message=str(error) or type(error).__name__)


class Exchange:
    """One request and its answer. Its owner calls `close` however it ends."""

    __slots__ = (
        "_body", "_exhausted", "_first", "_patience", "_response", "_transport", "answered", "headers", "sent", "started_at",
        "status",
    )  # fmt: skip

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.sent = False
        """Whether the vendor may have seen anything of it."""
        self.started_at = 0.0
        """When it was sent, or began to wait for a connection; on the event loop's clock."""
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.answered = False
        """Where nothing could be sent: whether somebody at the vendor's address answered, if only with a refusal."""
        self._transport = transport
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] = _NOTHING
        self._exhausted = False
        self._patience: trio.CancelScope | None = None
        self._first = math.inf

    def patience(self, seconds: float) -> trio.CancelScope:
        """A scope that ends so long after the sending, unless `send` and what follows it are done by then."""
        self._first = seconds
        self._patience = trio.CancelScope(deadline=trio.current_time() + seconds)
        return self._patience

    async def send(self, request: httpx.Request, *, connect: float, fresh: bool) -> int:
        """Send `request`, and wait for the answer's head: its status is returned. Raises `httpx.HTTPError`, and
        `VendorFault` where there were no credentials for it.

        `connect`: seconds that a new connection may take; `fresh`: not on one that was used before.
        """
        request.extensions = {"timeout": {"connect": connect}, "waiting": self._waits}
        if fresh:
            request.extensions["fresh"] = True
        self.started_at = trio.current_time()
        self.sent = True
        try:
            self._response = response = await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            self.sent = self.sent and not _unsent(error)
            self.answered = _answered(error)
            raise
        except VendorFault:
            # Whoever puts credentials on had none: nothing was sent.
            self.sent = False
            raise
        finally:
            # Nobody waits any more. Left there, it would keep request and answer until the garbage collector looks.
            request.extensions.pop("waiting", None)
        self.status = response.status_code
        self.headers = response.headers.raw
        self._body = _body_of(response)
        return response.status_code

    def text_headers(self) -> dict[str, str]:
        """The answer's header fields, by their names in lower case."""
        fields = {} if self._response is None else self._response.headers
        return {name.lower(): value for name, value in fields.items()}

    def _waits(self, waiting: bool) -> None:
        """The request has begun to wait for one of our own connections, or has got one."""
        self.sent = not waiting
        self.started_at = trio.current_time()
        if self._patience is not None:
            self._patience.deadline = math.inf if waiting else self.started_at + self._first

    async def next_piece(self, seconds: float) -> bytes:
        """The next bytes of the body; empty at its end. Raises `httpx.ReadTimeout` when none come within so many seconds.

        The own transport's body keeps the time itself, at a small part of a cancel scope's price (`wire.client`).
        """
        body: Any = self._body
        if hasattr(body, "read_timeout"):
            body.read_timeout = seconds
            piece: bytes = await anext(body, b"")
            return piece
        with trio.move_on_after(seconds):
            return await anext(self._body, b"")
        raise httpx.ReadTimeout(f"nothing received for {seconds} s")

    async def read_whole(self) -> bytes:
        """The whole body. Raises `VendorFault` if it is cut, or too long."""
        found: list[bytes] = []
        size = 0
        try:
            while piece := await anext(self._body, b""):
                found.append(piece)
                size += len(piece)
                if size > MOST_BODY:
                    message = f"the answer is larger than {MOST_BODY} bytes"
                    raise VendorFault(Fault(kind=FaultClass.OVERSIZED, message=message))
        except httpx.HTTPError as error:
            raise VendorFault(broken(error, FaultClass.TRUNCATED)) from error
        self._exhausted = True
        return found[0] if len(found) == 1 else b"".join(found)

    async def read_refusal(self) -> bytes:
        """As much of a refusal's body as can be had, within bounds."""
        found: list[bytes] = []
        size = 0
        try:
            while size < _MOST_REFUSAL and (piece := await anext(self._body, b"")):
                found.append(piece)
                size += len(piece)
        except httpx.HTTPError:
            # The status is known, and says the most.
            pass
        return b"".join(found)[:_MOST_REFUSAL]

    async def close(self, *, complete: bool) -> None:
        """Give back the connection, or close it. `complete`: the vendor's answer is, if perhaps not yet its body.

        Takes at most a tenth of a second for either, also when cancelled.
        """
        response = self._response
        if response is None:
            return
        if complete and self._exhausted:
            # There is nothing to wait for.
            await response.aclose()
            return
        if complete:
            with trio.CancelScope(deadline=trio.current_time() + _LINGER, shield=True):
                await self._read_out()
        with trio.CancelScope(deadline=trio.current_time() + _LINGER, shield=True):
            await response.aclose()

    async def _read_out(self) -> None:
        """Read what is left of a complete stream's body: its end lets the connection be used again."""
        try:
            while await anext(self._body, b""):
                pass
        except httpx.HTTPError:
            return


def _body_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it arrives. Not `aiter_raw`, whose generator would have to be closed when it is left early."""
    body = response.stream
    if not isinstance(body, AsyncIterable):
        raise TypeError("the transport's answer has no asynchronous body")
    return aiter(body)


def _unsent(error: httpx.HTTPError) -> bool:
    """Whether it is certain that the vendor has seen nothing of the request."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
