"""One lease, one HTTP exchange, one settlement.

An `Attempt` is used as a context manager around one exchange with one deployment, in the task of whoever
asked. However it is left (an answer, a fault, a cancellation), the connection is given back or closed, and the
vendor's actor is told once how it ended and what was used.

Each phase has its own clock: until the first content, between contents, and the whole request's deadline.
The clock for the vendor's silence runs only while we are reading, so a caller who is slow to take what he
asked for is not held against the vendor.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Final, Self

import httpx
import trio

from ..actors.faults import FaultClass
from ..actors.messages import FirstContent, Lease, Settle, Spent, Used
from .canon import (
    CONTENT_EVENTS,
    Completion,
    Event,
    Failed,
    Fault,
    OpaqueDelta,
    Request,
    Usage,
    UsageReported,
)
from .clock import wall_now
from .deployment import Deployment
from .dialects import Answer, Decoder, Unsupported, VendorFault
from .estimate import BYTES_PER_TOKEN
from .prices import cost_of
from .reply import AttemptRecord
from .wire.client_errors import NameNotResolved, StaleConnection, TLSFailed

__all__ = ["Attempt"]

_MOST_BODY: Final = 64 * 2**20
_MOST_REFUSAL: Final = 64 * 2**10
"""Bytes of a whole answer, and of a refusal, that are read at most."""

_LINGER: Final = 0.1
"""Seconds for which the end of a body is waited for after the vendor's last event."""

