"""The long run: `python -m tests.fuzz.run --seconds 60` tries every target in turn and prints what was found.

Each finding is made small and printed as a test to paste. Exit status 1 if there was one. With `atheris` installed
(`pip install atheris`), half of each target's time is guided by coverage, unless that is too little for a start that
instruments the code; `--plain` leaves it out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from importlib.util import find_spec

from . import guided
from .find import Finding, attempt, regression, smallest
from .target import Target
from .targets import TARGETS

__all__ = ["main", "plain"]

_WORTH_GUIDANCE = 15.0
"""Seconds for one target, from which on a guided process is started, which takes some of them to begin."""

_MOST_FINDINGS = 20
"""Different findings of one target, after which it is not tried any more."""


def plain(target: Target, seconds: float, start: int, found: dict[str, Finding]) -> int:
    """Try numbered cases from `start` until the time is over; how many there were. `found` takes what they found."""
    until = time.monotonic() + seconds
    number = start
    while time.monotonic() < until and len(found) < _MOST_FINDINGS:
        finding = attempt(target, target.case(number))
        if finding is not None:
            found.setdefault(finding.where, finding)
        number += 1
    return number - start


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (60)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--start", type=int, help="number of the first case (random)")
    parser.add_argument("--plain", action="store_true", help="without coverage guidance")
    options = parser.parse_args(arguments)
    names = options.target or list(TARGETS)
    start = int.from_bytes(os.urandom(6), "big") if options.start is None else options.start
    share = options.seconds / len(names)
    guidance = not options.plain and share >= _WORTH_GUIDANCE and find_spec("atheris") is not None
    print(f"{len(names)} targets, {share:.1f} s each, from case {start}, guided: {guidance}", flush=True)
    total = 0
    for name in names:
        target, found = TARGETS[name], dict[str, Finding]()
        cases = plain(target, share / 2 if guidance else share, start, found)
        if guidance:
            cases += guided.fuzz(target, share / 2, found)
        print(f"{name:32} {cases:9} cases {len(found):3} findings", flush=True)
        for finding in found.values():
            print(f"\n{finding.text}\n{regression(target, smallest(target, finding))}", flush=True)
        total += len(found)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
