"""One request's way through the house: its deadline, its attempts, and what follows from each.

A `Journey` asks the router for leases, judges each fault by the table of consequences (`actors.faults`), keeps
within the retry budgets, and keeps the record. It sends every attempt's outcome to the statistics once, and says of
exactly one outcome that it was the request's last, however the request ends.

What is asked for is the business of its `operations`; a request that travels in parts (`batches`) has a journey for each,
and one `Ending` for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import trio

from ..actors.faults import Again, Consequence, FaultClass, Health, consequence
from ..actors.mailbox import ActorCrashed, MailboxClosed, MailboxFull
from ..actors.messages import Lease, NoLease, Outcome, Route, Spent
from .attempt import OVERSLEPT, Attempt
from .canon import Completion, Fault, Usage
from .detached import DetachedAttempt
from .ending import Ending
from .errors import Busy, DeadlinePassed, DispatchError, NoVendor, error_for
from .house import House
from .operations import operation_of
from .operations.base import Work
from .prices import cost_of
from .reply import AttemptRecord, Reply, cost_of_attempts
from .unleased import unleased

__all__ = ["Journey"]

_MOST_UNSUITED: Final = 20
"""Deployments that may turn out unable to express a request before it is refused: a bound for the loop."""


class Journey:
    """See the module's docstring. Of a part: `begun` and `ending` are the whole request's, `of_model` the one model that
    will do. `kind` makes the attempts, where they are not made as usual."""

    def __init__(
        self,
        house: House,
        request: Work,
        *,
        stream: bool,
        request_id: str,
        begun: float | None = None,
        ending: Ending | None = None,
        of_model: str | None = None,
        kind: Callable[..., Attempt] | None = None,
    ) -> None:
        self.house = house
        self.request = request
        self.request_id = request_id
        self.stream = stream
        self.operation = operation_of(request)
        self.conduct = house.conduct(request)
        self.begun = trio.current_time() if begun is None else begun
        timeout = house.default_timeout if request.timeout is None else request.timeout
        self.deadline = self.begun + min(timeout, house.default_timeout)
        self.records: list[AttemptRecord] = []
        self._facts = self.operation.facts(request, house.long_context)
        self._needs = self._facts.needs
        self._of_model = of_model
        self._kind = kind
        self._tried: tuple[str, ...] = ()
        self._again: str | None = None
        self._again_at = 0.0
        self._repeated: set[str] = set()
        self._fresh = False
        self._larger_than = 0
        self._made = 0
        self._unsuited = 0
        self._sent_elsewhere = False
        self._last_fault: Fault | None = None
        self._withdrawn = False
        """A retry was withdrawn for the next attempt."""
        self._retry: Attempt | None = None
        """The attempt that a retry was withdrawn for, as long as it is not known what came of it."""
        self._ending = Ending() if ending is None else ending
        self._ended = False
        house.budget.deposit(request.criticality, self.begun)
        self._hedged = self.conduct.hedge if request.hedge is None else request.hedge
        if self._hedged:
            house.hedges.request(self.begun)

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended so far."""
        return tuple(self.records)

    # --- leases -----------------------------------------------------------------------------

    async def attempt(self) -> Attempt:
        """Lease a deployment. Raises what ends the request if there is none.

        The attempt must be begun, or settled, at once: there is no checkpoint between the lease and its return.
        """
        try:
            leased = await self.house.router.ask(self._route())
        except MailboxFull as full:
            message = f"too many requests are under way: {full}"
            raise Busy(message, code="busy", retry_after=1.0, attempts=self.attempts) from None
        except (MailboxClosed, ActorCrashed) as gone:
            message = f"the request was lost: {gone}"
            raise NoVendor(message, code="actor_crashed", status=500, attempts=self.attempts) from None
        if isinstance(leased, NoLease):
            if self._last_fault is not None:
                raise error_for(self._last_fault, self.attempts)
            raise unleased(self.request, leased, trio.current_time(), self.house.deployments)
        attempt = self._attempt(leased)
        if self._withdrawn:
            self._withdrawn, self._retry = False, attempt
        return attempt

    async def hedge(self, slow: Attempt) -> Attempt | None:
        """Lease a deployment of another vendor, for a race with `slow`. None if that is not to be had, or not worth it."""
        if not self._affords_hedge(slow):
            return None
        try:
            leased = await self.house.router.ask(self._route(hedge=slow.deployment))
        except (MailboxFull, MailboxClosed, ActorCrashed):
            return None
        if isinstance(leased, NoLease):
            return None
        attempt = self._attempt(leased)
        if leased.desperate or attempt.deployment.vendor == slow.deployment.vendor:
            self.give_back(attempt)
            return None
        return attempt

    def may_hedge(self, first: Attempt) -> bool:
        """Whether a hedge for `first` comes into question at all, should it be slow."""
        lease = first.lease
        return self._hedged and lease.hedge_after is not None and not lease.desperate and self._has_room()

    def _affords_hedge(self, slow: Attempt) -> bool:
        facts, now = self._facts, trio.current_time()
        cost = cost_of(Usage(facts.input_tokens, facts.output_tokens), slow.deployment.model.price)
        if not self._has_room() or now >= self.deadline:
            return False
        dollars = None if cost is None else float(cost)
        budget, criticality = self.house.budget, self.request.criticality
        if budget.balance(criticality, now) < 1.0 or not self.house.hedges.allow(now, dollars):
            return False
        return budget.withdraw(criticality, now)

    def _has_room(self) -> bool:
        return self._made < self.house.retry.attempts

    def _route(self, hedge: Any = None) -> Route:
        facts, request = self._facts, self.request
        return Route(
            model=request.model,
            mode=request.mode,
            user=request.user,
            kinds=facts.kinds,
            needs=self._needs,
            input_tokens=facts.input_tokens,
            output_tokens=facts.output_tokens,
            window=facts.window,
            of_model=self._of_model,
            deadline=self.deadline,
            tried=self._tried if hedge is None else (*self._tried, hedge.name),
            again=self._again if hedge is None else None,
            again_at=self._again_at,
            larger_than=self._larger_than,
            tenant=request.user or "",
            criticality=request.criticality,
            size=facts.size,
            hedge=None if hedge is None else hedge.vendor,
            prefix=facts.prefix,
            begun=self.begun,
            streamed=self.stream,
            hedged=self._hedged,
            fixed=self.operation.fixed,
        )

    def _attempt(self, lease: Lease) -> Attempt:
        self._made += 1
        deployment = self.house.deployments[lease.deployment]
        hold = self.conduct.hold if self.stream else 0.0
        kind: Any
        if self._kind is not None:
            kind = self._kind
        elif hold or deployment.drains:
            kind = partial(
                DetachedAttempt, background=self.house.background, hold=hold, drains=deployment.drains
            )
        else:
            kind = Attempt
        made: Attempt = kind(
            deployment,
            lease,
            self.request,
            stream=self.stream,
            deadline=self.deadline,
            input_estimate=self._facts.input_tokens,
            fresh=self._fresh,
        )
        return made

    # --- after an attempt -------------------------------------------------------------------

    def finish(self, attempt: Attempt, *, last: bool, superseded: bool = False) -> None:
        """Settle `attempt`, keep its record, and tell the statistics. Does not wait."""
        self._book(attempt, last=last and self._end(failed=not attempt.finished), superseded=superseded)

    def _end(self, *, failed: bool) -> bool:
        """This journey is at its end; whether the request is, too, and nobody has told of that yet."""
        if self._ended:
            return False
        self._ended = True
        return self._ending.reached(failed=failed)

    def _book(self, attempt: Attempt, *, last: bool, superseded: bool = False) -> None:
        attempt.settle(superseded=superseded)
        self.records.append(attempt.record())
        self.house.alerts.note(attempt.deployment.vendor, attempt.fault, trio.current_time())
        self._tell(attempt, attempt.fault, last=last)

    async def abandon(
        self, attempt: Attempt, error: BaseException | None = None, *, superseded: bool = False
    ) -> None:
        """`attempt` is left under way: by a caller who has gone, for a faster one (`superseded`), or by our own `error`.

        If it is to go on without its caller, its end is also the request's.
        """
        if isinstance(error, Exception):
            attempt.fault = attempt.fault or _internal(error)
        last = not (self._ended or self._ending.told)
        if not superseded and attempt.leave(partial(self._book, attempt, last=last)):
            self._end(failed=True)
            return
        self.finish(attempt, last=not superseded, superseded=superseded)
        await attempt.close()

    def give_back(self, attempt: Attempt) -> None:
        """`attempt` was leased, and will not be begun."""
        self._made -= 1
        attempt.settle(superseded=True)

    def over(self, error: BaseException) -> None:
        """The request has ended by `error`; the statistics are told, unless they know."""
        if not self._end(failed=True):
            return
        if isinstance(error, DispatchError):
            fault = Fault(kind=error.kind, message=error.message)
        elif isinstance(error, Exception):
            fault = _internal(error)
        else:
            # A cancellation, perhaps in a group.
            fault = Fault(kind=FaultClass.CLIENT_GONE, message="the caller went away")
        self._tell(None, fault, last=True)

    def _tell(self, attempt: Attempt | None, fault: Fault | None, *, last: bool) -> None:
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
                spent=Spent() if attempt is None else attempt.bill.spent,
                streamed=self.stream,
                attempt=len(self.records),
                last=last,
                superseded=attempt is not None and attempt.superseded,
                by=None if fault is None else fault.by,
            )
        )

    def goes_on(self, attempt: Attempt, fault: Fault) -> bool:
        """Whether there will be another attempt after `fault`, a retry being spent on it if need be."""
        free = self._free(fault)
        if not self.judge(attempt, fault):
            return False
        if not free:
            budget, criticality = self.house.budget, self.request.criticality
            self._withdrawn = budget.withdraw(criticality, trio.current_time())
        return free or self._withdrawn

    def answered(self, attempt: Attempt) -> None:
        """`attempt` has brought the answer, or its first content."""
        self._learn(attempt, helped=True)

    def _learn(self, attempt: Attempt, *, helped: bool) -> None:
        """Tell the budget what came of a retry."""
        if attempt is self._retry:
            self._retry = None
            self.house.budget.learn(self.request.criticality, helped, trio.current_time())

    def judge(self, attempt: Attempt, fault: Fault) -> bool:
        """Whether another attempt may help after `fault`; the next `attempt` takes it into account."""
        if attempt is self._retry and self._free(fault):
            # The next one is made on the same account.
            self._withdrawn, self._retry = True, None
        self._learn(attempt, helped=False)
        if fault.code != OVERSLEPT:
            self._last_fault = fault
        name = attempt.deployment.name
        now = trio.current_time()
        self._again, self._again_at = None, 0.0
        if fault.code == "unsupported_feature":
            # Nothing was sent: another vendor may be able to say it.
            self._unsuited += 1
            self._made -= 1
            self._tried = (*self._tried, name)
            return self._unsuited < _MOST_UNSUITED
        if fault.code == OVERSLEPT:
            # Nothing was sent: the next lease is for a time that has not passed.
            self._made -= 1
            return now < self.deadline
        if self._free(fault):
            # Only once a request: who finds one connection stale finds others stale too, wherever it goes.
            self._fresh = True
            self._made -= 1
            return now < self.deadline
        if not self.operation.repeatable(self.request, fault):
            return False
        row = consequence(fault.kind, fault.status)
        delay = self._delay(fault, row)
        again = self._may_repeat(name, fault, row.same, now + delay) and not _untrusted(attempt.lease, row)
        if not (row.other or again or self._elsewhere(fault)):
            return False
        self._tried = (*self._tried, name)
        if again:
            self._again, self._again_at = name, now + delay
            self._repeated.add(name)
        if fault.kind is FaultClass.CONTEXT_LENGTH:
            self._larger_than = attempt.deployment.model.window
        return self._has_room() and now < self.deadline

    def _free(self, fault: Fault) -> bool:
        """Whether the vendor provably did not begin: the next attempt is then not counted, once a request."""
        if fault.code in ("unsupported_feature", OVERSLEPT):
            return True
        return not self._fresh and consequence(fault.kind, fault.status).same is Again.ONCE_FREE

    def _elsewhere(self, fault: Fault) -> bool:
        """Whether the request was refused for what this vendor or model lacks: one other is then asked."""
        if not fault.elsewhere or self._sent_elsewhere:
            return False
        self._sent_elsewhere = True
        return True

    def _may_repeat(self, name: str, fault: Fault, same: Again, at: float) -> bool:
        """Whether the same deployment may be asked once more, at `at`."""
        if fault.should_retry is not None:
            same = Again.ONCE if fault.should_retry else Again.NEVER
        if same is Again.NEVER or name in self._repeated:
            return False
        return (fault.retry_after or 0.0) <= self.house.retry.longest_hint and at < self.deadline

    def _delay(self, fault: Fault, row: Consequence) -> float:
        """The wait before the same deployment is asked again: our own, the table's, or the vendor's hint if that is
        the longest."""
        retry = self.house.retry
        delay = retry.backoff.delay(max(0, self._made - 1), self.house.rng, hint=fault.retry_after)
        return max(delay, row.pause)

    # --- the end ----------------------------------------------------------------------------

    def error(self) -> DispatchError:
        """What the caller is told when no attempt helped."""
        if self._last_fault is None and trio.current_time() >= self.deadline:
            return self.too_late()
        if self._last_fault is None:
            return NoVendor("the request was not attempted", code="no_vendor_available")
        return error_for(self._last_fault, self.attempts)

    def too_late(self) -> DispatchError:
        """The deadline has passed."""
        seconds = self.deadline - self.begun
        return DeadlinePassed(
            f"no answer within {seconds:g} s",
            kind=FaultClass.LOCAL,
            attempts=self.attempts,
            status=504,
            code="deadline_exceeded",
        )

    def reply(self, attempt: Attempt, completion: Completion) -> Reply:
        """The answer, with how it came about. `attempt` brought it, or the end of it."""
        return Reply(
            completion=completion,
            request_id=self.request_id,
            vendor=attempt.deployment.vendor,
            deployment=attempt.deployment.name,
            model=attempt.deployment.model.name,
            attempts=self.attempts,
            cost=cost_of_attempts(self.records),
            seconds=trio.current_time() - self.begun,
            first_token=attempt.first_token,
            dropped=attempt.dropped,
            panic=attempt.lease.desperate,
        )

    # --- going on after a break -------------------------------------------------------------

    def change(self, request: Work, needs: frozenset[str]) -> None:
        """From now on it is `request` that is asked for, of deployments that can do `needs` besides."""
        self.request = request
        self.operation = operation_of(request)
        self._facts = self.operation.facts(request, self.house.long_context)
        self._needs = self._facts.needs | needs


def _untrusted(lease: Lease, row: Consequence) -> bool:
    """Whether the deployment was on trial, and did not stand it: its circuit is open again, and stays so for seconds."""
    return row.breaker is Health.FAILURE and (lease.probe or lease.desperate)


def _internal(error: Exception) -> Fault:
    return Fault(kind=FaultClass.LOCAL, message=f"internal error: {error!r}")
