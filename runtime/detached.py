"""Attempts that are made in a task of the house, and so can outlast their caller.

An exchange that is cancelled while it waits is lost: the connection has to be closed. Two wishes need it to live on. A
vendor that bills the whole answer anyway is read to the end after the caller has left (`on_disconnect = "drain"`),
so that the bill is exact; and a stream whose first content is held back is waited for with a time limit that must
not break it. For these, and for no others since it costs two switches of tasks a step, the steps of an attempt
are carried out by a worker in the house's own nursery, while the caller's task waits for each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from ..actors.faults import FaultClass
from ..actors.log import Log
from .attempt import Attempt
from .canon import Event, Fault
from .dialects import VendorFault

__all__ = ["Background", "DetachedAttempt"]

log = Log("llm_dispatcher.detached")

MOST_DRAINING: Final = 32
"""Answers that are read on at once after their callers have left; those of further callers are broken off."""


class Background:
    """The nursery of the house in which detached attempts are made. `run` it; `stop` ends what is left."""

    def __init__(self) -> None:
        self.draining = 0
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there until `stop`."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """End everything, and wait for that at most `grace` seconds."""
        if self._nursery is None:
            return
        self._nursery.cancel_scope.cancel()
        with trio.move_on_after(grace, shield=True):
            await self._ended.wait()

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a worker. It must not raise. RuntimeError outside of the dispatcher's context."""
        if self._nursery is None:
            raise RuntimeError("the dispatcher is not running")
        self._nursery.start_soon(work)

    def admit(self) -> bool:
        """Take one of the places for answers that nobody waits for any more; False if there is none."""
        if self.draining >= MOST_DRAINING:
            return False
        self.draining += 1
        return True


class _Step:
    """One step of an attempt, carried out by the worker and waited for by the caller."""

    __slots__ = ("call", "done", "error", "value")

    def __init__(self, call: Callable[[], Awaitable[Any]]) -> None:
        self.call = call
        self.done = trio.Event()
        self.error: Exception | None = None
        self.value: Any = None

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error
        self.done.set()


class DetachedAttempt(Attempt):
    """See the module's docstring. `hold` is in seconds; `drains`: whether to read on when the caller has left."""

    def __init__(
        self, *arguments: Any, background: Background, hold: float, drains: bool, **more: Any
    ) -> None:
        super().__init__(*arguments, **more)
        self._background = background
        self._hold = hold if self._stream else 0.0
        self._drains = drains
        self._step: _Step | None = None
        self._news = trio.Event()
        self._scope = trio.CancelScope()
        self._working = False
        self._then: Callable[[], None] | None = None

    # --- the caller's side ------------------------------------------------------------------

    async def begin(self) -> None:
        """As `Attempt.begin`; a stream's first content is held back, so that a fault meanwhile can be made good."""
        await self._ask(super().begin)
        if not self._hold:
            return
        with trio.move_on_after(self._hold):
            while not self._ended:
                self.ready.extend(await self.read())
        if self.fault is not None:
            raise VendorFault(self.fault)

    async def read(self) -> list[Event]:
        """As `Attempt.read`. If the waiting is cancelled the reading goes on, and the next call has its result."""
        events: list[Event] = await self._ask(super().read)
        return events

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._step is None:
            self._step = _Step(call)
            if not self._working:
                self._working = True
                self._background.start(self._work)
            self._news.set()
        step = self._step
        await step.done.wait()
        self._step = None
        if step.error is not None:
            raise step.error
        return step.value

    def leave(self, then: Callable[[], None], /) -> bool:
        """As `Attempt.leave`: only what has been sent is worth reading on, and only as far as the deadline."""
        worthwhile = (
            self._drains and self._working and self._exchange.sent and not self._ended and self.fault is None
        )
        if not worthwhile or trio.current_time() >= self._deadline or not self._background.admit():
            return False
        self._then = then
        self.left = True
        self._scope.deadline = self._deadline
        self._news.set()
        return True

    async def close(self) -> None:
        """As `Attempt.close`; the worker does it."""
        if not self._working:
            await super().close()
        elif self._ended:
            # It has nothing left to do but to read out the body.
            self._then = _nothing
            self._news.set()
        else:
            self._scope.cancel()

    # --- the worker's side ------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            with self._scope:
                await self._take_steps()
                await self._read_on()
        except Exception as error:
            log.exception("a detached attempt failed", deployment=self.deployment.name)
            self.fault = self.fault or Fault(kind=FaultClass.LOCAL, message=f"internal error: {error!r}")
        finally:
            self._working = False
            step = self._step
            if step is not None and not step.done.is_set():
                step.end(error=VendorFault(Fault(kind=FaultClass.LOCAL, message="the house has shut down")))
            if self._then is not None and self._then is not _nothing:
                self._background.draining -= 1
                self._then()
            await super().close()

    async def _take_steps(self) -> None:
        """Carry out what the caller asks for, until he has left. What he gave up before it began is not begun."""
        while not self._scope.cancel_called:
            step = self._step
            if step is not None and not step.done.is_set():
                try:
                    step.end(await step.call())
                except Exception as error:
                    step.end(error=error)
            elif self._then is not None:
                return
            else:
                self._news = trio.Event()
                await self._news.wait()

    async def _read_on(self) -> None:
        """Read to the end for the bill's sake; what is said interests nobody any more."""
        try:
            while self._decoder is not None and not self._ended:
                await super().read()
        except VendorFault:
            return


def _nothing() -> None:
    """What is to be done at the end of an attempt that ended before its caller left."""