_BY_EXCEPTION: Final[tuple[tuple[type[Exception], FaultClass], ...]] = (
    (StaleConnection, FaultClass.STALE_CONNECTION),
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


def _stream_of(response: httpx.Response) -> AsyncIterable[bytes]:
    """The body as it arrives. Not `aiter_raw`, whose generator would have to be closed when it is left early."""
    body = response.stream
    if not isinstance(body, AsyncIterable):
        raise TypeError("the transport's answer has no asynchronous body")
    return body


class Attempt:
    """See the module's docstring. `deadline` is the whole request's, on the event loop's clock."""

    def __init__(
        self,
        deployment: Deployment,
        lease: Lease,
        request: Request,
        *,
        stream: bool,
        deadline: float,
        input_estimate: int,
    ) -> None:
        self.deployment = deployment
        self.lease = lease
        self.dropped: tuple[str, ...] = ()
        self.first_token: float | None = None
        self.seconds = 0.0
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        self._request = request
        self._stream = stream
        self._deadline = deadline
        self._input_estimate = input_estimate
        self._started_at = 0.0
        self._sent = False
        self._ended = False
        self._settled = False
        self._characters = 0
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._decoder: Decoder | None = None
        self._patience = 0.0

    @property
    def committed(self) -> bool:
        """Whether content has begun to arrive in this stream."""
        return self._stream and self.first_token is not None

    @property
    def finished(self) -> bool:
        """Whether the vendor's answer is complete."""
        return self._ended

    # --- lifetime ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._settle()
            if self._ended and self._pieces is not None:
                await self._read_out(self._pieces)
        finally:
            if self._response is not None:
                await self._response.aclose()

    @staticmethod
    async def _read_out(pieces: AsyncIterator[bytes]) -> None:
        """Read what is left of a complete stream's body, for a moment: its end lets the connection be used again."""
        with trio.move_on_after(_LINGER):
            try:
                while await anext(pieces, b""):
                    pass
            except httpx.HTTPError:
                return

    def _settle(self) -> None:
        """Tell the vendor's actor how it ended. Sync, so that a cancelled task can do it too."""
        if self._settled:
            return
        self._settled = True
        now = trio.current_time()
        self.seconds = now - self._started_at if self._sent else 0.0
        fault = None if self._ended else self.fault or self._abandoned(now)
        self.fault = fault
        hint = fault.retry_after if fault is not None else None
        self.deployment.mailbox.tell(
            Settle(
                permit=self.lease.permit,
                deployment=self.lease.deployment,
                fault=fault.kind if fault is not None else None,
                committed=self.committed,
                sent=self._sent,
                retry_at=None if hint is None else now + hint,
                used=None if self.usage is None else self._used(self.usage),
                seconds=self.seconds,
            )
        )

    @staticmethod
    def _used(usage: Usage) -> Used:
        return Used(usage.input_tokens, usage.cache_read_tokens, usage.output_tokens)

    def _abandoned(self, now: float) -> Fault:
        """Why an attempt was left without an end: its deadline passed, or its caller went away."""
        if self._sent and now >= self._deadline:
            return Fault(kind=FaultClass.TTFT_TIMEOUT, message="no answer before the request's deadline")
        return Fault(kind=FaultClass.CLIENT_GONE, message="the caller went away")

    def spent(self) -> Spent:
        """Tokens and money of this attempt: what the vendor reported, else the house's own count.

        A failure that is known to be free costs nothing; one after content had begun costs at least
        what was seen to pass.
        """
        usage = self.usage
        if usage is None and self.fault is not None and not self.committed:
            return Spent(cost=cost_of(Usage(), self.deployment.model.price))
        estimated = usage is None
        if usage is None:
            usage = Usage(
                input_tokens=self._input_estimate,
                output_tokens=math.ceil(self._characters / BYTES_PER_TOKEN),
            )
        return Spent(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost=cost_of(usage, self.deployment.model.price),
            estimated=estimated,
        )

    def record(self, spent: Spent) -> AttemptRecord:
        """This attempt for the caller to read."""
        fault = self.fault
        return AttemptRecord(
            vendor=self.deployment.vendor,
            deployment=self.deployment.name,
            fault=None if fault is None else fault.kind.value,
            message=None if fault is None else fault.message,
            seconds=self.seconds,
            first_token=self.first_token,
            usage=self.usage,
            cost=spent.cost,
        )

    # --- the exchange -----------------------------------------------------------------------

    async def wait_for_start(self) -> None:
        """Wait until the lease begins."""
        if self.lease.start_at > trio.current_time():
            await trio.sleep_until(self.lease.start_at)

    async def complete(self) -> Completion:
        """The whole answer. Raises `VendorFault`, or `Unsupported` before anything was sent.

        The caller's scope keeps the request's deadline.
        """
        body = await self._read_body(await self._send(), _MOST_BODY)
        try:
            completion = self.deployment.dialect.completion(body)
        except VendorFault as refusal:
            self.fault = refusal.fault
            raise
        self.usage = completion.usage
        self._ended = True
        return completion

    async def open(self) -> None:
        """Send the request and wait for the vendor to begin. Raises as `complete` does."""
        self._patience = float(self.deployment.timeouts.first_token)
        begun = trio.current_time()
        with trio.CancelScope(deadline=begun + self._patience) as scope:
            self._pieces = await self._send()
            self._decoder = self.deployment.dialect.decoder()
        if scope.cancelled_caught:
            raise self._failed(FaultClass.TTFT_TIMEOUT, "no answer in time")
        self._patience -= trio.current_time() - begun

    async def read(self) -> list[Event]:
        """The next events; empty when the answer is complete. Raises `VendorFault`, also when it was cut."""
        decoder, pieces = self._decoder, self._pieces
        if decoder is None or pieces is None or self._ended:
            return []
        while True:
            piece = await self._next_piece(pieces)
            events = decoder.feed(piece) if piece else decoder.close()
            self._observe(events)
            last = events[-1] if events else None
            if isinstance(last, Failed):
                self.fault = last.fault
                events.pop()
                if not events:
                    raise VendorFault(self.fault)
                return events
            if not piece or decoder.finished:
                self._ended = True
                return events
            if events:
                return events

    def pending_fault(self) -> Fault | None:
        """A fault that came in one piece with events that have been handed out already."""
        return None if self._ended else self.fault

    async def _next_piece(self, pieces: AsyncIterator[bytes]) -> bytes:
        """The next bytes of the body; empty at its end."""
        begun = trio.current_time()
        with trio.CancelScope(deadline=min(self._deadline, begun + self._patience)) as scope:
            try:
                piece = await anext(pieces, b"")
            except httpx.HTTPError as error:
                raise self._broken(error, FaultClass.TRUNCATED) from error
        if scope.cancelled_caught:
            kind = FaultClass.STALLED if self.committed else FaultClass.TTFT_TIMEOUT
            raise self._failed(kind, "the vendor went silent")
        self._patience -= trio.current_time() - begun
        return piece

    def _observe(self, events: list[Event]) -> None:
        """Note what the events say of the attempt: the first content, the usage, the vendor's liveliness."""
        content = False
        for event in events:
            kind = type(event)
            if kind in CONTENT_EVENTS or (isinstance(event, OpaqueDelta) and event.content):
                content = True
                self._characters += len(getattr(event, "text", "")) + len(getattr(event, "arguments", ""))
            elif isinstance(event, UsageReported):
                self.usage = event.usage
        if not content:
            return
        self._patience = float(self.deployment.timeouts.between_tokens)
        if self.first_token is None:
            self.first_token = trio.current_time() - self._started_at
            self.deployment.mailbox.tell(
                FirstContent(self.lease.permit, self.lease.deployment, self.first_token)
            )

    async def _send(self) -> AsyncIterator[bytes]:
        """Send the request and read the answer's head; the body comes back, a refusal is read and raised."""
        built = self.deployment.dialect.build(self._request, stream=self._stream)
        self.dropped = built.dropped
        request = built.request
        request.extensions = {"timeout": {"connect": float(self.deployment.timeouts.connect)}}
        self._started_at = trio.current_time()
        self._sent = True
        try:
            self._response = response = await self.deployment.transport.handle_async_request(request)
        except httpx.ConnectError as error:
            self._sent = False
            raise self._broken(error, FaultClass.CONNECT) from error
        except httpx.HTTPError as error:
            raise self._broken(error, FaultClass.SERVER_ERROR) from error
        body_pieces = aiter(_stream_of(response))
        if response.status_code != 200:
            body = await self._read_body(body_pieces, _MOST_REFUSAL, cut=True)
            headers = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status_code, headers, body, wall_now())
            self.fault = self.deployment.dialect.fault(answer)
            raise VendorFault(self.fault)
        return body_pieces

    async def _read_body(self, source: AsyncIterator[bytes], most: int, *, cut: bool = False) -> bytes:
        """The whole body, at most `most` bytes: more are cut off, or are a fault."""
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await anext(source, b""):
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    if cut:
                        break
                    raise self._failed(FaultClass.OVERSIZED, f"the answer is larger than {most} bytes")
        except httpx.HTTPError as error:
            if not cut:
                raise self._broken(error, FaultClass.TRUNCATED) from error
        return b"".join(pieces)[:most]

    # --- failing ----------------------------------------------------------------------------

    def _failed(self, kind: FaultClass, message: str) -> VendorFault:
        self.fault = Fault(kind=kind, message=message)
        return VendorFault(self.fault)

    def _broken(self, error: httpx.HTTPError, otherwise: FaultClass) -> VendorFault:
        kind = next((kind for exception, kind in _BY_EXCEPTION if isinstance(error, exception)), otherwise)
        if kind is FaultClass.MALFORMED and otherwise is FaultClass.TRUNCATED:
            # A body that ends before its declared length reads as a protocol error: it was cut.
            kind = otherwise
        return self._failed(kind, str(error) or type(error).__name__)

    def unsupported(self, error: Unsupported) -> Fault:
        """Note that this vendor cannot say what was asked: another might."""
        self.fault = Fault(
            kind=FaultClass.BAD_REQUEST, message=str(error), code="unsupported_feature", param=error.feature
        )
        return self.fault
