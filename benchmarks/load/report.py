"""What a run has shown, as plain data: the one source of the terminal's tables, the JSON and the page.

Times are seconds, shares lie between 0 and 1, money is dollars. A quantile is None where it cannot be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from .effort import Effort
from .histogram import Histogram
from .objectives import Objective
from .processes import Used
from .recorder import NOT_STARTED, UNFINISHED, Recorder

__all__ = [
    "QUANTILES", "About", "Cost", "ErrorRow", "Generator", "Moment", "Quantiles", "Report", "Requests", "TargetUse", "Throughput",
    "VendorRow", "Verdict", "build",
]  # fmt: skip

QUANTILES: Final = (("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))

_BUSY: Final = 0.85
"""A share of a core above which the generator's own turn is waited for."""
_LATE: Final = 0.05
"""Seconds that a request may be sent late without anybody being told."""
_CURVE: Final = (*(n / 100 for n in range(100)), *(0.99 + n / 1000 for n in range(10)), 0.9995, 0.9999, 1.0)


class About(Struct, frozen=True, kw_only=True):
    """What was run, and where."""

    version: str
    began: str
    """The wall clock's time at the start, ISO 8601."""
    machine: str
    target: str
    vendors: str
    """What stood behind the target, as far as it is known."""
    load: str
    model: str
    stream: bool
    seed: int


class Quantiles(Struct, frozen=True, kw_only=True):
    """A distribution of seconds."""

    count: int
    mean: float | None
    shortest: float | None
    p50: float | None
    p75: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    longest: float | None


class Requests(Struct, frozen=True, kw_only=True):
    """Requests by their fate: `arrived` is the sum of `ok`, `failed` and `interrupted`."""

    arrived: int
    """That were to be sent."""
    ok: int
    failed: int
    """`not_started` and `unfinished` are parts of it."""
    not_started: int
    unfinished: int
    interrupted: int
    good: int
    """Answered whole, and within every bound on latency and first content that was given."""
    most_in_flight: int


class Throughput(Struct, frozen=True, kw_only=True):
    """A second: of the time in which requests were sent (`arrived`), or of the whole run."""

    arrived: float
    ok: float
    good: float
    output_tokens: float


class ErrorRow(Struct, frozen=True):
    """Failures of one class."""

    name: str
    count: int
    share: float
    """Of all requests that were judged."""
    example: str
    p50: float | None
    """Seconds after which half of them had failed, from when they were to be sent."""


class VendorRow(Struct, frozen=True):
    """Whole answers of one vendor."""

    name: str
    count: int
    share: float


class Cost(Struct, frozen=True, kw_only=True):
    """Money, as far as it was told or could be worked out."""

    dollars: float
    per_thousand: float | None
    """For a thousand whole answers."""
    unpriced: int
    """Whole answers whose cost is not known, and not in the sum."""


class Verdict(Struct, frozen=True):
    """An objective, what was measured for it (None: longer than anything, or nothing), and whether it was kept."""

    objective: str
    value: float | None
    attained: float | None
    """Of timed objectives: the share of requests (or gaps) that kept the bound."""
    met: bool


class Generator(Struct, frozen=True, kw_only=True):
    """What this program needed itself; with a target in the same process, both together."""

    cpu_seconds: float
    cpu_share: float
    """Of one core."""
    cpu_per_request: float | None
    peak_rss: int
    includes_target: bool
    warning: str | None


class TargetUse(Struct, frozen=True, kw_only=True):
    """What the target's processes needed, all together."""

    cpu_seconds: float
    cpu_share: float
    """Of one core."""
    cpu_per_request: float | None
    rss: int
    """Bytes, after the run."""


class Moment(Struct, frozen=True, kw_only=True):
    """One slot of the timeline."""

    at: float
    arrived: int
    ok: int
    failed: int
    p50: float | None
    p99: float | None


class Report(Struct, frozen=True, kw_only=True):
    """A whole run."""

    about: About
    ending: str
    """Why no further requests were sent: `duration`, `requests`, `trace`, `cost`, `interrupted`."""
    seconds: float
    """Until the last answer."""
    sending: float
    """Seconds in which requests were sent."""
    requests: Requests
    throughput: Throughput
    latency: Quantiles
    """Of whole answers, from the intended start: what a caller met. So is `first_content`."""
    service: Quantiles
    """Of whole answers, from when they were really sent."""
    first_content: Quantiles
    gaps: Quantiles
    lag: Quantiles
    """By how much requests were sent late."""
    errors: list[ErrorRow]
    vendors: list[VendorRow]
    attempts: int
    """Of vendors, for all requests, as far as the target tells."""
    input_tokens: int
    output_tokens: int
    cost: Cost
    objectives: list[Verdict]
    generator: Generator
    target_use: TargetUse | None
    """None where its process was not named."""
    slot: float
    """Seconds of each of the `timeline`."""
    timeline: list[Moment]
    curve: list[tuple[float, float]]
    """Latency by quantile, fine enough to be drawn."""
    books: dict[str, dict[str, Any]]
    """What each scripted vendor has counted itself."""

    @property
    def passed(self) -> bool:
        """Whether every objective was kept; without any, whether there was an answer at all."""
        return all(each.met for each in self.objectives) if self.objectives else self.requests.ok > 0


