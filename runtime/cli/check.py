"""`llm-dispatcher check`: read a configuration and say what it means, or what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .common import fail_config

if TYPE_CHECKING:
    from ..config import ConfigError

__all__ = ["check"]

_WIDE = 160


@click.command(short_help="Check a configuration and show what it comes to.")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, problems too.")
def check(file: str | None, as_json: bool) -> None:
    """Check a configuration and show what it comes to: who is served, and who is not, and why.

    Without FILE it checks what `serve` would use. Nothing is sent to any vendor. Exits with 2 and lists
    every problem when the configuration cannot be used.

    \b
    Examples:
      llm-dispatcher check
      llm-dispatcher check prod.toml
      llm-dispatcher check prod.toml --json | jq .skipped
    """
    from ..config import ConfigError, load

    try:
        loaded = load(file)
    except ConfigError as error:
        if not as_json:
            fail_config(error)
        _print_json(_problems(error))
        sys.exit(2)
    from ..config.explain import describe, explain

    if as_json:
        _print_json({"ok": True, **describe(loaded)})
    else:
        from rich.console import Console

        # Without a terminal rich would fold the tables into 80 columns.
        console = Console(width=None if sys.stdout.isatty() else _WIDE)
        console.print(explain(loaded))


def _print_json(value: Any) -> None:
    from msgspec import json

    click.echo(json.format(json.encode(value), indent=2))


def _problems(error: ConfigError) -> dict[str, Any]:
    return {"ok": False, "problems": list(error.problems)}
