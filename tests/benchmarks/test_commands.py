"""The benchmarks that only measure still run; what they measure is nobody's concern here."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

SMALL = {
    "hotpath": ["--requests", "40", "--connections", "4"],
    "pieces": ["--repetitions", "1", "--models", "4"],
}


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
