"""Traces: what is read, how fast it is replayed, and what is said of one that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_dispatcher.benchmarks.load.jobs import trace_jobs
from llm_dispatcher.benchmarks.load.traces import Arrival, Trace, TraceError

GOOD = "arrival_s,input_tokens,output_tokens\n3.5,100,10\n4.0,200,20\n4.0,1,1\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "trace.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_replay_begins_with_the_first_row(tmp_path: Path) -> None:
    trace = Trace.check(written(tmp_path, GOOD))
    assert (trace.requests, trace.span) == (3, 0.5)
    assert list(trace.arrivals()) == [Arrival(0.0, 100, 10), Arrival(0.5, 200, 20), Arrival(0.5, 1, 1)]


@settings(max_examples=30, deadline=None)
@given(speed=st.floats(0.001, 10_000))
def test_speed_only_changes_the_times(tmp_path_factory: pytest.TempPathFactory, speed: float) -> None:
    trace = Trace.check(written(tmp_path_factory.mktemp("trace"), GOOD))
    assert [each.at for each in trace.arrivals(speed)] == [0.0, 0.5 / speed, 0.5 / speed]
    assert [each.input_tokens for each in trace.arrivals(speed)] == [100, 200, 1]


def test_columns_are_found_by_name_and_others_are_passed_over(tmp_path: Path) -> None:
    text = "\ufeffoutput_tokens, who ,arrival_s,input_tokens\n10,me,0,100\n\n"
    assert list(Trace.check(written(tmp_path, text)).arrivals()) == [Arrival(0.0, 100, 10)]


def test_a_request_of_nothing_is_sent_as_one_of_a_token(tmp_path: Path) -> None:
    trace = Trace.check(written(tmp_path, "arrival_s,input_tokens,output_tokens\n0,0,0\n"))
    (job,) = trace_jobs(trace, 1.0)
    assert (job.input_tokens, job.output_tokens) == (1, 1)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "trace.csv, line 1", "no column 'arrival_s'"),
        ("arrival_s,input,output_tokens\n", "trace.csv, line 1", "no column 'input_tokens'"),
        ("arrival_s,input_tokens,output_tokens\n", "trace.csv", "no request"),
        (GOOD + "5.0,10\n", "trace.csv, line 5", "2 fields are too few"),
        (GOOD + "soon,10,10\n", "trace.csv, line 5", "arrival_s is 'soon'"),
        (GOOD + "nan,10,10\n", "trace.csv, line 5", "arrival_s is 'nan'"),
        (GOOD + "-1,10,10\n", "trace.csv, line 5", "arrival_s is '-1'"),
        (GOOD + "3.9,10,10\n", "trace.csv, line 5", "3.9 comes before 4"),
        (GOOD + "9,ten,10\n", "trace.csv, line 5", "input_tokens is 'ten'"),
        (GOOD + "9,10,-1\n", "trace.csv, line 5", "output_tokens is '-1'"),
        (GOOD + "9,10,1e3\n", "trace.csv, line 5", "output_tokens is '1e3'"),
        (GOOD + "9,99999999,1\n", "trace.csv, line 5", "at most 10,000,000"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, place: str, said: str) -> None:
    with pytest.raises(TraceError) as told:
        Trace.check(written(tmp_path, text))
    assert place in str(told.value)
    assert said in str(told.value)


def test_a_file_that_is_missing_or_no_text_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"absent\.csv: No such file"):
        Trace.check(tmp_path / "absent.csv")
    (tmp_path / "trace.csv").write_bytes(b"arrival_s,input_tokens,output_tokens\n\xff,1,1\n")
    with pytest.raises(TraceError, match="UTF-8"):
        Trace.check(tmp_path / "trace.csv")


def test_recorded_traces_can_be_replayed() -> None:
    folder = Path(os.environ.get("LLM_DISPATCHER_TRACES", Path(__file__).parents[4] / "shared" / "traces"))
    files = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if not files:
        pytest.skip(f"no traces in {folder}")
    for file in files:
        trace = Trace.check(file)
        assert sum(1 for _ in trace.arrivals(10)) == trace.requests > 0
