"""The benchmarks that only measure still run; what they measure is nobody's concern here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from llm_dispatcher.benchmarks.crowd.daemon import served

SMALL = {
    "hotpath": ["--requests", "40", "--connections", "4"],
    "pieces": ["--repetitions", "1", "--models", "4"],
}
OTHERS = {
    "embedded": (["--vendors", "2", "--models", "1"], r"KiB|ms CPU", 4),
    "serving": (["--requests", "40", "--connections", "2"], r"µs CPU", 4),
    "soak": (["--requests", "50", "--cancelled", "10", "--at-once", "5"], r"MiB", 3),
    "streams": (["--streams", "5", "--seconds", "0.5"], r"KiB a stream|\bms\b|µs a chunk|of 5 whole", 5),
}
"""Arguments, a figure that stands somewhere in what is printed, and how many lines that has."""

SEVERAL = """
[server]
port = 0
workers = 2
[logging]
format = "json"
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_and_prints_a_figure_for_every_row(name: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", f"llm_dispatcher.benchmarks.{name}", *SMALL[name]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) >= 5
    assert all(re.search(r"\d\.\d+ µs CPU", line) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_benchmark_of_memory_runs_without_errors(name: str) -> None:
    arguments, figure, lines = OTHERS[name]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", f"llm_dispatcher.benchmarks.{name}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(figure, done.stdout)
    assert len(done.stdout.splitlines()) == lines
    assert ", 0 errors" in done.stdout or "errors" not in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_that_a_benchmark_measures_is_the_one_that_serves(tmp_path: Path) -> None:
    with served(tmp_path, SEVERAL) as daemon:
        tasks = Path(f"/proc/{daemon.pid}/task").iterdir()
        children = [(task / "children").read_text("ascii") for task in tasks]
    assert "".join(children) == ""
