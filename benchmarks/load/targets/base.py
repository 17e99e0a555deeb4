"""The contract of a target."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..jobs import Job
from ..watch import Watch

__all__ = ["Target"]


class Target(ABC):
    """Something that answers requests."""

    description: str
    """In a few words, for reports."""
    in_process: bool
    """Whether its work is done by this process, so that the generator's time cannot be told from it."""

    @abstractmethod
    async def send(self, job: Job, watch: Watch) -> None:
        """Send one request and read its answer to the end.

        Whatever goes wrong with it is told to `watch` (`Watch.fail`) and raised by no exception; cancellation ends it at once.
        """
