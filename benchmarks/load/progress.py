"""How a run stands, live on a terminal.

Drawing takes a few milliseconds twice a second, in the loop that sends: it shows in the report as requests that were sent
late. Who wants every millisecond measures with `--quiet`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import trio
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .plan import Plan
from .recorder import Recorder
from .words import dollars, duration, number, share

__all__ = ["Progress"]

_WIDTH: Final = 40
_SHOWN: Final = 3
"""Classes of failures and vendors that are named; the rest is in the report."""


class Progress:
    """A context manager; `look` is what `run` is given."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._before = (0.0, 0)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def look(self, recorder: Recorder) -> None:
        """Draw it anew."""
        now = trio.current_time() - recorder.began
        before, answered = self._before
        rate = (recorder.ok - answered) / (now - before) if now > before else 0.0
        self._before = (now, recorder.ok)
        self._live.update(self._view(recorder, now, rate), refresh=True)

    def _view(self, recorder: Recorder, now: float, rate: float) -> Table:
        view = Table.grid(padding=(0, 2))
        view.add_row("", Text(f"{self._plan.load}, {self._plan.extent}"))
        view.add_row(
            Text(duration(now), style="bold"),
            ProgressBar(total=1.0, completed=self._done(recorder, now), width=_WIDTH),
        )
        view.add_row(
            "requests",
            Text(
                f"{number(recorder.arrived)} sent, {number(recorder.in_flight)} under way, "
                f"{number(recorder.ok)} answered, {number(recorder.failed)} failed; {rate:.0f} answers a second"
            ),
        )
        view.add_row("latency", Text(_times(recorder.latency.quantile(0.5), recorder.latency.quantile(0.99))))
        if recorder.first_content.count:
            first = recorder.first_content
            view.add_row("first content", Text(_times(first.quantile(0.5), first.quantile(0.99))))
        if recorder.cost:
            view.add_row("cost", Text(dollars(float(recorder.cost))))
        if recorder.vendors:
            view.add_row("vendors", Text(_shares(recorder.vendors)))
        if recorder.errors:
            counts = {name: each.count for name, each in recorder.errors.items()}
            view.add_row("failures", Text(_shares(counts), style="red"))
        return view

    def _done(self, recorder: Recorder, now: float) -> float:
        bounds, load = self._plan.bounds, self._plan.load
        shares = [
            now / bounds.seconds if bounds.seconds else 1.0,
            recorder.arrived / max(1.0, bounds.requests),
        ]
        trace = getattr(load, "trace", None)
        if trace is not None:
            shares.append(recorder.arrived / trace.requests)
        return min(1.0, max(shares))


def _times(middle: float | None, high: float | None) -> str:
    return f"p50 {duration(middle)}, p99 {duration(high)}"


def _shares(counts: dict[str, int]) -> str:
    whole = sum(counts.values())
    largest = sorted(counts.items(), key=lambda item: -item[1])
    words = [f"{name} {share(count / whole)}" for name, count in largest[:_SHOWN]]
    return ", ".join(words) + (", ..." if len(largest) > _SHOWN else "")
