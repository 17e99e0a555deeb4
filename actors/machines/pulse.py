"""Whether a deployment that was given up still answers now and then.

A circuit opens because somebody else is the better choice: five failures in a row are reason enough to go elsewhere, and
one that fails three times in ten has them by chance once in a few hundred calls. Where there is nobody else the question is
another one: is it dead, so that a call is time and money for nothing, or does asking it help more callers than refusing them?

That is read off its last answers, `KEPT` of them. It lives while at least a quarter of them were good. They are counted and not
timed: a total outage shows after fifteen failures, however quick or slow they come, and one that fails half of the time is
taken for dead in a hundred and seventy looks (the binomial tail: fewer than 5 of 20). With none seen it is not alive.
"""

from collections import deque
from typing import Final

from .breaker_states import Verdict

__all__ = ["KEPT", "Pulse"]

KEPT: Final = 20
_SHARE: Final = 0.25


class Pulse:
    """The last answers. Of a stream that breaks, what its beginning had said is taken back."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        self._answers: deque[bool] = deque(maxlen=KEPT)

    def feel(self, verdict: Verdict) -> None:
        """Count an answer, whenever it was asked for."""
        if verdict is Verdict.SUCCESS:
            self._answers.append(True)
        elif verdict is Verdict.FAILURE:
            self._answers.append(False)
        elif verdict is Verdict.STREAM_BROKEN:
            self._take_back()

    @property
    def alive(self) -> bool:
        """Whether enough of the last answers were good."""
        good = sum(self._answers)
        return good > 0 and good >= _SHARE * len(self._answers)

    def clear(self) -> None:
        """Nothing is known."""
        self._answers.clear()

    def _take_back(self) -> None:
        """The latest good answer was none."""
        for position in reversed(range(len(self._answers))):
            if self._answers[position]:
                self._answers[position] = False
                return
