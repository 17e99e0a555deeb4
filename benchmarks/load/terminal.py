"""A report as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .report import Quantiles, Report
from .words import dollars, duration, number, share

__all__ = ["terminal_view"]

_COLUMNS: Final = ("p50", "p90", "p95", "p99", "p999", "longest")


def terminal_view(report: Report) -> RenderableType:
    """The whole report."""
    parts: list[RenderableType] = [_heading(report), _summary(report), _times(report)]
    if report.errors:
        parts.append(_errors(report))
    if report.vendors:
        parts.append(_vendors(report))
    if report.books:
        parts.append(_books(report))
    if report.objectives:
        parts.append(_objectives(report))
    return Group(*parts, *_notes(report))


def _heading(report: Report) -> Text:
    about = report.about
    kind = "streamed" if about.stream else "plain"
    text = Text()
    text.append(f"{about.target}\n", style="bold")
    text.append(f"{about.load}, {kind}, model {about.model}, seed {about.seed}\n")
    if about.vendors:
        text.append(f"vendors: {about.vendors}\n")
    return text


def _summary(report: Report) -> Text:
    seen, rate = report.requests, report.throughput
    sent = seen.arrived - seen.not_started
    judged = max(1, seen.ok + seen.failed)
    lines = [
        f"{number(seen.arrived)} requests in {duration(report.seconds)}: {number(seen.ok)} answered "
        f"({share(seen.ok / judged)}), {number(seen.failed)} failed"
        + (f", {number(seen.interrupted)} interrupted" if seen.interrupted else "")
        + (f", of which {number(seen.not_started)} could not be started" if seen.not_started else ""),
        f"{rate.arrived:.1f} a second were to be sent for {duration(report.sending)}; over the whole run {rate.ok:.1f} a "
        "second were answered"
        + (f" ({rate.good:.1f} within the objectives)" if report.objectives else "")
        + f", at most {number(seen.most_in_flight)} at once"
        + (f", {report.attempts / sent:.2f} attempts each" if report.attempts > sent > 0 else ""),
        _money(report),
    ]
    return Text("\n".join(lines) + "\n")


def _money(report: Report) -> str:
    words = (
        f"{number(report.input_tokens)} input and {number(report.output_tokens)} output tokens, "
        f"{report.throughput.output_tokens:,.0f} output tokens a second"
    )
    if report.requests.ok > report.cost.unpriced:
        words += f"; {dollars(report.cost.dollars)}"
        if report.cost.per_thousand is not None:
            words += f", {dollars(report.cost.per_thousand)} for a thousand answers"
        if report.cost.unpriced:
            words += f" ({number(report.cost.unpriced)} answers without a price are not in it)"
    return words


def _times(report: Report) -> Table:
    rows = [("latency", report.latency)]
    if report.about.stream:
        rows += [("first content", report.first_content), ("gap between pieces", report.gaps)]
    if report.lag.longest:
        rows += [("sent late by", report.lag)]
    table = _table("", "mean", *_COLUMNS)
    for name, times in rows:
        table.add_row(name, duration(times.mean), *_cells(times))
    return table


def _cells(times: Quantiles) -> Iterator[str]:
    for column in _COLUMNS:
        yield duration(getattr(times, column))


def _errors(report: Report) -> Table:
    table = _table("failed", "", "", "p50", "for example", left=(4,))
    for row in report.errors:
        example = Text(row.example, overflow="ellipsis", no_wrap=True)
        table.add_row(
            Text(row.name, style="red"), number(row.count), share(row.share), duration(row.p50), example
        )
    return table


def _vendors(report: Report) -> Table:
    table = _table("answered by", "", "")
    for row in report.vendors:
        table.add_row(Text(row.name), number(row.count), share(row.share))
    return table


def _books(report: Report) -> Table:
    names = ("attempts", "complete", "refused", "unanswered", "broken", "client_closed", "output_tokens")
    table = _table("vendors' own books", *[name.replace("_", " ") for name in names])
    for vendor, told in report.books.items():
        table.add_row(Text(vendor), *[number(told.get(name)) for name in names])
    return table


def _objectives(report: Report) -> Table:
    table = _table("objective", "measured", "attained", "")
    for row in report.objectives:
        word = Text("kept", style="green") if row.met else Text("missed", style="bold red")
        attained = "" if row.attained is None else share(row.attained)
        table.add_row(Text(row.objective), measured(row.objective, row.value), attained, word)
    return table


def measured(objective: str, value: float | None) -> str:
    """What was measured for an objective, in its own unit."""
    if value is None:
        # The quantile falls among requests that failed, or nobody tells costs.
        return "failed" if objective.startswith(("latency", "ttft")) else "unknown"
    if objective.startswith("error_rate"):
        return share(value)
    if objective.startswith("throughput"):
        return f"{value:.1f}/s"
    return dollars(value) if objective.startswith("cost") else duration(value)


def _notes(report: Report) -> Iterator[Text]:
    own = report.generator
    per = "" if own.cpu_per_request is None else f", {own.cpu_per_request * 1e6:,.0f} µs a request"
    whose = "this process, target included" if own.includes_target else "the load generator"
    yield Text(
        f"{whose}: {own.cpu_share:.0%} of a core{per}, at most {own.peak_rss / 2**20:.0f} MiB", style="dim"
    )
    if (its := report.target_use) is not None:
        each = "" if its.cpu_per_request is None else f", {its.cpu_per_request * 1e6:,.0f} µs a request"
        yield Text(
            f"the target: {its.cpu_share:.0%} of a core{each}, {its.rss / 2**20:.0f} MiB after the run"
        )
    if own.warning:
        yield Text(f"mind: {own.warning}", style="bold yellow")
    if report.ending == "interrupted":
        yield Text("interrupted: this is what had been seen until then", style="bold yellow")


def _table(*columns: str, left: Sequence[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 or place in left else "right")
    return table
