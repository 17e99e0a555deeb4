"""From a request to its answer: attempts, fallback, one deadline; never again after the first content.

A `Journey` is one request's way: it asks the router for leases, judges each fault by the table of
consequences (`actors.faults`), and keeps the record. `answer` drives it for a whole reply, `EventStream` for
a streamed one. Before the first content has been handed out a failure is invisible to the caller as
long as another attempt can help; after it, it is an error and never a clean end.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

import trio
from msgspec import Struct

from ..actors.faults import CONSEQUENCES, Again, FaultClass
from ..actors.machines.backoff import Backoff
from ..actors.machines.budget import RetryBudget
from ..actors.mailbox import ActorCrashed, Mailbox, MailboxClosed, MailboxFull
from ..actors.messages import Cause, Lease, NoLease, Outcome, Route, Spent
from .assembly import Assembler
from .attempt import Attempt
from .canon import Completion, Event, Fault, Request
from .deployment import Deployment
from .dialects import Unsupported, VendorFault
from .errors import Busy, DeadlinePassed, DispatchError, NoVendor, UnknownModel, error_for
from .estimate import facts_of
from .reply import AttemptRecord, Reply

__all__ = ["EventStream", "House", "Journey", "RetryPolicy", "answer"]


class RetryPolicy(Struct, frozen=True):
    """How often and how soon a failed request is tried again. `longest_hint` is in seconds."""

    attempts: int
    longest_hint: float
    backoff: Backoff


class House(Struct, frozen=True, kw_only=True):
    """What every request needs of the running dispatcher."""

    router: Mailbox[Any]
    stats: Mailbox[Any]
    deployments: Mapping[str, Deployment]
    retry: RetryPolicy
    budget: RetryBudget
    default_timeout: float
    long_context: int
    rng: random.Random


_MOST_UNSUITED: Final = 20
"""Deployments that may turn out unable to express a request before it is refused: a bound for the loop."""


class Journey:
    """One request's way through the house. Its attempts are made one after another."""

    def __init__(self, house: House, request: Request, *, stream: bool, request_id: str) -> None:
        self.house = house
        self.request = request
        self.request_id = request_id
        self.begun = trio.current_time()
        timeout = house.default_timeout if request.timeout is None else request.timeout
        self.deadline = self.begun + min(timeout, house.default_timeout)
        self.records: list[AttemptRecord] = []
        self._stream = stream
        self._facts = facts_of(request, house.long_context)
        self._tried: tuple[str, ...] = ()
        self._again: str | None = None
        self._again_at = 0.0
        self._repeated: set[str] = set()
        self._larger_than = 0
        self._counted = 0
        self._unsuited = 0
        self._last_fault: Fault | None = None
        self._reported = False
        house.budget.deposit(self.begun)

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts so far."""
        return tuple(self.records)

    async def attempt(self) -> Attempt:
        """Lease a deployment and wait until it may be asked. Raises what ends the request if there is none.

        Must be entered at once: between the lease and the `async with` lies no checkpoint.
        """
        lease = await self._lease()
        return Attempt(
            self.house.deployments[lease.deployment],
            lease,
            self.request,
            stream=self._stream,
            deadline=self.deadline,
            input_estimate=self._facts.input_tokens,
        )

    async def _lease(self) -> Lease:
        facts, request = self._facts, self.request
        route = Route(
            model=request.model,
            mode=request.mode,
            user=request.user,
            kinds=facts.kinds,
            needs=facts.needs,
            input_tokens=facts.input_tokens,
            output_tokens=facts.output_tokens,
            deadline=self.deadline,
            tried=self._tried,
            again=self._again,
            again_at=self._again_at,
            larger_than=self._larger_than,
        )
        try:
            leased = await self.house.router.ask(route)
        except MailboxFull as full:
            raise Busy(f"too many requests are under way: {full}", code="busy", retry_after=1.0) from None
        except (MailboxClosed, ActorCrashed) as gone:
            raise NoVendor(f"the request was lost: {gone}", code="actor_crashed", status=500) from None
        if isinstance(leased, NoLease):
            raise self._no_lease(leased)
        return leased

    def _no_lease(self, answer: NoLease) -> DispatchError:
        """Why there is no attempt, in words: the last fault if there was one, else what the vendors said."""
        if not answer.known:
            named = (
                self.request.model
                if self.request.mode is None
                else f"{self.request.model} ({self.request.mode})"
            )
            return UnknownModel(
                f"no vendor, route or mode serves the model {named!r}",
                kind=FaultClass.BAD_REQUEST,
                status=404,
                code="model_not_found",
                param="model",
            )
        if self._last_fault is not None:
            return error_for(self._last_fault, self.attempts)
        reasons = "; ".join(f"{each.deployment}: {each.cause.value}" for each in answer.refused)
        causes = {each.cause for each in answer.refused}
        if causes and causes <= {Cause.UNSUITED}:
            return error_for(
                Fault(
                    kind=FaultClass.BAD_REQUEST,
                    message=f"no deployment of {self.request.model!r} can serve this request: {reasons}",
                    code="no_suitable_deployment",
                ),
                (),
            )
        wait = answer.retry_at - trio.current_time()
        limited = bool(causes) and causes <= {Cause.LIMITED, Cause.COOLING, Cause.FULL, Cause.UNSUITED}
        return NoVendor(
            f"no vendor can take the request now: {reasons or 'none is configured for it'}",
            code="rate_limited" if limited else "no_vendor_available",
            status=429 if limited else 503,
            retry_after=max(0.0, wait) if math.isfinite(wait) else None,
        )

    # --- after an attempt -------------------------------------------------------------------

    def ended(self, attempt: Attempt, *, last: bool) -> None:
        """Keep the record of a settled attempt, and tell the statistics."""
        spent = attempt.spent()
        self.records.append(attempt.record(spent))
        self._tell(attempt, attempt.fault, spent, last=last)

    def unserved(self, error: DispatchError) -> None:
        """Tell the statistics that the request ended without an attempt to blame."""
        self._tell(None, Fault(kind=error.kind, message=error.message), Spent(), last=True)

    def _tell(self, attempt: Attempt | None, fault: Fault | None, spent: Spent, *, last: bool) -> None:
        if last and self._reported:
            return
        self._reported = self._reported or last
        deployment = None if attempt is None else attempt.deployment
        self.house.stats.tell(
            Outcome(
                vendor=None if deployment is None else deployment.vendor,
                deployment=None if deployment is None else deployment.name,
                model=self.request.model if deployment is None else deployment.model.name,
                asked=self.request.model,
                mode=self.request.mode or self.request.model,
                fault=None if fault is None else fault.kind,
                first_token=None if attempt is None else attempt.first_token,
                seconds=0.0 if attempt is None else attempt.seconds,
                request_seconds=trio.current_time() - self.begun,
                spent=spent,
                streamed=self._stream,
                attempt=len(self.records),
                last=last,
            )
        )

    def goes_on(self, attempt: Attempt, fault: Fault) -> bool:
        """Whether another attempt may help after `fault`; if so, the next `attempt` takes it into account."""
        self._last_fault = fault
        name = attempt.deployment.name
        if fault.code == "unsupported_feature":
            # Nothing was sent: another vendor may be able to say it.
            self._unsuited += 1
            self._tried = (*self._tried, name)
            return self._unsuited < _MOST_UNSUITED
        consequence = CONSEQUENCES[fault.kind]
        free = consequence.same is Again.ONCE_FREE and name not in self._repeated
        if free:
            self._repeated.add(name)
            self._again, self._again_at = None, 0.0
            return True
        self._counted += 1
        now = trio.current_time()
        if self._counted >= self.house.retry.attempts or now >= self.deadline:
            return False
        again = self._may_repeat(name, fault, consequence.same)
        if not consequence.other and not again:
            return False
        self._tried = (*self._tried, name)
        self._again, self._again_at = (name, now + self._delay(fault)) if again else (None, 0.0)
        if again:
            self._repeated.add(name)
        if fault.kind is FaultClass.CONTEXT_LENGTH:
            self._larger_than = int(attempt.deployment.model.context)
        return self.house.budget.withdraw(now)

    def _may_repeat(self, name: str, fault: Fault, same: Again) -> bool:
        """Whether the same deployment may be asked once more."""
        if fault.should_retry is not None:
            same = Again.ONCE if fault.should_retry else Again.NEVER
        if same is Again.NEVER or name in self._repeated:
            return False
        return (fault.retry_after or 0.0) <= self.house.retry.longest_hint

    def _delay(self, fault: Fault) -> float:
        return self.house.retry.backoff.delay(self._counted - 1, self.house.rng, hint=fault.retry_after)

    def error(self) -> DispatchError:
        """What the caller is told when no attempt helped."""
        if self._last_fault is None:
            return NoVendor("the request was not attempted", code="no_vendor_available")
        return error_for(self._last_fault, self.attempts)

    def too_late(self) -> DispatchError:
        """The deadline passed while waiting for a vendor."""
        seconds = self.deadline - self.begun
        return DeadlinePassed(
            f"no answer within {seconds:g} s",
            kind=FaultClass.LOCAL,
            attempts=self.attempts,
            status=504,
            code="deadline_exceeded",
        )

    def reply(self, attempt: Attempt, completion: Completion) -> Reply:
        """The answer, with how it came about. `attempt` is the last of the record."""
        costs = [record.cost for record in self.records]
        return Reply(
            completion=completion,
            request_id=self.request_id,
            vendor=attempt.deployment.vendor,
            deployment=attempt.deployment.name,
            model=attempt.deployment.model.name,
            attempts=self.attempts,
            cost=None if None in costs else sum([cost for cost in costs if cost is not None], Decimal(0)),
            seconds=trio.current_time() - self.begun,
            first_token=attempt.first_token,
            dropped=attempt.dropped,
        )


async def answer(house: House, request: Request, request_id: str) -> Reply:
    """The whole reply to `request`. Raises `DispatchError`."""
    journey = Journey(house, request, stream=False, request_id=request_id)
    with trio.CancelScope(deadline=journey.deadline):
        while True:
            try:
                attempt = await journey.attempt()
            except DispatchError as error:
                journey.unserved(error)
                raise
            fault: Fault | None = None
            completion: Completion | None = None
            try:
                async with attempt:
                    try:
                        await attempt.wait_for_start()
                        completion = await attempt.complete()
                    except VendorFault as refusal:
                        fault = refusal.fault
                    except Unsupported as error:
                        fault = attempt.unsupported(error)
            except BaseException:
                journey.ended(attempt, last=True)
                raise
            if completion is not None:
                journey.ended(attempt, last=True)
                return journey.reply(attempt, completion)
            go_on = fault is not None and journey.goes_on(attempt, fault)
            journey.ended(attempt, last=not go_on)
            if not go_on:
                raise journey.error()
    late = journey.too_late()
    journey.unserved(late)
    raise late


class EventStream:
    """A streamed answer: an async context manager around an async iterator of events.

    Entering it waits for the first content, failing over invisibly until there is some. Iterating yields
    the events as they come; an error after that is raised from the iteration. Leaving it early closes the
    connection to the vendor and settles what was used. After the end, `reply` is the whole answer.
    """

    def __init__(self, house: House, request: Request, request_id: str) -> None:
        self._house = house
        self._request = request
        self._request_id = request_id
        self._journey: Journey | None = None
        self._attempt: Attempt | None = None
        self._ready: deque[Event] = deque()
        self._assembler = Assembler()
        self._done = False
        self._error: DispatchError | None = None
        self._record_kept = False
        self._reply: Reply | None = None

    @property
    def deployment(self) -> Deployment:
        """Who answers. Only known inside the context."""
        if self._attempt is None:
            raise RuntimeError("the stream has not been entered")
        return self._attempt.deployment

    @property
    def attempts(self) -> int:
        """Attempts made so far, the running one included."""
        return len(self._journey.records) + (not self._record_kept) if self._journey else 0

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

    @property
    def dropped(self) -> tuple[str, ...]:
        """Wishes that were left out; see `Reply.dropped`."""
        return self._attempt.dropped if self._attempt else ()

    async def __aenter__(self) -> Self:
        journey = self._journey = Journey(
            self._house, self._request, stream=True, request_id=self._request_id
        )
        with trio.CancelScope(deadline=journey.deadline):
            while True:
                try:
                    attempt = await journey.attempt()
                except DispatchError as error:
                    journey.unserved(error)
                    raise
                fault = await self._begin(journey, attempt)
                if fault is None:
                    return self
                go_on = journey.goes_on(attempt, fault)
                journey.ended(attempt, last=not go_on)
                if not go_on:
                    raise journey.error()
        late = journey.too_late()
        journey.unserved(late)
        raise late

    async def _begin(self, journey: Journey, attempt: Attempt) -> Fault | None:
        """Open `attempt` and read up to the first content. On a fault it is settled, and the fault returned."""
        try:
            try:
                await attempt.wait_for_start()
                await attempt.open()
                await self._read_to_content(attempt)
            except VendorFault as refusal:
                self._ready.clear()
                fault = refusal.fault
            except Unsupported as error:
                fault = attempt.unsupported(error)
            else:
                self._attempt = attempt
                return None
        except BaseException:
            await attempt.__aexit__(None, None, None)
            journey.ended(attempt, last=True)
            raise
        await attempt.__aexit__(None, None, None)
        return fault

    async def _read_to_content(self, attempt: Attempt) -> None:
        """Read until there is content, or a proper end without any."""
        while True:
            events = await attempt.read()
            self._ready.extend(events)
            if attempt.committed or not events:
                return
            if attempt.finished:
                return
            fault = attempt.pending_fault()
            if fault is not None:
                raise VendorFault(fault)

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
        return event

    async def _read(self, attempt: Attempt, journey: Journey) -> None:
        """Read on; at the end, settle and prepare the reply or the error."""
        fault = attempt.pending_fault()
        if fault is None:
            try:
                self._ready.extend(await attempt.read())
            except VendorFault as broken:
                fault = broken.fault
            else:
                if not attempt.finished:
                    return
        await self._close(attempt, journey)
        self._done = True
        if fault is not None:
            self._error = error_for(fault, journey.attempts, committed=True)

    async def _close(self, attempt: Attempt, journey: Journey) -> None:
        if self._record_kept:
            return
        self._record_kept = True
        try:
            await attempt.__aexit__(None, None, None)
        finally:
            journey.ended(attempt, last=True)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        attempt, journey = self._attempt, self._journey
        if attempt is None or journey is None:
            return
        await self._close(attempt, journey)
