"""A report as one HTML page: plots and tables, no script, and nothing that is fetched from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from .plots import Series, line_plot
from .report import Quantiles, Report
from .terminal import measured
from .words import dollars, duration, number, share

__all__ = ["page"]

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1f24; --dim: #667079; --grid: #d8dee4; --back: #fff; --card: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; --main: #0969da; --other: #8250df; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #8d96a0; --grid: #30363d; --back: #0d1117;
  --card: #161b22; --good: #3fb950; --bad: #f85149; --main: #4493f8; --other: #ab7df8; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; margin: 1.2rem 0; }
.cards div { background: var(--card); border-radius: .4rem; padding: .6rem .8rem; }
.cards b { display: block; font-size: 1.25rem; font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; } td.text { white-space: normal; overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--dim); } svg { width: 100%; height: auto; margin: .6rem 0; }
svg text { fill: var(--dim); font-size: 12px; } svg .title { fill: var(--text); font-weight: 600; font-size: 13px; }
svg .grid { stroke: var(--grid); } svg path { fill: none; stroke-width: 1.8; }
"""
_COLUMNS: Final = ("mean", "p50", "p75", "p90", "p95", "p99", "p999", "longest")
_HIGH: Final = (
    (0.0, "0"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
)
"""Quantiles that are marked; each further nine gets the same room, as the far end is what matters."""


def page(report: Report) -> str:
    """The whole page."""
    parts = [
        *_heading(report),
        _cards(report),
        *_plots(report),
        "<h2>Times</h2>",
        _times(report),
        *_lists(report),
        *_footer(report),
    ]
    title = f"Load on {report.about.target}"
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    )
    return head + "\n".join(parts) + "</body></html>\n"


def _heading(report: Report) -> Iterator[str]:
    about = report.about
    yield f"<h1>{escape(about.target)}</h1>"
    kind = "streamed" if about.stream else "plain"
    yield f"<p>{escape(about.load)}; {kind}; model {escape(about.model)}; seed {about.seed}</p>"
    if about.vendors:
        yield f'<p class="dim">vendors: {escape(about.vendors)}</p>'
    yield f'<p class="dim">{escape(about.began)}, {escape(about.machine)}, llm-dispatcher {escape(about.version)}</p>'
    if report.ending == "interrupted":
        yield '<p class="bad">Interrupted: this is what had been seen until then.</p>'
    if report.generator.warning:
        yield f'<p class="bad">Mind: {escape(report.generator.warning)}.</p>'


def _cards(report: Report) -> str:
    seen, judged = report.requests, max(1, report.requests.ok + report.requests.failed)
    cards = [
        ("requests", number(seen.arrived)),
        ("answered", share(seen.ok / judged)),
        ("answers a second", f"{report.throughput.ok:.1f}"),
        ("latency p50", duration(report.latency.p50)),
        ("latency p99", duration(report.latency.p99)),
    ]
    if report.about.stream:
        cards.append(("first content p99", duration(report.first_content.p99)))
    cards.append(("output tokens a second", f"{report.throughput.output_tokens:,.0f}"))
    if seen.ok > report.cost.unpriced:
        cards.append(("cost", dollars(report.cost.dollars)))
    return f'<div class="cards">{"".join(f"<div>{escape(name)}<b>{escape(value)}</b></div>" for name, value in cards)}</div>'


# --- plots --------------------------------------------------------------------------------------


def _plots(report: Report) -> Iterator[str]:
    width = report.slot
    moments = report.timeline
    rates = [
        Series("to be sent", "--dim", [(each.at, each.arrived / width) for each in moments]),
        Series("answered", "--good", [(each.at, each.ok / width) for each in moments]),
        Series("failed", "--bad", [(each.at, each.failed / width) for each in moments]),
    ]
    yield line_plot("Requests a second", rates, "seconds", lambda value: f"{value:g}")
    times = [
        Series("p50", "--main", [(each.at, each.p50) for each in moments]),
        Series("p99", "--other", [(each.at, each.p99) for each in moments]),
    ]
    yield line_plot("Latency of answers, by when they ended", times, "seconds", _seconds)
    least = 1 / max(10, report.latency.count)
    points = [(_nines(q, least), value) for q, value in report.curve]
    marks = [(_nines(q, least), label) for q, label in _HIGH if 1 - q >= least * (1 - 1e-9)]
    ends = [*marks, (_nines(1.0, least), "")]
    curve = [Series("latency", "--main", points)]
    yield line_plot("Latency by quantile", curve, "share of answers that are quicker", _seconds, ends)


