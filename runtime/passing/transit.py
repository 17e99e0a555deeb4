"""One attempt to pass a request on. All that differs from any other attempt is here.

- What begins the answer is its head, of any status below 400; its body goes on as it comes, whatever its length.
- A vendor may take its time over the beginning of an answer that is no stream, as long as the request has.
- A refusal says nothing about the vendor, its key or its models, unless it is a limit or the vendor's own failure: the client
  chooses path, header fields and body, and whoever asks for what he may not have would have the key closed for everybody.
- Who leaves ends it: nothing is read on for the bill's sake (`on_disconnect`).
- What it cost is only known where the usage was read, and of a model with a price.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec
import trio

from ...actors.faults import FaultClass
from ..attempt import Attempt
from ..canon import Event, Fault
from ..dialects import Answer
from .passage import Known, Passage
from .reading import PassingDecoder, bytes_of

__all__ = ["Transit"]


class Transit(Attempt):
    """See the module's docstring."""

    _most_body: ClassVar[float] = math.inf

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        passage: Any = self._request
        self._passage: Passage = passage
        self._known: Known | None = self._passage.known
        self._begun = False
        self.refusal: Answer | None = None
        """The vendor's answer, if it was one of status 400 or above."""
        # A connection that turns out stale would be no proof that nothing was done.
        self._fresh = self._fresh or not self._passage.repeatable
        if self._known is None or not self._known.priced:
            self.bill.unpriced()

    @property
    def committed(self) -> bool:
        """Whether the body of the answer has begun to arrive."""
        return self._begun

    @property
    def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The status and the header fields of the answer."""
        return self._exchange.status or 502, self._exchange.headers

    def settle(self, *, superseded: bool = False) -> None:
        """See `Attempt.settle`."""
        if self._ended and self.bill.usage is None and not self._streamed:
            self.bill.unpriced()
        super().settle(superseded=superseded)

    @property
    def _streamed(self) -> bool:
        """Whether the answer is a stream of events that is understood."""
        return self._known is not None and self._known.streamed

    async def _open(self) -> None:
        await super()._open()
        self._decoder = PassingDecoder(self._known)

    def _first_patience(self) -> float:
        left = max(0.0, self._deadline - trio.current_time())
        return min(super()._first_patience(), left) if self._streamed else left

    def _accepts(self, status: int) -> bool:
        return status < 400

    def _refused(self, answer: Answer) -> Fault:
        self.refusal = answer
        fault = super()._refused(answer)
        if answer.status == 429 or answer.status >= 500:
            return fault
        return msgspec.structs.replace(
            fault, kind=FaultClass.BAD_REQUEST, elsewhere=False, should_retry=False, day_ends_in=None
        )

    def _observe(self, events: list[Event]) -> None:
        read = [event for event in events if not bytes_of(event)]
        passed = len(events) - len(read)
        super()._observe(read)
        if passed:
            self._begun = True
            if self._pace is not None and not self._streamed:
                self._pace.content(passed)
