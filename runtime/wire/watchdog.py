"""Deadlines for very many waits, nearly all of which end in time.

A `trio.CancelScope` with a deadline costs about 10 us under load, as it enters and leaves a heap
each time; a streamed answer would pay that for every piece. Here a wait costs two attribute
writes. Each watched thing has at most one current entry in a heap, made when it had none; its
deadline may move later without touching the heap. Only when an entry's time comes is the thing
looked at: if its deadline has moved, the entry moves there; if it is not waiting, the entry goes;
else it has overrun. So the heap is touched about once a timeout, not once a wait ("lazy timers").

Precise: nothing is expired early, and nothing later than the event loop allows. One system task
sleeps until the earliest entry, and exists only while there is one.
"""

import heapq
from itertools import count
from math import inf
from typing import Protocol

import trio

_PRUNE_ABOVE = 32
"""Entries of what was forgotten, beyond those that count, which may wait for their time: each keeps a closed connection in memory with
its socket and buffers. A pruning visits about two entries for each one forgotten since the last, whatever this number."""
_INSIST = 0.05


class Watched(Protocol):
    """Something that waits now and then. Both times are on trio's clock, and `inf` to begin with.

    `deadline`: when the present wait has lasted too long. `looked_at`: the time of its entry, for
    the watchdog's use. `expire` is to end the wait, and must not raise;
    it is called again (after 50 ms) until `deadline` is `inf`, since a task may just be between two waits.
    """

    deadline: float
    looked_at: float

    def expire(self) -> None: ...


class Watchdog:
    """Expires what overruns its deadline. For use within one `trio.run`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Watched]] = []
        # Entries with equal times are told apart by their age, never by comparing what they watch.
        self._ages = count()
        self._current = 0
        self._alarm: trio.CancelScope | None = None

    def watch(self, watched: Watched, deadline: float) -> None:
        """A wait begins. It ends when `watched.deadline` is set to `inf` again, by whoever waited."""
        watched.deadline = deadline
        if deadline < watched.looked_at:
            self._enter(watched, deadline)

    def forget(self, watched: Watched) -> None:
        """`watched` will not wait any more; the watchdog need not keep it in memory."""
        watched.deadline = inf
        if watched.looked_at != inf:
            watched.looked_at = inf
            self._current -= 1
            if len(self._heap) > _PRUNE_ABOVE + 2 * self._current:
                self._heap = [entry for entry in self._heap if entry[2].looked_at == entry[0]]
                heapq.heapify(self._heap)

    def close(self) -> None:
        """Watch nothing any more."""
        self._heap.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _enter(self, watched: Watched, time: float) -> None:
        if watched.looked_at == inf:
            self._current += 1
        watched.looked_at = time
        heapq.heappush(self._heap, (time, next(self._ages), watched))
        if self._alarm is None:
            self._alarm = trio.CancelScope(deadline=time)
            trio.lowlevel.spawn_system_task(self._patrol, name="read timeouts")
        elif time < self._alarm.deadline:
            self._alarm.deadline = time

    async def _patrol(self) -> None:
        try:
            while self._heap and self._alarm is not None:
                with self._alarm:
                    await trio.sleep_forever()
                self._look(trio.current_time())
                self._alarm = trio.CancelScope(deadline=self._heap[0][0]) if self._heap else None
        finally:
            self._alarm = None

    def _look(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            time, _, watched = heapq.heappop(self._heap)
            if watched.looked_at != time:
                continue
            self._current -= 1
            watched.looked_at = inf
            if watched.deadline <= now:
                watched.expire()
                self._enter(watched, now + _INSIST)
            elif watched.deadline != inf:
                self._enter(watched, watched.deadline)
