"""Clocks that jump, and a process that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

from llm_dispatcher.runtime import clock

__all__ = ["wall_clock"]


@contextmanager
def wall_clock(read: Callable[[], float]) -> Iterator[None]:
    """This machine's wall clock says what `read` says, meanwhile."""
    with mock.patch.object(clock, "time", SimpleNamespace(time=read)):
        yield
