"""A hedged attempt: a second vendor is asked when the first is slow, and the first answer wins.

Theory. The slowest few in a hundred answers are slow for reasons that a second vendor seldom shares at the same
moment, so a second request, sent when the first has taken longer than nineteen in twenty do, cuts the tail for a few
per cent of more requests (J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013). It must never make an
overload worse: it wants a place among the request's attempts, a retry of the retry budget, and the hedges' own
budget, and it goes to another vendor at once or not at all.

Whoever brings the first content of a stream, or a whole answer, has won; the other is cancelled, settled, and
booked as superseded. Everything happens in one nursery, and nothing outlives it. A failure while the other still runs
is no more than that; when the last one has failed, its fault is the race's.
"""

from __future__ import annotations

import trio

from ..actors.faults import consequence
from .attempt import Attempt
from .canon import Fault
from .dialects import Unsupported, VendorFault
from .journey import Journey

__all__ = ["begin", "race"]


async def begin(journey: Journey, attempt: Attempt) -> Fault | None:
    """Begin `attempt`; its fault is returned. On anything else it is abandoned."""
    try:
        await attempt.begin()
    except VendorFault as refusal:
        return refusal.fault
    except Unsupported as error:
        return attempt.unsupported(error)
    except BaseException as error:
        await journey.abandon(attempt, error)
        raise
    return None


async def race(journey: Journey, first: Attempt) -> tuple[Attempt, Fault | None]:
    """Begin `first`, and a hedge if it is slow. Who won, or failed last and is not settled yet, with its fault."""
    return await _Race(journey, first).run()


class _Race:
    def __init__(self, journey: Journey, first: Attempt) -> None:
        self._journey = journey
        self._first = first
        self._running = 0
        self._won: Attempt | None = None
        self._lost: tuple[Attempt, Fault] | None = None
        self._crash: Exception | None = None
        self._over = trio.Event()

    async def run(self) -> tuple[Attempt, Fault | None]:
        """See `race`."""
        crossed = True
        try:
            async with trio.open_nursery() as nursery:
                # Counted here and not in the task, so that whoever fails first knows how many there are.
                self._running = 1
                nursery.start_soon(self._enter, self._first)
                await self._hedge(nursery)
                await self._over.wait()
                nursery.cancel_scope.cancel()
            crossed = False
        finally:
            if crossed:
                await self._cross_out()
        if self._crash is not None:
            raise self._crash
        if self._won is not None:
            return self._won, None
        if self._lost is None:
            raise RuntimeError("a race ended without anybody at its end")
        return self._lost

    async def _cross_out(self) -> None:
        """The caller left when there was a result already, which nobody will take now."""
        decided = self._won or (self._lost[0] if self._lost is not None else None)
        if decided is not None:
            await self._journey.abandon(decided)

    async def _hedge(self, nursery: trio.Nursery) -> None:
        """Wait as long as the first may take; then let another enter, if one is to be had."""
        lease = self._first.lease
        patience = lease.hedge_after or 0.0
        with trio.CancelScope(deadline=max(lease.start_at, trio.current_time()) + patience):
            await self._over.wait()
            return
        second = await self._journey.hedge(self._first)
        if second is None:
            return
        if self._over.is_set():
            # The first came to its end while the lease was on its way: there is nobody left to race with.
            self._journey.give_back(second)
            return
        self._running += 1
        nursery.start_soon(self._enter, second)

    async def _enter(self, attempt: Attempt) -> None:
        try:
            # What was cancelled before it began is not begun.
            await trio.lowlevel.checkpoint_if_cancelled()
            await attempt.begin()
        except VendorFault as refusal:
            await self._failed(attempt, refusal.fault)
        except Unsupported as error:
            await self._failed(attempt, attempt.unsupported(error))
        except Exception as error:
            self._crash = error
            self._over.set()
            await self._journey.abandon(attempt, error)
        except BaseException:
            # By the race's end, or with the whole request.
            await self._journey.abandon(attempt, superseded=self._over.is_set())
            raise
        else:
            if self._over.is_set():
                await self._journey.abandon(attempt, superseded=True)
            else:
                self._won = attempt
                self._over.set()

    async def _failed(self, attempt: Attempt, fault: Fault) -> None:
        self._running -= 1
        fatal = not fault.elsewhere and not consequence(fault.kind, fault.status).other
        if not self._over.is_set() and (fatal or self._running == 0):
            # Judged by whoever makes the next attempt, or ends the request.
            self._lost = (attempt, fault)
            self._over.set()
            return
        self._journey.judge(attempt, fault)
        self._journey.finish(attempt, last=False)
        await attempt.close()
