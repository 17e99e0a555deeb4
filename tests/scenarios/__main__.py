"""Run the scenarios and print the table with what was measured: `python -m tests.scenarios [--full] [NUMBER ...]`."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from .measure import Case, Outcome, Row, run
from .table import ROWS

_WIDTH = 150
"""Columns of the table where no terminal says how many there are."""


def _rows(numbers: list[str]) -> list[Row]:
    unknown = set(numbers) - {row.number for row in ROWS}
    if unknown:
        sys.exit(f"there is no row {min(unknown)}; there are {', '.join([row.number for row in ROWS])}")
    return [row for row in ROWS if not numbers or row.number in numbers]


def _line(row: Row, case: Case, outcome: Outcome) -> list[str]:
    measured = outcome.error or "\n".join([str(each) for each in outcome.figures.taken])
    fault = f"{row.fault} ({case.variant})" if case.variant else row.fault
    verdict = "[green]ok[/]" if outcome.ok else "[bold red]VIOLATED[/]"
    return [row.number, fault, row.expected, measured, verdict, f"{outcome.seconds:.1f}"]


def main() -> int:
    """The exit code: 1 if any figure is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NUMBER", help="rows to run; all if none is given")
    parser.add_argument("--full", action="store_true", help="also at full size: takes some minutes")
    asked = parser.parse_args()
    table = Table("#", "fault", "expected", "measured", "", "s", show_lines=True)
    console, progress = Console(), Console(stderr=True)
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    violated = 0
    for row in _rows(asked.numbers):
        for case in row.cases:
            if case.full and not asked.full:
                continue
            name = f"{row.number} {row.fault} {case.variant}".rstrip()
            with progress.status(f"{name} ..."):
                outcome = run(case)
            if not outcome.ok:
                violated += 1
                progress.print(f"{name}: violated", style="red")
                for each in outcome.figures.violated:
                    progress.print(f"    {each}", style="red")
            table.add_row(*_line(row, case, outcome))
    console.print(table)
    console.print(f"{violated} violated" if violated else "all as expected")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
