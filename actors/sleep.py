"""How one task sleeps until another wakes it: what mailboxes and askers wait with.

Theory. A memory channel does this for any number of tasks at either end, and costs a dozen objects and several trips
through its bookkeeping for each answer, of which every request needs two. Here one task sleeps and anybody wakes it, which
trio's scheduler offers directly. It gives the guarantee that everything rests on: of a wake-up and a cancellation the
first to come holds. A task that was woken can no longer be cancelled out of this sleep, and one that was cancelled is no longer
asleep, so that whoever wakes it knows in which of the two cases he is, without a checkpoint between looking and acting.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, cast

import trio

__all__ = ["Asker", "Lost", "Sleeper"]

R = TypeVar("R")

_NOTHING: Final[Any] = object()


class Lost(Exception):
    """Nobody will answer any more."""


class Sleeper:
    """A place where one task at a time sleeps."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    @property
    def asleep(self) -> bool:
        """Whether a task sleeps here that was neither woken nor cancelled."""
        return self._task is not None

    async def sleep(self) -> None:
        """Until `wake`. A checkpoint. RuntimeError if another task sleeps here."""
        if self._task is not None:
            raise RuntimeError("somebody else sleeps here")
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._cancelled)

    @trio.lowlevel.enable_ki_protection
    def wake(self) -> bool:
        """Wake who sleeps here; False if nobody does."""
        task = self._task
        if task is None:
            return False
        self._task = None
        trio.lowlevel.reschedule(task)
        return True

    def _cancelled(self, _raise: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class Asker(Sleeper, Generic[R]):
    """A task that waits for one answer: a rendezvous. Either it gets the answer, or it was gone before that was given."""

    __slots__ = ("_answer",)

    def __init__(self) -> None:
        super().__init__()
        self._answer: R = _NOTHING

    async def answer(self) -> R:
        """Wait for it, once. Raises `Lost`."""
        await self.sleep()
        if self._answer is _NOTHING:
            raise Lost
        return self._answer

    def give(self, answer: object) -> None:
        """The answer. Nothing happens if the asker has left."""
        if self._task is not None:
            self._answer = cast("R", answer)
            self.wake()
