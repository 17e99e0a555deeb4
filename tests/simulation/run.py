"""The command: play many seeds, two at a time, or one in detail. See the package's text.

Every seed is played in a subprocess with a fixed hash seed, so that nothing depends on what ran before, or on the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from .checker import Violation, check
from .history import Booked, Started, line
from .story import Mode, tell
from .world import play

__all__ = ["Verdict", "main", "play_seeds", "verdict_of"]

_AT_ONCE: Final = 2
_LIVENESS_EVERY: Final = 5
"""Of five seeds four are of the safety mode and one of the liveness mode, unless one is asked for."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of one seed. `digest` is of its whole history; `attempts` the upstream ones, `estimated` of them not exact."""

    seed: int
    mode: Mode
    digest: str
    requests: int
    attempts: int
    estimated: int
    seconds: float
    """Simulated."""
    violations: list[Violation]


def mode_of(seed: int) -> Mode:
    """The mode in which a seed is played if none is named."""
    return "liveness" if seed % _LIVENESS_EVERY == 0 else "safety"


def verdict_of(seed: int, mode: Mode) -> Verdict:
    """Play one seed in this process."""
    story = tell(seed, mode)
    history = play(story)
    booked = [each for each in history.of(Booked) if each.deployment is not None]
    return Verdict(
        seed=seed,
        mode=mode,
        digest=history.digest(),
        requests=len(history.of(Started)),
        attempts=len(booked),
        estimated=len([each for each in booked if not each.exact]),
        seconds=story.seconds,
        violations=check(story, history),
    )


def play_seeds(seeds: Sequence[tuple[int, Mode]], at_once: int = _AT_ONCE) -> Iterator[Verdict]:
    """Play seeds in subprocesses; the verdicts come in their order. Raises `RuntimeError` if the simulation itself fails."""
    at_once = min(at_once, len(seeds))
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(seeds[start::at_once])) for start in range(at_once)]
        for worker in workers:
            stack.callback(worker.kill)
        for number, (seed, _) in enumerate(seeds):
            told = _lines_of(workers[number % at_once]).readline()
            if not told:
                raise RuntimeError(f"the simulation itself failed at seed {seed}; see above")
            yield msgspec.json.decode(told, type=Verdict)


def _worker(share: Sequence[tuple[int, Mode]]) -> subprocess.Popen[bytes]:
    words = [f"{mode}:{seed}" for seed, mode in share]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.run", "--worker", *words],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        cwd=Path(__file__).parents[2],
    )


def _lines_of(worker: subprocess.Popen[bytes]) -> IO[bytes]:
    assert worker.stdout is not None
    return worker.stdout


def work(words: list[str], out: IO[bytes]) -> None:
    """A subprocess: one verdict a line."""
    for word in words:
        mode, _, seed = word.partition(":")
        verdict = verdict_of(int(seed), "liveness" if mode == "liveness" else "safety")
        out.write(msgspec.json.encode(verdict) + b"\n")
        out.flush()


# --- for people ---------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """0 if every promise was kept in every seed, else 1."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds, from --first on")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--mode", choices=["safety", "liveness"], help="as the seed says, if not given")
    parser.add_argument("--jobs", type=int, default=_AT_ONCE, help="how many at once")
    parser.add_argument(
        "-v", action="count", default=0, help="print the history of who was wronged; twice: of all"
    )
    parser.add_argument("--worker", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker is not None:
        work(options.worker, sys.stdout.buffer)
        return 0
    seeds = (
        [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    )
    chosen = [(seed, options.mode or mode_of(seed)) for seed in seeds]
    if options.seed is not None and options.v:
        _fix_hashes()
        return _in_detail(*chosen[0], everything=options.v > 1)
    return _all(chosen, options.jobs)


def _fix_hashes() -> None:
    """Begin this process again, if need be, so that it orders its sets as the subprocesses do."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.run", *sys.argv[1:]])


def _in_detail(seed: int, mode: Mode, *, everything: bool) -> int:
    story = tell(seed, mode)
    history = play(story)
    found = check(story, history)
    wronged = {each.request for each in found if each.request}
    for client in story.clients:
        if client.number in wronged:
            print(client)
    for record in history.records:
        if everything or getattr(record, "request", 0) in wronged:
            print(line(record))
    for violation in found:
        print(violation)
    print(f"seed {seed} ({mode}): {len(found)} violations, history {history.digest()}")
    return 1 if found else 0


def _all(seeds: list[tuple[int, Mode]], at_once: int) -> int:
    began = time.monotonic()
    verdicts = []
    for verdict in play_seeds(seeds, at_once):
        verdicts.append(verdict)
        _tell(verdict)
    wrong = [each for each in verdicts if each.violations]
    print(
        f"{len(verdicts)} seeds, {sum([each.requests for each in verdicts]):,} simulated requests, "
        f"{sum([each.attempts for each in verdicts]):,} attempts at vendors "
        f"({sum([each.estimated for each in verdicts]):,} without an exact bill), "
        f"{sum([each.seconds for each in verdicts]) / 3600:.1f} simulated hours: "
        f"{sum([len(each.violations) for each in verdicts])} violations in {time.monotonic() - began:.0f} s"
    )
    for verdict in wrong:
        print(f"make simulate SEED={verdict.seed} ARGS='--mode {verdict.mode} -v'")
    return 1 if wrong else 0


def _tell(verdict: Verdict) -> None:
    found = verdict.violations
    print(
        f"seed {verdict.seed} ({verdict.mode}): {'ok' if not found else f'{len(found)} violations'}",
        flush=True,
    )
    for violation in found[:10]:
        print(f"    {violation}")


if __name__ == "__main__":
    sys.exit(main())
