"""Prints the matrix: for each client and dialect, how much of what can be had there has been had.

python -m tests.clients.matrix [--client NAME] [--dialect NAME] [-v]
"""

from __future__ import annotations

import argparse
import sys
import traceback

from rich.console import Console
from rich.table import Column, Table

from tests.fakes.vendors import FACES

from .absent import WITHOUT_ROW
from .checks import CHECKS, Cell, absence, check
from .house import House, matrix_house
from .rows import ROWS, client_class


class Outcome:
    """What came of the whole matrix."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.missing: list[str] = []
        self._absent: dict[tuple[str, str], dict[str, None]] = {}

    @property
    def notes(self) -> list[str]:
        """What could not be had, and why."""
        return [
            *[f"{name}: no {', '.join(what)}: {why}" for (name, why), what in self._absent.items()],
            *self.missing,
            *[f"{name} has no row: {why}" for name, why in WITHOUT_ROW.items()],
        ]

    def cell(self, cell: Cell, *, verbose: bool) -> str:
        """Play one cell; `had/all`."""
        had = possible = 0
        for capability in CHECKS:
            reason = absence(cell.client, cell.dialect, capability)
            if reason is not None:
                self._absent.setdefault((cell.client.name, reason), {})[capability] = None
                continue
            possible += 1
            try:
                check(cell, capability)
            except (Exception, BaseExceptionGroup) as error:
                where = f"{cell.client.name} on {cell.dialect}, {capability}"
                self.failures.append(f"{where}: {type(error).__name__}: {error}"[:600])
                if verbose:
                    traceback.print_exc()
            else:
                had += 1
        return f"{had}/{possible}" if had == possible else f"[bold red]{had}/{possible}[/]"


def play(house: House, clients: list[str], dialects: list[str], *, verbose: bool) -> int:
    """The exit code: 1 if anything failed."""
    console, outcome = Console(width=max(120, Console().width)), Outcome()
    table = Table(Column("client", no_wrap=True), *dialects)
    for name in clients:
        try:
            client = client_class(name)(house.url)
        except ImportError as error:
            outcome.missing.append(f"{name} is not installed: {error}")
            table.add_row(name, *["-"] * len(dialects))
            continue
        cells = [outcome.cell(Cell(client, dialect, house.vendors), verbose=verbose) for dialect in dialects]
        client.close()
        table.add_row(name, *cells)
    console.print(table)
    console.print("Had of what can be had of:", ", ".join(CHECKS))
    for line in outcome.notes:
        console.print(f"  {line}", highlight=False)
    for line in outcome.failures:
        console.print(f"[red]failed:[/] {line}", markup=True, highlight=False)
    return 1 if outcome.failures else 0


def main() -> int:
    """Parse, play, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.matrix")
    parser.add_argument("--client", action="append", choices=list(ROWS))
    parser.add_argument("--dialect", action="append", choices=list(FACES))
    parser.add_argument("-v", "--verbose", action="store_true", help="print whole tracebacks")
    wanted = parser.parse_args()
    with matrix_house() as house:
        return play(house, wanted.client or list(ROWS), wanted.dialect or list(FACES), verbose=wanted.verbose)


if __name__ == "__main__":
    sys.exit(main())
