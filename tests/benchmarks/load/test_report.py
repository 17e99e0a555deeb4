"""From what was recorded to what is told: sums, verdicts, warnings, and the three ways of showing it."""

from __future__ import annotations

import io
import math
import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from llm_dispatcher.benchmarks.load.effort import Effort
from llm_dispatcher.benchmarks.load.histogram import Histogram
from llm_dispatcher.benchmarks.load.objectives import parse_objective
from llm_dispatcher.benchmarks.load.page import page
from llm_dispatcher.benchmarks.load.plots import Series, line_plot, ticks
from llm_dispatcher.benchmarks.load.recorder import INTERRUPTED, Recorder
from llm_dispatcher.benchmarks.load.report import About, Report, build
from llm_dispatcher.benchmarks.load.terminal import terminal_view
from llm_dispatcher.benchmarks.load.watch import Watch
from llm_dispatcher.benchmarks.load.words import dollars, duration, share
from rich.console import Console

from . import dollars as money

ABOUT = About(
    version="1", began="2026-01-01T00:00:00+00:00", machine="a machine", target="http://h/<b>&", vendors="two",
    load="a load", model="m", stream=True, seed=1,
)  # fmt: skip
IDLE = Effort(1.0, 10.0, 2**20)


def ended(recorder: Recorder, latency: float, error: str | None = None, **told: Any) -> None:
    """A request that was to be sent at 0 and ended after `latency` seconds, with its first content halfway."""
    recorder.start(0.0, 0.0)
    watch = Watch(0.0, 0.0, recorder.gaps)
    watch.first, watch.ended = latency / 2, latency
    for name, value in told.items():
        setattr(watch, name, value)
    if error is not None:
        watch.fail(error, f"{error} <i>happened</i>")
    recorder.finish(watch)


def a_report(recorder: Recorder, *objectives: str, effort: Effort = IDLE, **more: Any) -> Report:
    parsed = [parse_objective(each) for each in objectives]
    return build(
        recorder,
        ABOUT,
        ending="duration",
        seconds=10.0,
        sending=8.0,
        effort=effort,
        objectives=parsed,
        **more,
    )


def busy_recorder(*objectives: str) -> Recorder:
    """90 answers in 10 to 900 ms and 10 failures."""
    recorder = Recorder([parse_objective(each) for each in objectives])
    for number in range(1, 91):
        ended(recorder, number / 100, vendor="a" if number % 3 else "b", cost=money("0.01"), output_tokens=7)
    for _ in range(10):
        ended(recorder, 0.001, "http 500", attempts=2)
    return recorder


def test_sums_and_shares_are_those_of_the_requests() -> None:
    report = a_report(busy_recorder())
    assert (report.requests.arrived, report.requests.ok, report.requests.failed) == (100, 90, 10)
    assert (report.throughput.arrived, report.throughput.ok) == (100 / 8, 90 / 10)
    assert [(row.name, row.count) for row in report.vendors] == [("a", 60), ("b", 30)]
    assert [(row.name, row.share) for row in report.errors] == [("http 500", 0.1)]
    assert (report.attempts, report.output_tokens) == (110, 630)
    assert report.cost.dollars == pytest.approx(0.9)
    assert report.cost.per_thousand == pytest.approx(10)
    assert sum(moment.ok for moment in report.timeline) == 90


def test_a_failure_counts_as_slower_than_any_bound() -> None:
    recorder = busy_recorder()
    kept, missed = a_report(recorder, "latency_p90<=0.91s", "latency_p91<1h").objectives
    assert kept.met
    assert kept.attained == pytest.approx(0.9)
    assert kept.value == pytest.approx(0.9, rel=0.01)
    assert (missed.met, missed.value) == (False, None)


@pytest.mark.parametrize(
    ("objective", "met"),
    [
        ("ttft_p50<300ms", True),
        ("ttft_p50<200ms", False),
        ("error_rate<=10%", True),
        ("error_rate<10%", False),
        ("throughput>=9", True),
        ("throughput>9", False),
        ("cost<1", True),
        ("cost<0.5", False),
        ("gap_p99<1s", False),
    ],
)
def test_objectives_are_judged_by_what_was_measured(objective: str, met: bool) -> None:
    # There were no gaps, so that nothing can be said of them.
    report = a_report(busy_recorder(), objective)
    assert report.objectives[0].met is met
    assert report.passed is met


def test_a_cost_that_nobody_tells_keeps_no_bound() -> None:
    recorder = Recorder()
    ended(recorder, 0.1)
    (verdict,) = a_report(recorder, "cost<100").objectives
    assert (verdict.value, verdict.met) == (None, False)


def test_answers_that_keep_every_bound_are_the_good_ones() -> None:
    recorder = busy_recorder("latency_p99<505ms", "ttft_p50<255ms")
    assert recorder.good == 50


