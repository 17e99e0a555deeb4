"""`python -m tests.mutations [NAME ...]`: apply every mutation, or those named, and say which test noticed.

Exits with 1 if one survives, and with 2 if the table is not in step with the code or the tests fail by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .copy import OutOfStep, copied
from .table import BY_NAME, MUTATIONS, Mutation
from .trial import Trial, baseline, patience, try_out

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    unknown = [name for name in arguments if name not in BY_NAME]
    if unknown:
        print(f"there is no mutation {', '.join(unknown)}; there are {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    chosen = [BY_NAME[name] for name in arguments] or list(MUTATIONS)
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        trials = _try_all(chosen, console)
    except (OutOfStep, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    console.print(_table(trials))
    lived = [mutation.name for mutation, trial in trials if trial.verdict != "killed"]
    console.print(f"{len(trials) - len(lived)} of {len(trials)} noticed")
    if lived:
        console.print(f"[bold red]not noticed:[/] {', '.join(lived)}")
    return 1 if lived else 0


def _try_all(chosen: list[Mutation], console: Console) -> list[tuple[Mutation, Trial]]:
    trials: list[tuple[Mutation, Trial]] = []
    with copied() as copy:
        for mutation in chosen:
            with copy.mutated(mutation):
                pass
        console.print("the tests as they are ...", highlight=False)
        usual = baseline(copy, chosen)
        console.print(f"{len(usual)} pass in {sum(usual.values()):.0f} s", highlight=False)
        for mutation in chosen:
            trial = try_out(copy, mutation, patience(mutation, usual))
            trials.append((mutation, trial))
            console.print(f"{trial.verdict:9} {mutation.name} ({trial.seconds:.1f} s)", highlight=False)
    return trials


def _table(trials: list[tuple[Mutation, Trial]]) -> Table:
    table = Table(title="Mutations")
    for column in ("mutation", "what it breaks", "", "noticed by", "seconds"):
        table.add_column(column, overflow="fold")
    for mutation, trial in trials:
        by = trial.by.removeprefix("tests/")
        killed = trial.verdict == "killed"
        shown = by if killed and by else f"{by}\n{trial.why}".strip()
        colour = "green" if killed else "bold red"
        table.add_row(
            mutation.name,
            mutation.breaks,
            f"[{colour}]{trial.verdict}[/]",
            shown.replace("[", r"\["),
            f"{trial.seconds:.1f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
