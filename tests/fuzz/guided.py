"""Fuzzing guided by coverage, with atheris (libFuzzer): one process per target, since libFuzzer does not return.

`fuzz` starts the process and collects what it found; `python -m tests.fuzz.guided TARGET SECONDS FILE` is the process.
Its mutations are those of `mutate`, so that they know the structure; what it keeps is what reaches new code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from .find import Finding

if __name__ == "__main__":
    # Not a dependency of the tests, so nothing may say its name to the type checker.
    atheris: Any = import_module("atheris")
    # Before anything else imports the code under test: what is imported here is instrumented.
    with atheris.instrument_imports(include=["llm_dispatcher"]):
        from .targets import TARGETS
from .mutate import MOST, generate
from .target import Target

__all__ = ["fuzz"]


def fuzz(target: Target, seconds: float, found: dict[str, Finding]) -> int:
    """Fuzz one target in a process of its own; how many cases there were. `found` takes what they found."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        file = Path(folder) / "findings"
        file.touch()
        command = [sys.executable, "-m", __name__, target.name, str(max(1, int(seconds))), str(file)]
        ended = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        for line in file.read_bytes().splitlines():
            finding = msgspec.json.decode(line, type=Finding)
            found.setdefault(finding.where, finding)
    done = re.findall(r"^Done (\d+) runs|number_of_executed_units: (\d+)", ended.stderr, re.MULTILINE)
    if not done:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return int("".join(done[-1]))


def _main(name: str, seconds: str, file: str) -> None:
    from .find import attempt

    target = TARGETS[name]
    seen: set[str] = set()

    def one(case: bytes) -> None:
        finding = attempt(target, case)
        if finding is not None and finding.where not in seen:
            seen.add(finding.where)
            with open(file, "ab") as findings:
                findings.write(msgspec.json.encode(finding) + b"\n")

    def mutated(case: bytes, most: int, number: int) -> bytes:
        return generate(Random(number), [case, *target.seeds[:8]], target.kind)[:most]

    with TemporaryDirectory(prefix="fuzz-") as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", f"-max_len={MOST}", "-timeout=0", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, folder], one, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    _main(*sys.argv[1:])
