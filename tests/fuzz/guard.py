"""Measures that do not depend on how busy the machine is: a limit that only a hang reaches, calls, bytes held."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any, Final

__all__ = ["Hang", "calls", "cpu_limit", "held"]


class Hang(Exception):
    """The code under test has used more CPU time than any honest work of that size takes."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Raise `Hang` in the body once it has used so much CPU time of this process; waiting costs nothing.

    Works within regular expressions too, which look for signals while they match.
    """

    def expire(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def calls(work: Callable[[], object]) -> int:
    """How many calls, of Python and of C functions, `work` makes: the same in every run."""
    made = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return made


_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType)


def held(root: object) -> int:
    """Bytes of everything that can be reached from `root`, without code and types."""
    seen: set[int] = set()
    waiting: list[object] = [root]
    size = 0
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, _SHARED):
            continue
        seen.add(id(node))
        size += sys.getsizeof(node)
        waiting += gc.get_referents(node)
    return size
