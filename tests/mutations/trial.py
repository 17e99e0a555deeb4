"""Run tests against a copy, and judge: did they notice?

A mutation is *killed* by a test that fails, or that does not end. It has *survived* if all pass. It is *broken* if the
mutated sources do not even run (an import error, a name that does not exist): then nothing was tried, and the row is wrong.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from .copy import Copy
from .table import Mutation
from .witness import PROFILE, RECORD, Witnessed

__all__ = ["Trial", "baseline", "patience", "try_out"]

_AT_LEAST: Final = 60.0
_TIMES: Final = 5.0
_LONGEST: Final = 1200.0
"""Seconds for the tests of all rows together, without a mutation."""


class Trial(Struct, frozen=True):
    """What became of a mutation: which test noticed (or what is wrong with the row), and in how many seconds."""

    verdict: Literal["killed", "survived", "broken"]
    by: str
    why: str
    seconds: float


class _Run(Struct, frozen=True):
    lines: list[Witnessed]
    ended: bool
    output: str
    seconds: float


def baseline(copy: Copy, mutations: Iterable[Mutation]) -> dict[str, float]:
    """Run the tests of these mutations without any; returns how long each took, by test.

    Raises RuntimeError if one fails: it would kill every mutation, and prove nothing.
    """
    tests = dict.fromkeys([test for mutation in mutations for test in mutation.tests])
    files = [test for test in tests if "::" not in test]
    rest = [test for test in tests if "::" in test and test.split("::")[0] not in files]
    run = _run(copy, [*files, *rest], _LONGEST)
    failed = [line for line in run.lines if line.what in ("failed", "broken")]
    passed = {line.test: line.seconds for line in run.lines if line.what == "passed"}
    if failed or not run.ended or not passed:
        told = "\n".join(f"{line.test}: {line.why}" for line in failed) or run.output[-2000:]
        raise RuntimeError(f"the tests do not pass without any mutation:\n{told}")
    return passed


def patience(mutation: Mutation, usual: dict[str, float]) -> float:
    """Seconds after which its tests do not end any more, as far as anybody can tell."""
    wanted = tuple(f"tests/{test}" for test in mutation.tests)
    return _AT_LEAST + _TIMES * sum([seconds for test, seconds in usual.items() if test.startswith(wanted)])


def try_out(copy: Copy, mutation: Mutation, seconds: float = _AT_LEAST) -> Trial:
    """Apply `mutation`, run its tests until one fails, and undo it. A test that takes longer than `seconds` hangs."""
    with copy.mutated(mutation):
        run = _run(copy, mutation.tests, seconds, "--maxfail=1")
    broken = next((line for line in run.lines if line.what == "broken"), None)
    if broken is not None:
        return Trial("broken", broken.test, broken.why, run.seconds)
    failed = next((line for line in run.lines if line.what == "failed"), None)
    if failed is not None:
        return Trial("killed", failed.test, failed.why, run.seconds)
    begun = [line.test for line in run.lines if line.what == "begun"]
    if not run.ended:
        return Trial("killed", begun[-1] if begun else "", f"did not end in {seconds:.0f} s", run.seconds)
    if not begun:
        return Trial("broken", "", f"no test was run: {run.output[-500:]}", run.seconds)
    return Trial("survived", "", f"{len(begun)} tests passed", run.seconds)


def _run(copy: Copy, tests: Iterable[str], seconds: float, *options: str) -> _Run:
    record = copy.tree / "witness.jsonl"
    record.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=line", "--no-header", "-p", "no:cacheprovider",
        "-p", "tests.mutations.witness", f"--hypothesis-profile={PROFILE}", *options,
        *[f"tests/{test}" for test in tests],
    ]  # fmt: skip
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=copy.tree,
        env={**copy.environment, RECORD: str(record)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    ended = True
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        ended = False
        output = ""
    finally:
        # Also what a test may have started and left.
        _end(process)
    lines = _lines(record)
    _check_sources(copy, lines, output)
    return _Run(lines, ended, output, time.monotonic() - begun)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _lines(record: Path) -> list[Witnessed]:
    decode = msgspec.json.Decoder(Witnessed).decode
    return [decode(line) for line in record.read_bytes().splitlines()] if record.exists() else []


def _check_sources(copy: Copy, lines: list[Witnessed], output: str) -> None:
    """The tests must have met the copy's modules, and not those that are installed."""
    sources = next((line.why for line in lines if line.what == "sources"), None)
    if sources is None:
        raise RuntimeError(f"pytest did not start:\n{output[-2000:]}")
    if Path(sources) != copy.tree.resolve():
        raise RuntimeError(f"the tests used the modules in {sources}, and not the copy's in {copy.tree}")
