"""Figures with their bounds, and how a scenario is run."""

from __future__ import annotations

import gc
import logging
import math
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import structlog
import trio
from msgspec import Struct
from trio.testing import MockClock

__all__ = [
    "Case",
    "Figure",
    "Figures",
    "Memory",
    "Outcome",
    "Row",
    "logged",
    "memory_watched",
    "quantile",
    "run",
]

_LONGEST = 400 * 86_400.0
"""Virtual seconds after which a scenario is taken to hang."""
_LONGEST_REAL = 300.0


class Figure(Struct, frozen=True):
    """What was measured, what it may be, and whether it is."""

    name: str
    value: float
    bound: str
    holds: bool
    unit: str = ""

    def __str__(self) -> str:
        shown = f"{round(self.value, 9):.4g}" if math.isfinite(self.value) else str(self.value)
        return f"{self.name} {shown}{self.unit} ({self.bound})"


class Figures:
    """The figures of one scenario, in the order in which they were taken."""

    def __init__(self) -> None:
        self.taken: list[Figure] = []

    def at_most(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """`value` may be `bound` or less."""
        self.taken.append(Figure(name, value, f"<= {bound:g}", value <= bound, unit))

    def at_least(self, name: str, value: float, bound: float, unit: str = "") -> None:
        """`value` is to be `bound` or more."""
        self.taken.append(Figure(name, value, f">= {bound:g}", value >= bound, unit))

    def exactly(self, name: str, value: float, wanted: float, unit: str = "") -> None:
        """`value` is to be just that; a truth counts as 1."""
        self.taken.append(Figure(name, float(value), f"= {float(wanted):g}", value == wanted, unit))

    def between(self, name: str, value: float, least: float, most: float, unit: str = "") -> None:
        """`value` is to be within these, both included."""
        self.taken.append(Figure(name, value, f"{least:g} to {most:g}", least <= value <= most, unit))

    def include(self, others: Figures, prefix: str = "") -> None:
        """Take over another scenario's figures."""
        self.taken += [
            Figure(prefix + each.name, each.value, each.bound, each.holds, each.unit) for each in others.taken
        ]

    @property
    def violated(self) -> list[Figure]:
        """Those that are not as they should be."""
        return [each for each in self.taken if not each.holds]

    def __getitem__(self, name: str) -> float:
        """The value of the figure called `name`."""
        return next(each.value for each in self.taken if each.name == name)


Scenario: TypeAlias = Callable[[], Awaitable[Figures]]


class Case(Struct, frozen=True):
    """One way in which a row's fault can come about. `slow`: it takes longer than a quarter of a second; `full`: so long
    that it is only run when asked for."""

    scenario: Scenario
    variant: str = ""
    clock: Literal["virtual", "real"] = "virtual"
    slow: bool = False
    full: bool = False


class Row(Struct, frozen=True):
    """One row of the table."""

    number: str
    fault: str
    expected: str
    cases: tuple[Case, ...]


class Outcome(Struct, frozen=True):
    """How a case went: its figures, or what it failed with; `seconds` of real time."""

    figures: Figures
    error: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything was as it should be."""
        return self.error is None and not self.figures.violated


def run(case: Case) -> Outcome:
    """Run a case in an event loop of its own. Whatever it raises is its outcome."""
    virtual = case.clock == "virtual"
    begun = time.perf_counter()
    figures, error = Figures(), None
    try:
        with _silence():
            figures = trio.run(
                _bounded,
                case.scenario,
                _LONGEST if virtual else _LONGEST_REAL,
                clock=MockClock(autojump_threshold=0) if virtual else None,
            )
    except Exception as raised:
        error = _told(raised)
    return Outcome(figures, error, time.perf_counter() - begun)


@contextmanager
def _silence() -> Iterator[None]:
    """What is logged of faults that are made on purpose is of no interest, and costs more time than they do."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _bounded(scenario: Scenario, seconds: float) -> Figures:
    with trio.fail_after(seconds):
        return await scenario()


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return "; ".join([_told(each) for each in error.exceptions])
    place: Any = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = (
        ""
        if place is None
        else f" ({place.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno})"
    )
    return f"{type(error).__name__}: {error}{where}"


@contextmanager
def logged() -> Iterator[list[Any]]:
    """The lines that are logged within, as structlog's dictionaries, of warnings and worse."""
    lines: list[Any] = []

    def keep(_logger: Any, level: str, event: Any) -> Any:
        lines.append({**event, "level": level})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    try:
        yield lines
    finally:
        structlog.configure(**before)


class Memory:
    """MiB of Python's memory that were taken since the beginning: `peak` at most at once, `kept` at the end."""

    peak = kept = 0.0


@contextmanager
def memory_watched() -> Iterator[Memory]:
    """Counts what is allocated within, by itself: the process's size would depend on what ran before."""
    found = Memory()
    gc.collect()
    tracemalloc.start()
    try:
        yield found
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        found.peak, found.kept = peak / 2**20, kept / 2**20
    finally:
        tracemalloc.stop()


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed; 0 if there are none."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
