"""A streamed answer, as its caller sees it: events until a proper end, or an error, and never a false end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import trio

from ..actors.faults import FaultClass
from .assembly import Assembler
from .attempt import Attempt
from .canon import Event, Fault, Midstream, Request, Restarted, Seam, Usage
from .deployment import Deployment
from .dialects import VendorFault
from .dispatch import reach
from .errors import DispatchError, error_for
from .house import House
from .journey import Journey
from .midstream import PREFILL, Joint, Written, continuation, total
from .reply import Reply

__all__ = ["EventStream"]


class EventStream:
    """A streamed answer: an async context manager around an async iterator of events.

    Entering it waits for the first content, failing over invisibly until there is some. Iterating yields
    the events as they come. If the vendor breaks off after that, an error is raised from the iteration; or, where
    `Request.midstream` or the configuration say so, a `Seam` or a `Restarted` is yielded and another vendor takes over.
    Leaving it early closes the connection to the vendor and settles what was used. After the end, `reply` is the
    whole answer. The request's deadline is minded whenever an event is asked for.
    """

    def __init__(self, house: House, request: Request, request_id: str) -> None:
        self._house = house
        self._request = request
        self._request_id = request_id
        self._journey: Journey | None = None
        self._attempt: Attempt | None = None
        self._ready: deque[Event] = deque()
        self._assembler = Assembler()
        self._written: Written | None = None
        self._joint: Joint | None = None
        self._before = Usage()
        self._done = False
        self._error: DispatchError | None = None
        self._reply: Reply | None = None

    def _entered(self) -> tuple[Journey, Attempt]:
        if self._journey is None or self._attempt is None:
            raise RuntimeError("the stream has not been entered")
        return self._journey, self._attempt

    @property
    def deployment(self) -> Deployment:
        """Who answers, or went on with the answer last. Only known inside the context, as all that follows."""
        return self._entered()[1].deployment

    @property
    def attempts(self) -> int:
        """Attempts made so far, the running one included."""
        journey, attempt = self._entered()
        return len(journey.records) + (not attempt.settled)

    @property
    def deadline(self) -> float:
        """When the request ends at the latest, on the event loop's clock."""
        return self._entered()[0].deadline

    @property
    def panic(self) -> bool:
        """See `Reply.panic`."""
        return self._entered()[1].lease.desperate

    @property
    def dropped(self) -> tuple[str, ...]:
        """Wishes that were left out; see `Reply.dropped`."""
        return self._entered()[1].dropped

    @property
    def more(self) -> bool:
        """Whether the next event is there already: taking it neither waits nor fails."""
        return bool(self._ready)

    @property
    def reply(self) -> Reply | None:
        """The whole answer, once the last event has been taken; None before that and after an error."""
        attempt, journey = self._attempt, self._journey
        if attempt is None or journey is None or self._ready or self._error is not None or not self._done:
            return None
        if self._reply is None:
            completion = self._assembler.completion(attempt.deployment.dialect.format)
            self._reply = journey.reply(attempt, completion)
        return self._reply

    def too_late(self) -> DispatchError:
        """The error of a stream whose deadline has passed."""
        return self._entered()[0].too_late()

    # --- the beginning ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        journey = self._journey = Journey(
            self._house, self._request, stream=True, request_id=self._request_id
        )
        if self._midstream == "continue":
            self._written = Written()
        try:
            with trio.CancelScope(deadline=journey.deadline):
                attempt = self._attempt = await reach(journey)
                self._ready = attempt.ready
                return self
            raise journey.too_late()
        except BaseException as error:
            journey.over(error)
            raise

    @property
    def _midstream(self) -> Midstream:
        journey = self._journey
        return self._request.midstream or (journey.conduct.midstream if journey is not None else "error")

    # --- the events -------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._done or self._attempt is None or self._journey is None:
                raise StopAsyncIteration
            await self._read(self._attempt, self._journey)
        event = self._ready.popleft()
        self._assembler.add(event)
        if self._written is not None:
            self._written.add(event)
        return event

    async def _read(self, attempt: Attempt, journey: Journey) -> None:
        """Read on; at the end, settle and prepare the reply, the error, or what another vendor goes on with."""
        try:
            events = await attempt.read()
        except VendorFault as broken:
            await self._broken(attempt, journey, broken.fault)
            return
        self._hand_on(events)
        if attempt.finished:
            journey.finish(attempt, last=True)
            self._done = True
            await attempt.close()

    def _hand_on(self, events: Iterable[Event]) -> None:
        if self._joint is None:
            self._ready.extend(events)
            return
        passed = [self._joint.pass_on(event) for event in events]
        self._ready.extend([event for event in passed if event is not None])

    # --- after a break ----------------------------------------------------------------------

    async def _broken(self, attempt: Attempt, journey: Journey, fault: Fault) -> None:
        wanted = self._wanted(attempt, fault)
        go_on = wanted is not None and journey.goes_on(attempt, fault)
        journey.finish(attempt, last=not go_on)
        await attempt.close()
        if wanted is not None and go_on:
            journey.change(wanted, PREFILL if self._midstream == "continue" else frozenset())
            following = await self._following(journey)
            if following is not None:
                self._take_over(attempt, following, fault)
                return
        self._done = True
        late = fault.kind is FaultClass.LOCAL and trio.current_time() >= journey.deadline
        self._error = journey.too_late() if late else error_for(fault, journey.attempts, committed=True)

    def _wanted(self, attempt: Attempt, fault: Fault) -> Request | None:
        """What another vendor would be asked to go on with; None if the stream is to end here."""
        if fault.kind in (FaultClass.LOCAL, FaultClass.CLIENT_GONE):
            return None
        if self._midstream == "restart":
            return self._request
        if self._written is None:
            return None
        tokens = self._before.output_tokens + attempt.bill.counted
        return continuation(self._request, self._written, tokens)

    async def _following(self, journey: Journey) -> Attempt | None:
        """The attempt that goes on; None if there is none. The request's end has been told then."""
        try:
            with trio.CancelScope(deadline=journey.deadline):
                return await reach(journey)
            raise journey.too_late()
        except DispatchError as error:
            journey.over(error)
            return None
        except BaseException as error:
            journey.over(error)
            raise

    def _take_over(self, broken: Attempt, following: Attempt, fault: Fault) -> None:
        self._attempt = following
        kind: type[Seam | Restarted] = Restarted
        if self._written is not None:
            kind = Seam
            self._before = total(self._before, broken.bill.spent)
            self._joint = Joint(self._written, self._before)
        else:
            self._assembler = Assembler()
        before, after = broken.deployment, following.deployment
        self._ready.append(kind(before.name, after.name, after.model.name, fault.kind.value))
        self._hand_on(following.ready)

    # --- the end ----------------------------------------------------------------------------

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        attempt, journey = self._attempt, self._journey
        if attempt is not None and journey is not None and not attempt.settled and not attempt.left:
            await journey.abandon(attempt)
