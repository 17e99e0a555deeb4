"""The answer to a request that was passed on, piece by piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import trio

from ..canon import Event
from ..dialects import VendorFault
from ..dispatch import reach
from ..errors import DispatchError, error_for
from ..house import House
from ..journey import Journey
from ..reply import AttemptRecord
from .passage import Passage
from .reading import bytes_of
from .transit import Transit

__all__ = ["Passing"]


class Passing:
    """An async context manager around an async iterator of pieces of the answer's body, as they came.

    Entering it waits for the head of the answer and the beginning of its body. An answer of status 400 or above is an answer
    too: the last one, when no attempt helped. Raises `DispatchError` on entering where there is none at all, and from the
    iteration where it breaks off. Leaving it early closes the connection to the vendor and settles what was used.
    """

    def __init__(self, house: House, passage: Passage, request_id: str) -> None:
        self._house = house
        self._passage = passage
        self._request_id = request_id
        self._journey: Journey | None = None
        self._attempts: list[Transit] = []
        self._ready: deque[bytes] = deque()
        self._done = False
        self.refused = False
        """Whether the answer is a refusal, of which at most the beginning is known."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """The attempts that have ended so far."""
        return () if self._journey is None else self._journey.attempts

    @property
    def attempt(self) -> Transit:
        """The attempt that brought the answer."""
        return self._attempts[-1]

    @property
    def deadline(self) -> float:
        """When the request ends at the latest, on the event loop's clock."""
        return trio.current_time() if self._journey is None else self._journey.deadline

    def _made(self, *arguments: Any, **more: Any) -> Transit:
        transit = Transit(*arguments, **more)
        self._attempts.append(transit)
        return transit

    async def __aenter__(self) -> Self:
        journey = self._journey = Journey(
            self._house, self._passage, stream=True, request_id=self._request_id, kind=self._made
        )
        try:
            with trio.CancelScope(deadline=journey.deadline):
                await reach(journey)
                self.status, self.headers = self.attempt.head
                self._take(self.attempt.ready)
                return self
            raise journey.too_late()
        except DispatchError as error:
            journey.over(error)
            if not self._was_refused():
                raise
            return self
        except BaseException as error:
            journey.over(error)
            raise

    def _was_refused(self) -> bool:
        """Whether the last attempt was refused: what the vendor said is the answer."""
        refusal = self._attempts[-1].refusal if self._attempts else None
        if refusal is None:
            return False
        self.status, self.headers = self._attempts[-1].head
        self._ready.append(refusal.body)
        self._done = self.refused = True
        return True

    def _take(self, events: Iterable[Event]) -> None:
        self._ready.extend([piece for event in events if (piece := bytes_of(event))])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._done or self._journey is None:
                raise StopAsyncIteration
            await self._read(self.attempt, self._journey)
        return self._ready.popleft()

    async def _read(self, attempt: Transit, journey: Journey) -> None:
        try:
            self._take(await attempt.read())
        except VendorFault as broken:
            self._done = True
            journey.finish(attempt, last=True)
            await attempt.close()
            raise error_for(broken.fault, journey.attempts, committed=True) from None
        if attempt.finished:
            self._done = True
            journey.finish(attempt, last=True)
            await attempt.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journey is not None and self._attempts and not self.attempt.settled:
            await self._journey.abandon(self.attempt)
