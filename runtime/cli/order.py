"""`llm-dispatcher order`: an operator's word to a running daemon."""

from __future__ import annotations

import sys
from typing import Any

import click

from .daemon import NoAnswer, exchange, fail, url_option

__all__ = ["order"]


@click.command(short_help="Stop, force or free a vendor or deployment of a running daemon.")
@click.argument("what", metavar="ORDER")
@click.argument("target")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print how the vendor stands then as JSON.")
def order(what: str, target: str, url: str, as_json: bool) -> None:
    """Give ORDER about TARGET: a vendor, or one of its models (vendor/model).

    \b
    isolate       No traffic, whatever its health, until `automatic`.
    force_closed  Traffic, whatever its circuit would say, until `automatic`.
    automatic     As its circuit decides; after isolation it proves itself by a few requests first.
    lift          End cooldowns and quarantines: of keys, of models, of a day's limit, and of the
                  vendor's own actor if it is set aside because it crashed.

    Requests under way go on. Orders last until the daemon stops. They are taken from the daemon's own machine only,
    unless its server.orders says "any".

    \b
    Examples:
      llm-dispatcher order isolate openai
      llm-dispatcher order isolate openai/gpt-4o
      llm-dispatcher order automatic openai/gpt-4o
      llm-dispatcher order lift anthropic --url http://127.0.0.1:8080

    With several keys, vendor/model#1, vendor/model#2 and so on are the model under one of them.
    """
    import trio

    try:
        told = trio.run(exchange, url, "/v1/orders", {"target": target, "order": what})
    except NoAnswer as error:
        fail(error)
    if as_json:
        from msgspec import json

        click.echo(json.format(json.encode(told), indent=2))
        return
    _print(told)


def _print(told: dict[str, Any]) -> None:
    from rich.console import Console

    from .status_view import deployments

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(deployments({told["vendor"]: told}))