def build(
    recorder: Recorder,
    about: About,
    *,
    ending: str,
    seconds: float,
    sending: float,
    effort: Effort,
    objectives: Sequence[Objective] = (),
    in_process: bool = False,
    books: dict[str, dict[str, Any]] | None = None,
    used: tuple[Used, Used] | None = None,
) -> Report:
    """The report of a run of `seconds`, from what was recorded. `used`: by the target's processes, before and after."""
    lag = _quantiles(recorder.lag)
    span = max(seconds, 1e-9)
    return Report(
        about=about,
        ending=ending,
        seconds=seconds,
        sending=sending,
        requests=_requests(recorder),
        throughput=Throughput(
            arrived=recorder.arrived / max(sending, 1e-9),
            ok=recorder.ok / span,
            good=recorder.good / span,
            output_tokens=recorder.output_tokens / span,
        ),
        latency=_quantiles(recorder.latency),
        service=_quantiles(recorder.service),
        first_content=_quantiles(recorder.first_content),
        gaps=_quantiles(recorder.gaps),
        lag=lag,
        errors=_errors(recorder),
        vendors=_vendors(recorder),
        attempts=recorder.attempts,
        input_tokens=recorder.input_tokens,
        output_tokens=recorder.output_tokens,
        cost=_cost(recorder),
        objectives=[_verdict(each, recorder, span) for each in objectives],
        generator=_generator(recorder, effort, lag, in_process=in_process),
        target_use=None if used is None else _target_use(recorder, *used, span),
        slot=recorder.timeline.width,
        timeline=_timeline(recorder),
        curve=_curve(recorder.latency),
        books=books or {},
    )


def _requests(recorder: Recorder) -> Requests:
    def failed(name: str) -> int:
        return recorder.errors[name].count if name in recorder.errors else 0

    return Requests(
        arrived=recorder.arrived,
        ok=recorder.ok,
        failed=recorder.failed,
        not_started=failed(NOT_STARTED),
        unfinished=failed(UNFINISHED),
        interrupted=recorder.interrupted,
        good=recorder.good,
        most_in_flight=recorder.most_in_flight,
    )


def _quantiles(seen: Histogram) -> Quantiles:
    found = {name: seen.quantile(q) for name, q in QUANTILES}
    ends = (seen.shortest, seen.longest) if seen.count else (None, None)
    return Quantiles(count=seen.count, mean=seen.mean, shortest=ends[0], longest=ends[1], **found)


def _errors(recorder: Recorder) -> list[ErrorRow]:
    judged = max(1, recorder.judged)
    rows = [
        ErrorRow(name, each.count, each.count / judged, each.example, each.times.quantile(0.5))
        for name, each in recorder.errors.items()
    ]
    return sorted(rows, key=lambda row: -row.count)


def _vendors(recorder: Recorder) -> list[VendorRow]:
    told = max(1, sum(recorder.vendors.values()))
    rows = [VendorRow(name, count, count / told) for name, count in recorder.vendors.items()]
    return sorted(rows, key=lambda row: -row.count)


def _cost(recorder: Recorder) -> Cost:
    dollars = float(recorder.cost)
    priced = recorder.ok - recorder.unpriced
    return Cost(
        dollars=dollars,
        per_thousand=1000 * dollars / priced if priced > 0 else None,
        unpriced=recorder.unpriced,
    )


def _verdict(objective: Objective, recorder: Recorder, seconds: float) -> Verdict:
    value = attained = None
    judged = recorder.judged
    timed = {"latency": recorder.latency, "ttft": recorder.first_content, "gap": recorder.gaps}
    if (seen := timed.get(objective.metric)) is not None and objective.quantile is not None:
        of = seen.count if objective.metric == "gap" else judged
        value = seen.quantile(objective.quantile, of)
        attained = seen.below(objective.bound) / of if of else None
    elif objective.metric == "error_rate":
        value = recorder.failed / judged if judged else None
    elif objective.metric == "throughput":
        value = recorder.ok / seconds
    else:
        value = float(recorder.cost) if recorder.unpriced < recorder.ok else None
    return Verdict(objective.text, value, attained, objective.met_by(value))


def _generator(recorder: Recorder, effort: Effort, lag: Quantiles, *, in_process: bool) -> Generator:
    warning = None
    whose = "this process, which does the target's work too," if in_process else "the load generator itself"
    if effort.share > _BUSY:
        warning = f"{whose} was busy {effort.share:.0%} of the time: what was measured is its limit"
    elif lag.p99 is not None and lag.p99 > _LATE:
        warning = (
            f"1 % of the requests were sent more than {lag.p99 * 1000:.0f} ms late: this machine was too busy"
        )
    return Generator(
        cpu_seconds=effort.cpu_seconds,
        cpu_share=effort.share,
        cpu_per_request=effort.cpu_seconds / recorder.arrived if recorder.arrived else None,
        peak_rss=effort.peak_rss,
        includes_target=in_process,
        warning=warning,
    )


def _target_use(recorder: Recorder, before: Used, after: Used, seconds: float) -> TargetUse:
    cpu = after.cpu - before.cpu
    sent = recorder.lag.count
    return TargetUse(
        cpu_seconds=cpu,
        cpu_share=cpu / seconds,
        cpu_per_request=cpu / sent if sent else None,
        rss=after.rss,
    )


def _timeline(recorder: Recorder) -> list[Moment]:
    width = recorder.timeline.width
    return [
        Moment(
            at=number * width,
            arrived=slot.arrived,
            ok=slot.ok,
            failed=slot.failed,
            p50=slot.latency.quantile(0.5),
            p99=slot.latency.quantile(0.99),
        )
        for number, slot in enumerate(recorder.timeline.slots)
    ]


def _curve(seen: Histogram) -> list[tuple[float, float]]:
    points = [(q, seen.quantile(q)) for q in _CURVE]
    return [(q, value) for q, value in points if value is not None]