def test_a_price_makes_up_for_a_cost_that_is_not_told() -> None:
    recorder = Recorder(price=(money("1"), money("2")))
    ended(recorder, 0.1, input_tokens=500_000, output_tokens=250_000)
    ended(recorder, 0.1, cost=money("3"), output_tokens=5)
    assert a_report(recorder).cost.dollars == 4.0


def test_without_objectives_one_answer_is_enough_and_none_is_a_failure() -> None:
    recorder = Recorder()
    ended(recorder, 0.1, "http 500")
    assert not a_report(recorder).passed
    ended(recorder, 0.1)
    assert a_report(recorder).passed


def test_interrupted_requests_count_neither_way() -> None:
    recorder = Recorder()
    ended(recorder, 0.1)
    ended(recorder, 0.1, INTERRUPTED)
    report = a_report(recorder, "error_rate<1%", "latency_p99<1s")
    assert report.passed
    assert (report.requests.arrived, report.requests.interrupted, report.requests.failed) == (2, 1, 0)


@pytest.mark.parametrize(
    ("busy", "late", "said"),
    [(9.5, 0.0, "busy 95%"), (1.0, 0.2, "200 ms late"), (1.0, 0.001, None)],
)
def test_a_generator_that_was_the_bottleneck_says_so(busy: float, late: float, said: str | None) -> None:
    recorder = Recorder()
    recorder.start(0.0, late)
    warning = a_report(recorder, effort=Effort(busy, 10.0, 0)).generator.warning
    assert (said is None) if warning is None else (said is not None and said in warning)


def test_classes_of_failures_and_vendors_are_bounded() -> None:
    recorder = Recorder()
    for number in range(500):
        ended(recorder, 0.1, f"http {number}")
        ended(recorder, 0.1, vendor=f"v{number}")
    assert len(recorder.errors) <= 51
    assert len(recorder.vendors) <= 201
    assert sum(each.count for each in recorder.errors.values()) == sum(recorder.vendors.values()) == 500


# --- showing it ---------------------------------------------------------------------------------


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal_view(report))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_terminal_shows_what_matters() -> None:
    books = {"scripted-1": {"attempts": 110, "complete": 90}}
    said = shown(a_report(busy_recorder(), "latency_p50<1s", "error_rate<1%", books=books))
    for words in (
        "100 requests in 10.0 s: 90 answered (90.0%), 10 failed",
        "http 500",
        "66.7%",
        "kept",
        "missed",
        "110",
    ):
        assert words in said


class Page(HTMLParser):
    """Tags that are opened and closed in order, and every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("empty", [False, True])
def test_the_page_is_sound_and_fetches_nothing(empty: bool) -> None:
    recorder = Recorder() if empty else busy_recorder()
    text = page(a_report(recorder, "latency_p50<1s", books={"v": {"attempts": 1}}))
    reader = Page()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    assert not reader.seen & {"script", "link", "img", "iframe", "object", "b<"}
    assert not [name for name, _ in reader.attributes if name in ("src", "href", "xlink:href")]
    assert "url(" not in text
    assert "@import" not in text
    assert "nan" not in re.sub("<style>.*</style>", "", text, flags=re.DOTALL).lower()
    assert "<i>happened" not in text
    assert text.count("<svg") == 3


def test_the_json_is_the_whole_report() -> None:
    report = a_report(busy_recorder(), "latency_p50<1s")
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(0.0, [0, 1]), (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (7.0, [0, 2, 4, 6, 8]), (math.inf, [0, 1])],
)
def test_ticks_are_round_and_reach_the_highest(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


def test_a_line_stops_at_a_gap_and_a_lone_point_is_a_dot() -> None:
    lines = line_plot("t", [Series("s", "--main", [(0, 1), (1, 2), (2, None), (3, 4), (4, 5)])], "x", str)
    (path,) = re.findall(r'<path d="([^"]*)"', lines)
    assert re.sub("[^ML]", "", path) == "MLML"
    assert "<circle" not in lines
    assert "<circle" in line_plot("t", [Series("s", "--main", [(1, 2)])], "x", str)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"), (0.0, "0 µs"), (0.000085, "85 µs"), (0.00421, "4.21 ms"), (0.0999, "99.9 ms"), (0.5, "500 ms"),
        (0.9999, "1.00 s"), (61, "61.0 s"), (125.4, "2 min 5 s"),
    ],
)  # fmt: skip
def test_durations_have_three_digits(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_small_shares_and_sums_are_not_shown_as_none() -> None:
    assert (share(0.0), share(0.0001), share(0.99999), share(1.0)) == ("0.0%", "0.010%", "99.999%", "100.0%")
    assert (dollars(0.0), dollars(0.000012), dollars(1234.5)) == ("$0.00", "$0.000012", "$1,234.50")


def test_gaps_are_those_between_pieces() -> None:
    watch = Watch(0.0, 0.0, gaps := Histogram())

    async def speak() -> None:
        for _ in range(3):
            watch.content(4)

    import trio

    trio.run(speak)
    assert (watch.pieces, watch.characters, gaps.count) == (3, 12, 2)
