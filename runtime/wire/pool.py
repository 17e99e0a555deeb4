"""The connections of one transport: idle ones kept for reuse, their number bounded, the waiting served in turn.

Theory of operation. A *slot* is the right to have one connection. It is taken before a connection
is dialled and given back when that is closed; there are `max_connections` of them. Idle connections
keep their slot and lie in one stack an origin: the one used last is the warmest, and those below it
grow old together, so the old ones can be dropped from the bottom.

A request takes an idle connection, else a free slot, else the slot of an idle connection to
elsewhere, else it waits. So whoever waits knows that nothing is idle and no slot free; what is
given back goes to the first who waits and never lies about. Everything here takes constant time
(dropping the expired: constant for each, once).

No slot can get lost between two tasks, because all but the wait itself is synchronous, and the wait
is trio's own primitive: a task is either woken with what it was given, or cancelled and then no
longer queued, never both. Once woken it is the waiter's business to give back what it holds.
"""

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

import msgspec
import trio

from .client_errors import PoolOverflow
from .client_request import Origin


class ClientLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one transport.

    `max_connections`: open at the same time, those being dialled included. `max_waiting`: requests
    that may wait for one; more are refused at once. `idle_expiry`: seconds after which an idle
    connection is not used any more; servers commonly close theirs after a minute or more.
    """

    max_connections: int = 256
    max_waiting: int = 1024
    idle_expiry: float = 30.0

    def __post_init__(self) -> None:
        if self.max_connections < 1 or self.max_waiting < 0 or self.idle_expiry < 0:
            raise ValueError(f"limits make no sense: {self}")


class OriginStatistics(msgspec.Struct, frozen=True):
    """The connections to one origin: `open` is `idle` plus `busy`."""

    open: int
    idle: int
    busy: int


class TransportStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a transport's life.

    `origins` by URL, those with open connections only. `dialling`: slots taken by connections not
    open yet. `opened` and `reused`: connections opened, and times that one served again, in total.
    `waiting`: requests that wait for a slot.
    """

    origins: dict[str, OriginStatistics]
    dialling: int
    opened: int
    reused: int
    waiting: int


class Poolable(Protocol):
    """What the pool must know of a connection."""

    origin: Origin
    expires_at: float

    def is_quiet(self) -> bool: ...
    def close(self) -> None: ...


C = TypeVar("C", bound=Poolable)


class _Waiter(Generic[C]):
    """A task in the queue, and what it was woken with: a connection, or None for a bare slot."""

    __slots__ = ("granted", "origin", "task")

    def __init__(self, origin: Origin, task: trio.lowlevel.Task) -> None:
        self.origin = origin
        self.task = task
        self.granted: C | None = None


