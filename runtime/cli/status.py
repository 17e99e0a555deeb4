"""`llm-dispatcher status`: how a running daemon stands, once or again and again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .daemon import NoAnswer, exchange, fail, url_option

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["status"]

_WIDE = 140
"""Columns without a terminal, where rich would fold the tables into 80."""


@click.command(short_help="Show how a running daemon stands.")
@url_option
@click.option("-w", "--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="How often, with --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the daemon says (GET /v1/stats) as JSON.")
def status(url: str, watch: bool, every: float, as_json: bool) -> None:
    """Show how a running daemon stands: its vendors and deployments, who waits, the network, the budgets.

    \b
    circuit    closed: traffic flows; slow: a little; open: none until a time; half_open: a few
               probes; isolated, forced_closed: by an operator's order
    closed     for how long none is sent there, and why: a cooldown after the vendor's own limit,
               a refused key, a model that is not there, the rest of a day
    actor      quarantined: the vendor's own actor crashed too often; `llm-dispatcher order lift VENDOR`
               brings it back before its time

    \b
    Examples:
      llm-dispatcher status
      llm-dispatcher status --watch --every 0.5
      llm-dispatcher status --url http://10.0.0.5:4000
      llm-dispatcher status --json | jq .budgets
    """
    import trio
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    try:
        if watch and not as_json:
            trio.run(_watch, url, every, console)
        else:
            trio.run(_once, url, as_json, console)
    except NoAnswer as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


async def _once(url: str, as_json: bool, console: Console) -> None:
    told = await exchange(url, "/v1/stats")
    if as_json:
        from msgspec import json

        click.echo(json.format(json.encode(told), indent=2))
        return
    from .status_view import status_view

    console.print(status_view(told))


async def _watch(url: str, every: float, console: Console) -> None:
    import trio
    from rich.live import Live
    from rich.text import Text

    from .status_view import status_view

    # The first time it has to answer; after that it may be restarted while one looks.
    view = status_view(await exchange(url, "/v1/stats"))
    with Live(view, console=console, auto_refresh=False, screen=True) as live:
        while True:
            if console.is_terminal:
                live.update(view, refresh=True)
            else:
                # Into a file or a pipe, where nothing can be overwritten: one after the other.
                console.print(view)
            await trio.sleep(every)
            try:
                view = status_view(await exchange(url, "/v1/stats"))
            except NoAnswer as error:
                view = Text(str(error), style="bold red")
