"""One attempt between its request and its outcome."""

from __future__ import annotations

from collections.abc import Callable

from .limits import Admission
from .meter import Attempt, Meter, Outcome
from .plan import Plan
from .script import Step

__all__ = ["Exchange", "NotFound"]


class NotFound(Exception):
    """No format is spoken at this path."""


class Exchange:
    """One attempt on its way: what it is to be answered, and the books it goes into. `settle` it once, at its end."""

    def __init__(
        self,
        attempt: Attempt,
        step: Step,
        plan: Plan,
        meter: Meter,
        admission: Admission | None,
        on_end: Callable[[Attempt], None] | None,
        text: str = "",
        reports_usage: bool = True,
    ) -> None:
        self.attempt = attempt
        self.step = step
        self.plan = plan
        self.text = text
        """What the whole answer says."""
        self.reports_usage = reports_usage
        """Whether its end is to tell what was used."""
        self._meter = meter
        self._admission = admission
        self._on_end = on_end

    def settle(self, outcome: Outcome, now: float) -> None:
        """Bill the attempt and give back what it did not use."""
        attempt = self.attempt
        self._meter.end(attempt, outcome, self.step.bill, now)
        if self._admission is not None:
            self._admission.settle(attempt.input_tokens, attempt.generated_tokens)
        if self._on_end is not None:
            self._on_end(attempt)