class Pool(Generic[C]):
    """See the module's text. Every connection or slot obtained ends in exactly one call of `release`, `discard` or
    `forfeit`."""

    def __init__(self, limits: ClientLimits) -> None:
        self.limits = limits
        self._slots = limits.max_connections
        self._live: set[C] = set()
        # Only origins that have idle connections are listed here.
        self._idle: dict[Origin, deque[C]] = {}
        self._waiters: OrderedDict[_Waiter[C], None] = OrderedDict()
        self._opened = 0
        self._reused = 0
        self.closed = False

    def take(self, origin: Origin, now: float) -> C | None:
        """The idle connection to `origin` used last, or None if none is fit for use."""
        idle = self._idle.get(origin)
        while idle:
            connection = self._pop(origin, idle, newest=True)
            if now < connection.expires_at and connection.is_quiet():
                self._reused += 1
                return connection
            self.discard(connection)
        return None

    def claim(self) -> bool:
        """Take a slot for a new connection, if need be that of an idle one; False if all are in use."""
        self._check_open()
        if not self._slots:
            if not self._idle:
                return False
            origin, idle = next(iter(self._idle.items()))
            self.discard(self._pop(origin, idle, newest=False))
        self._slots -= 1
        return True

    def claim_spare(self) -> bool:
        """Take a slot that nobody uses, for a connection that nobody needs yet; False if there is none."""
        self._check_open()
        if not self._slots:
            return False
        self._slots -= 1
        return True

    def expire(self, origin: Origin, now: float) -> None:
        """Drop the idle connections to `origin` that will not be used any more at `now`."""
        idle = self._idle.get(origin)
        while idle and idle[0].expires_at <= now:
            self.discard(self._pop(origin, idle, newest=False))

    def open_to(self, origin: Origin) -> int:
        """How many connections to `origin` there are, idle or in use."""
        return sum(connection.origin == origin for connection in self._live)

    async def wait(self, origin: Origin) -> C | None:
        """Queue until there is a connection to `origin` (returned) or a slot for one (None).

        PoolOverflow if too many wait already, RuntimeError if the pool is closed meanwhile. If it
        raises, or is cancelled, nothing was obtained.
        """
        if len(self._waiters) >= self.limits.max_waiting:
            raise PoolOverflow(f"{len(self._waiters)} requests wait for a connection already")
        waiter: _Waiter[C] = _Waiter(origin, trio.lowlevel.current_task())
        self._waiters[waiter] = None

        def leave(_: object) -> trio.lowlevel.Abort:
            del self._waiters[waiter]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        if self.closed and waiter.granted is None:
            self.forfeit()
        self._check_open()
        if waiter.granted is not None:
            self._reused += 1
        return waiter.granted

    def adopt(self, connection: C) -> None:
        """A connection was opened for a claimed slot, and is in use. If the pool was closed meanwhile, so is it."""
        self._opened += 1
        self._live.add(connection)
        if self.closed:
            self.discard(connection)
            self._check_open()

    def forfeit(self) -> None:
        """Give back a slot that led to no connection."""
        if self._waiters:
            self._wake(None)
        else:
            self._slots += 1

    def release(self, connection: C, now: float) -> None:
        """Give back a connection that can serve again; it goes to the first who waits, or lies idle."""
        if self.closed or connection not in self._live:
            self.discard(connection)
            return
        if self._waiters:
            if next(iter(self._waiters)).origin == connection.origin and connection.is_quiet():
                self._wake(connection)
            else:
                self.discard(connection)
            return
        connection.expires_at = now + self.limits.idle_expiry
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = deque()
        idle.append(connection)
        self.expire(connection.origin, now)

    def discard(self, connection: C) -> None:
        """Close a connection that is not idle, and give back its slot. Idempotent."""
        connection.close()
        if connection in self._live:
            self._live.remove(connection)
            self.forfeit()

    def close(self) -> None:
        """Close all connections, those in use included, and send away all who wait (RuntimeError). Idempotent."""
        self.closed = True
        self._idle.clear()
        while self._live:
            self._live.pop().close()
            self._slots += 1
        while self._waiters:
            self._slots -= 1
            self._wake(None)

    def statistics(self) -> TransportStatistics:
        counts: dict[Origin, int] = {}
        for connection in self._live:
            counts[connection.origin] = counts.get(connection.origin, 0) + 1
        origins = {}
        for origin, count in counts.items():
            scheme, host, port = origin
            idle = len(self._idle.get(origin, ()))
            origins[f"{scheme}://{host.decode('ascii')}:{port}"] = OriginStatistics(count, idle, count - idle)
        return TransportStatistics(
            origins=origins,
            dialling=self.limits.max_connections - self._slots - len(self._live),
            opened=self._opened,
            reused=self._reused,
            waiting=len(self._waiters),
        )

    def _pop(self, origin: Origin, idle: deque[C], *, newest: bool) -> C:
        connection = idle.pop() if newest else idle.popleft()
        if not idle:
            del self._idle[origin]
        return connection

    def _wake(self, granted: C | None) -> None:
        waiter, _ = self._waiters.popitem(last=False)
        waiter.granted = granted
        trio.lowlevel.reschedule(waiter.task)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("this transport has been closed")