def _nines(q: float, least: float) -> float:
    return -math.log10(max(1 - q, least))


def _seconds(value: float) -> str:
    unit, size = ("ms", 1e3) if value < 1 else ("s", 1.0)
    return f"{value * size:g} {unit}" if value else "0"


# --- tables -------------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text: int | None = None) -> str:
    """A table; the column numbered `text` holds sentences."""
    kinds = [' class="text"' if place == text else "" for place in range(len(header))]
    head = "".join(f"<th{kind}>{escape(each)}</th>" for kind, each in zip(kinds, header, strict=True))
    body = "".join(f"<tr>{_cells(kinds, row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _cells(kinds: Sequence[str], row: Sequence[str]) -> str:
    return "".join(f"<td{kind}>{escape(each)}</td>" for kind, each in zip(kinds, row, strict=True))


def _times(report: Report) -> str:
    rows: list[tuple[str, Quantiles]] = [
        ("latency, from the intended start", report.latency),
        ("from the real start", report.service),
    ]
    if report.about.stream:
        rows += [("first content", report.first_content), ("gap between pieces", report.gaps)]
    rows.append(("sent late by", report.lag))
    cells = [[name, *(duration(getattr(times, each)) for each in _COLUMNS)] for name, times in rows]
    return _table(["", *_COLUMNS], cells)


def _lists(report: Report) -> Iterator[str]:
    if report.objectives:
        yield "<h2>Objectives</h2>"
        rows = [
            [
                each.objective,
                measured(each.objective, each.value),
                "" if each.attained is None else share(each.attained),
                "kept" if each.met else "missed",
            ]
            for each in report.objectives
        ]
        yield _table(["", "measured", "attained", ""], rows)
    if report.errors:
        yield "<h2>Failures</h2>"
        failures = [
            [each.name, number(each.count), share(each.share), duration(each.p50), each.example]
            for each in report.errors
        ]
        yield _table(["", "count", "share", "p50", "for example"], failures, text=4)
    if report.vendors:
        yield "<h2>Answered by</h2>"
        yield _table(
            ["", "answers", "share"], [[e.name, number(e.count), share(e.share)] for e in report.vendors]
        )
    if report.books:
        yield "<h2>The vendors' own books</h2>"
        names = list(next(iter(report.books.values())))
        rows = [[name, *(number(told.get(each)) for each in names)] for name, told in report.books.items()]
        yield _table(["", *[name.replace("_", " ") for name in names]], rows)


def _footer(report: Report) -> Iterator[str]:
    seen, own, cost = report.requests, report.generator, report.cost
    yield "<h2>Small print</h2>"
    yield (
        f"<p>{number(seen.arrived)} requests were to be sent: {number(seen.ok)} were answered whole, {number(seen.failed)} "
        f"failed (of these {number(seen.not_started)} could not be started, and {number(seen.unfinished)} were unfinished "
        f"when patience ended), {number(seen.interrupted)} were interrupted; at most {number(seen.most_in_flight)} were under "
        f"way at once. {number(report.attempts)} attempts of vendors are known of.</p>"
    )
    if seen.ok > cost.unpriced:
        thousand = (
            "" if cost.per_thousand is None else f", {dollars(cost.per_thousand)} for a thousand answers"
        )
        yield f"<p>{dollars(cost.dollars)}{thousand}; {number(cost.unpriced)} answers without a known price are not in it.</p>"
    if (its := report.target_use) is not None:
        each = "" if its.cpu_per_request is None else f", {its.cpu_per_request * 1e6:,.0f} µs a request"
        yield f"<p>The target needed {its.cpu_share:.0%} of a core{each}; {its.rss / 2**20:.0f} MiB after the run.</p>"
    whose = "This process, the target included," if own.includes_target else "The load generator"
    per = "" if own.cpu_per_request is None else f", {own.cpu_per_request * 1e6:,.0f} µs a request"
    yield f"<p>{whose} needed {own.cpu_share:.0%} of a core{per}, and {own.peak_rss / 2**20:.0f} MiB at most.</p>"
