"""One lease, one HTTP exchange, one settlement.

An `Attempt` makes one exchange with one deployment, in the task of whoever asked: `begin` brings the whole answer, or
a stream's first content; `read` the rest of the stream. However it ends (an answer, a fault, a cancellation), its owner
calls `settle`, which tells the vendor's actor once how it ended and what was used and does not wait, and `close`, which
gives back the connection.

Each phase has its own clock: until the first content, between contents (`pace`), and the whole request's deadline.
The clocks for the vendor's silence run only while we are reading, so a caller who is slow to take what he
asked for is not held against the vendor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

import httpx
import trio

from ..actors.faults import FaultClass
from ..actors.messages import FirstContent, Headroom, Lease, Settle
from .canon import (
    CONTENT_EVENTS,
    Event,
    Failed,
    Fault,
    Finished,
    OpaqueDelta,
    UsageReported,
)
from .clock import wall_now
from .deployment import Deployment
from .dialects import Answer, Built, Decoder, Unsupported, VendorFault
from .dialects.headroom import headroom
from .exchange import MOST_BODY, Exchange, broken
from .money import Bill
from .operations import operation_of
from .operations.base import Answer as Whole
from .operations.base import Work
from .pace import Pace
from .reply import AttemptRecord

__all__ = ["OVERSLEPT", "Attempt"]

OVERSLEPT: Final = "overslept"
"""The code of the fault of a lease that was not used in its time."""

_LATE: Final = 0.5
"""Seconds after its beginning that a lease may still be used. What limits promise depends on when requests are sent: after
a standstill all that were to be spread over it would go out at once."""

_GONE: Final = "the caller went away"
_NEVER_SENT: Final = "the request's deadline came before it could be sent"
_STOOD_STILL: Final = "this process stood still while the vendor was waited for"


class Attempt:
    """See the module's docstring. `deadline` is the whole request's, on the event loop's clock.

    `fresh`: not on a connection that was used before.
    """

    _most_body: ClassVar[float] = MOST_BODY
    """Bytes of a stream at most."""

    def __init__(
        self,
        deployment: Deployment,
        lease: Lease,
        request: Work,
        *,
        stream: bool,
        deadline: float,
        input_estimate: int,
        fresh: bool = False,
    ) -> None:
        self.deployment = deployment
        self.lease = lease
        self.dropped: tuple[str, ...] = ()
        self.first_token: float | None = None
        self.seconds = 0.0
        self.fault: Fault | None = None
        self.answer: Whole | None = None
        """The answer, if it is not streamed."""
        self.ready: deque[Event] = deque()
        """The events that `begin` brought, if it is streamed."""
        self.superseded = False
        self.settled = False
        self.left = False
        """Whether it was read on after its caller had left."""
        self._operation = operation_of(request)
        model = deployment.model
        # Not a method of ours: a bill that knew its attempt would keep both, and the request, until the garbage collector looks.
        most = partial(self._operation.most, request, int(model.max_output or model.window))
        self.bill = Bill(model.price, input_estimate, most, getattr(request, "n", 1) or 1)
        self._request = request
        self._stream = stream
        self._deadline = deadline
        self._fresh = fresh
        self._exchange = Exchange(deployment.transport)
        self._ended = False
        self._broken_off = False
        self._finishes: list[Finished] = []
        self._size = 0
        self._headroom: Headroom | None = None
        self._decoder: Decoder | None = None
        self._pace: Pace | None = None

    @property
    def committed(self) -> bool:
        """Whether content has begun to arrive in this stream."""
        return self._stream and self.first_token is not None

    @property
    def finished(self) -> bool:
        """Whether the vendor's answer is complete."""
        return self._ended

    # --- the end ----------------------------------------------------------------------------

    def settle(self, *, superseded: bool = False) -> None:
        """Tell the vendor's actor how it ended, once. Does not wait, so that a cancelled task can do it too."""
        if self.settled:
            return
        self.settled = True
        self.superseded = superseded
        now = trio.current_time()
        if self._exchange.sent:
            self.seconds = now - self._exchange.started_at
            self.bill.send()
        if self._ended:
            self.fault = Fault(kind=FaultClass.CLIENT_GONE, message=_GONE) if self.left else None
        else:
            self.fault = self.fault or self._abandoned(now)
        self.bill.settle(self.fault, complete=self._ended)
        self.deployment.mailbox.tell(self._settlement(None if self._ended else self.fault, now))

    def _settlement(self, fault: Fault | None, now: float) -> Settle:
        retry_after = day_ends_in = None
        if fault is not None:
            retry_after, day_ends_in = fault.retry_after, fault.day_ends_in
        return Settle(
            permit=self.lease.permit,
            deployment=self.lease.deployment,
            fault=None if fault is None else fault.kind,
            status=self._exchange.status,
            answered=self._exchange.answered,
            committed=self.committed,
            sent=self._exchange.sent,
            retry_at=None if retry_after is None else now + retry_after,
            day_ends_at=None if day_ends_in is None else now + day_ends_in,
            used=self.bill.used(),
            exact=not self.bill.spent.estimated,
            headroom=self._headroom,
            seconds=self.seconds,
        )

    def _abandoned(self, now: float) -> Fault:
        """Why an attempt was left without an end: its deadline passed, a hedge was faster, or its caller went away."""
        if self.superseded:
            return Fault(kind=FaultClass.CLIENT_GONE, message="another vendor answered first")
        if now >= self._deadline and not self.committed and not self.left:
            if not self._exchange.sent:
                return Fault(kind=FaultClass.LOCAL, message=_NEVER_SENT)
            if self._stood_still:
                return Fault(kind=FaultClass.LOCAL, message=_STOOD_STILL)
            return Fault(kind=FaultClass.TTFT_TIMEOUT, message="no answer before the request's deadline")
        return Fault(kind=FaultClass.CLIENT_GONE, message=_GONE)

    async def close(self) -> None:
        """See `Exchange.close`."""
        await self._exchange.close(complete=self._ended)

    def leave(self, _then: Callable[[], None], /) -> bool:
        """The caller has left: whether the attempt goes on without him, to call its argument at its end."""
        return False

    def record(self) -> AttemptRecord:
        """This attempt for the caller to read, once settled."""
        fault, spent = self.fault, self.bill.spent
        return AttemptRecord(
            vendor=self.deployment.vendor,
            deployment=self.deployment.name,
            fault=None if fault is None else fault.kind.value,
            message=None if fault is None else fault.message,
            seconds=self.seconds,
            first_token=self.first_token,
            usage=self.bill.usage,
            cost=spent.cost,
            bill=self.bill.state.value,
            ceiling=spent.ceiling,
            superseded=self.superseded,
        )

    # --- the exchange -----------------------------------------------------------------------

    async def begin(self) -> None:
        """Wait for the lease to begin, and for the answer: the whole of it, or a stream up to its first content.

        Raises `VendorFault`, or `Unsupported` before anything was sent. The caller's scope keeps the deadline.
        """
        start_at = self.lease.start_at
        now = trio.current_time()
        if start_at > now:
            await trio.sleep_until(start_at)
            now = trio.current_time()
        if now > start_at + _LATE:
            self.fault = Fault(
                kind=FaultClass.LOCAL, message="its time to be sent was missed", code=OVERSLEPT
            )
            raise VendorFault(self.fault)
        if not self._stream:
            await self._complete()
            return
        await self._open()
        while True:
            # Not `self.read`: who carries out the steps elsewhere has this one carried out as a whole.
            events = await Attempt.read(self)
            self.ready.extend(events)
            if self.fault is not None:
                # What came with the fault has not been handed out: another vendor can still take over.
                raise VendorFault(self.fault)
            if self.committed or self._ended:
                return

    async def _complete(self) -> None:
        built = await self._send()
        operation = self._operation
        try:
            body = await self._exchange.read_whole()
            answer = operation.read(self.deployment.dialect, body, self._request, built)
        except VendorFault as refusal:
            self.fault = refusal.fault
            raise
        if answer.usage is not None:
            self.bill.report(answer.usage)
        else:
            operation.count(answer, self.bill)
        flaw = operation.flaw(answer, self._request)
        if flaw is not None:
            self.fault = flaw
            raise VendorFault(flaw)
        self.answer = answer
        self._ended = True

    async def _open(self) -> None:
        timeouts = self.deployment.timeouts
        first = self._first_patience()
        pace = self._pace = Pace(first, float(timeouts.between_tokens), timeouts.least_pace)
        with self._exchange.patience(first) as scope:
            built = await self._send()
            self._decoder = self._operation.decoder(self.deployment.dialect, built)
        if scope.cancelled_caught:
            raise self._out_of_time(FaultClass.TTFT_TIMEOUT, "no answer in time")
        pace.passed(trio.current_time() - self._exchange.started_at)

    def _first_patience(self) -> float:
        """Seconds that the first content may take."""
        return float(self.deployment.timeouts.first_token)

    async def read(self) -> list[Event]:
        """The next events; empty when the answer is complete. Raises `VendorFault`, also when it was cut.

        A fault that came in one piece with events is raised by the next call.
        """
        decoder = self._decoder
        if self.fault is not None:
            raise VendorFault(self.fault)
        if decoder is None or self._ended:
            return []
        if self._broken_off:
            # The transport closed the connection then: what follows is lost, and this is no end.
            raise self._failed(FaultClass.CLIENT_GONE, "the reading was broken off by the caller")
        while True:
            piece = await self._next_piece()
            self._size += len(piece)
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
                if self.first_token is None and self._empty():
                    raise self._failed(FaultClass.EMPTY_OK, "the stream ended without any content")
                self._ended = True
                return events
            if self._size > self._most_body:
                raise self._failed(FaultClass.OVERSIZED, f"the stream is longer than {MOST_BODY} bytes")
            if events:
                return events

    def _empty(self) -> bool:
        """Whether a stream that has ended without content is no answer."""
        return self._operation.empty(self.deployment.dialect, self._finishes, self._request)

    async def _next_piece(self) -> bytes:
        """The next bytes of the body; empty at its end."""
        pace = self._pace
        if pace is None:
            return b""
        begun = trio.current_time()
        left = pace.left
        if self.committed:
            # Before that the scope of whoever makes the attempts keeps the deadline.
            left = min(left, self._deadline - begun)
        if left <= 0:
            raise self._silent(pace)
        try:
            piece = await self._exchange.next_piece(left)
        except httpx.ReadTimeout as error:
            raise self._silent(pace) from error
        except httpx.HTTPError as error:
            raise self._broken(error, FaultClass.TRUNCATED) from error
        except trio.Cancelled:
            self._broken_off = True
            raise
        pace.passed(trio.current_time() - begun)
        return piece

    def _silent(self, pace: Pace) -> VendorFault:
        """Nothing came any more for as long as somebody was to wait."""
        if self.committed and trio.current_time() >= self._deadline:
            return self._failed(FaultClass.LOCAL, "the request's deadline came before the answer's end")
        return self._out_of_time(pace.overrun, "the vendor went silent, or nearly so")

    def _observe(self, events: list[Event]) -> None:
        """Note what the events say of the attempt: the first content, the usage, the vendor's liveliness."""
        content = characters = 0
        usage = None
        for event in events:
            kind = type(event)
            if kind in CONTENT_EVENTS or (isinstance(event, OpaqueDelta) and event.content):
                content += 1
                characters += len(getattr(event, "text", "")) + len(getattr(event, "arguments", ""))
            elif isinstance(event, UsageReported):
                usage = event.usage
            elif isinstance(event, Finished):
                self._finishes.append(event)
                self.bill.finish()
        if usage is not None:
            self.bill.report(usage)
        if not content or self._pace is None:
            return
        self.bill.count(content, characters)
        self._pace.content(content)
        if self.first_token is None:
            self.first_token = trio.current_time() - self._exchange.started_at
            self.deployment.mailbox.tell(
                FirstContent(self.lease.permit, self.lease.deployment, self.first_token)
            )

    async def _send(self) -> Built:
        """Send the request and read the answer's head; what was sent is returned, a refusal is read and raised."""
        dialect, exchange = self.deployment.dialect, self._exchange
        built = self._operation.build(dialect, self._request, stream=self._stream)
        self.dropped = built.dropped
        connect = float(self.deployment.timeouts.connect)
        try:
            status = await exchange.send(built.request, connect=connect, fresh=self._fresh)
        except VendorFault as refusal:
            self.fault = refusal.fault
            raise
        except httpx.HTTPError as error:
            raise self._broken(error, FaultClass.SERVER_ERROR) from error
        self._headroom = headroom(exchange.headers)
        if not self._accepts(status):
            body = await exchange.read_refusal()
            self.fault = self._refused(Answer(status, exchange.text_headers(), body, wall_now()))
            raise VendorFault(self.fault)
        self.bill.accept()
        return built

    def _accepts(self, status: int) -> bool:
        """Whether an answer of that status is one."""
        return status == 200

    def _refused(self, answer: Answer) -> Fault:
        """What a refusal means."""
        return self.deployment.dialect.fault(answer)

    # --- failing ----------------------------------------------------------------------------

    def _failed(self, kind: FaultClass, message: str) -> VendorFault:
        self.fault = Fault(kind=kind, message=message)
        return VendorFault(self.fault)

    @property
    def _stood_still(self) -> bool:
        """Whether this process did, while the vendor was waited for."""
        return self.deployment.stalls.since(self._exchange.started_at)

    def _out_of_time(self, kind: FaultClass, message: str) -> VendorFault:
        """A clock for the vendor has run out: its fault, unless we were not there to listen. Then anybody may be asked again."""
        if not self._stood_still:
            return self._failed(kind, message)
        self.fault = Fault(kind=FaultClass.LOCAL, message=_STOOD_STILL, should_retry=True, elsewhere=True)
        return VendorFault(self.fault)

    def _broken(self, error: httpx.HTTPError, otherwise: FaultClass) -> VendorFault:
        if isinstance(error, httpx.TimeoutException) and self._stood_still:
            return self._out_of_time(FaultClass.CONNECT, str(error))
        self.fault = broken(error, otherwise)
        return VendorFault(self.fault)

    def unsupported(self, error: Unsupported) -> Fault:
        """Note that this vendor cannot say what was asked: another might."""
        self.fault = Fault(
            kind=FaultClass.BAD_REQUEST,
            message=str(error),
            code="unsupported_feature",
            param=error.feature,
            elsewhere=True,
        )
        return self.fault
