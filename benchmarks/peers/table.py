"""The comparison as a table in Markdown, which reads well on a terminal too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .measure import Faults, Figures

__all__ = ["markdown"]


def markdown(figures: Sequence[Figures], left_out: Mapping[str, str]) -> str:
    """The table of `figures`, and who is missing, and why."""
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("CPU µs a request", lambda each: _micro(each.cpu_per_request)),
        ("requests a second and core, by that", lambda each: _per_core(each.cpu_per_request)),
        ("CPU µs a streamed chunk", lambda each: _micro(each.cpu_per_chunk)),
        ("latency p50 / p99, ms", lambda each: f"{_milli(each.p50)} / {_milli(each.p99)}"),
        (
            "directly to the vendor, at the same time, ms",
            lambda each: f"{_milli(each.direct_p50)} / {_milli(each.direct_p99)}",
        ),
        (
            "so added p50 / p99, ms",
            lambda each: f"{_added(each.p50, each.direct_p50)} / {_added(each.p99, each.direct_p99)}",
        ),
        ("RSS idle / after load, MiB", lambda each: f"{_mebi(each.rss_idle)} / {_mebi(each.rss)}"),
        (
            "first vendor, 30 % of answers are 500: failed for the client",
            lambda each: _failed(each.one_fails),
        ),
        ("... attempts of vendors a request", lambda each: _attempts(each.one_fails)),
        ("both vendors so: failed for the client", lambda each: _failed(each.both_fail)),
        ("... attempts of vendors a request", lambda each: _attempts(each.both_fail)),
        ("4 of 5 streams break off: whole", lambda each: _count(each.cutting.whole, each.cutting)),
        ("... told to the client", lambda each: _count(each.cutting.told, each.cutting)),
        ("... ended without a word", lambda each: _count(each.cutting.silent, each.cutting)),
        ("... shown as whole", lambda each: _count(each.cutting.false, each.cutting)),
    ]
    lines = [_line(["", *[f"{each.name} {each.version}".strip() for each in figures]])]
    lines.append(_line(["---", *["---:"] * len(figures)]))
    lines += [_line([name, *[show(each) for each in figures]]) for name, show in rows]
    lines += ["", *[f"- {each.name}: {each.resilience}" for each in figures]]
    lines += [f"- {name} is left out: {why}" for name, why in left_out.items()]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _micro(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:,.0f}" if seconds >= 2e-5 else f"{seconds * 1e6:.1f}"


def _per_core(seconds: float | None) -> str:
    return f"{1 / seconds:,.0f}" if seconds else "-"


def _milli(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.1f}"


def _added(seconds: float | None, alone: float | None) -> str:
    return "-" if seconds is None or alone is None else _milli(seconds - alone)


def _mebi(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}"


def _failed(seen: Faults) -> str:
    return f"{(seen.requests - seen.whole) / max(1, seen.requests):.1%}"


def _attempts(seen: Faults) -> str:
    return f"{seen.attempts / max(1, seen.requests):.2f}"


def _count(number: int, seen: Faults) -> str:
    return f"{number} of {seen.requests}"
