"""`llm-dispatcher vendors`: the vendors that are known by name, and a table to begin with for each."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..config.catalogue import Entry

__all__ = ["vendors"]

_WIDE = 200
_DEFAULT = re.compile(r"\$\{\w+:-([\w-]+)\}")
_ADDRESS = 50


@click.command(short_help="List the vendors that are known by name.")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def vendors(name: str | None, as_json: bool) -> None:
    """List the vendors that are known by name: a configuration needs to say nothing but their models.

    With NAME it prints a table of that vendor, ready for a dispatcher.toml; what is filled in stands in it as
    comments. Other vendors work too: most speak OpenAI's format, and need a `base_url` and a key. So does a program on this
    machine: see `program` in the annotated dispatcher.toml.

    \b
    Examples:
      llm-dispatcher vendors
      llm-dispatcher vendors groq >> dispatcher.toml
      llm-dispatcher vendors --json | jq .mistral.options
    """
    from ..config.catalogue import catalogue

    known = catalogue()
    if name is not None and name not in known:
        from ..config.problems import nearest

        remedy = nearest(name, list(known), "the catalogue has")
        raise click.UsageError(f"the catalogue has no vendor {name!r}; {remedy}")
    if as_json:
        from msgspec import json

        told = {each: _told(entry) for each, entry in known.items() if name in (None, each)}
        click.echo(json.format(json.encode(told if name is None else told[name]), indent=2))
    elif name is not None:
        click.echo("\n".join([*_remarks(known[name]), *_prices(known[name]), *_table(name, known[name])]))
    else:
        _print(dict(known))


def _told(entry: Entry) -> dict[str, Any]:
    fields = {field: getattr(entry, field) for field in entry.__struct_fields__}
    return {field: value for field, value in fields.items() if value is not None}


def _print(known: dict[str, Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Vendors that are known by name", title_justify="left", title_style="bold")
    for column in ("name", "vendor", "dialect", "address", "key", "differs"):
        # Some addresses hold much that is the customer's own, and would take the room of all the rest.
        table.add_column(column, overflow="fold", max_width=_ADDRESS if column == "address" else None)
    for name, entry in known.items():
        differs = ", ".join(f"{option} = {_toml(value)}" for option, value in entry.options.items())
        keys = " or ".join(entry.keys) + (" (optional)" if entry.optional else "")
        # What stands in a variable if nobody says otherwise.
        address = _DEFAULT.sub(r"\1", entry.base_url)
        cells = (name, entry.title, entry.dialect, address, keys, differs)
        # Text and not str: a list in square brackets is a list, not a style.
        table.add_row(*(Text(cell) for cell in cells))
    # Without a terminal rich would fold the table into 80 columns.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _remarks(entry: Entry) -> Iterator[str]:
    yield f"# {entry.title}"
    if entry.note:
        yield f"# {entry.note}"
    keys = " or ".join(entry.keys)
    where = f", made at {entry.console}" if entry.console else ""
    yield f"# Key: {keys}{' (if the server wants one)' if entry.optional else ''}{where}"
    yield f"# Its interface: {entry.docs}"


def _prices(entry: Entry) -> Iterator[str]:
    """What its models cost, as far as that is published."""
    from ..config.price_list import PACKAGE, Unavailable, read_price_list
    from ..config.pricing import today

    try:
        prices = read_price_list()
    except Unavailable as absence:
        yield f"# Prices are not known: {absence}"
        return
    provider, day = entry.prices or prices.whose(entry.base_url), today()
    yield f"# Prices in dollars per million tokens, in and out, as published ({PACKAGE} {prices.version}, on {day}):"
    for model in entry.models or [{"name": entry.model}]:
        name = str(model["name"])
        known = None if provider is None else prices.find(provider, name, day)
        price = None if known is None else known.price
        if price is None:
            yield f"#   {name}: not known; write its price, or costs are unknown"
        else:
            longer = f"; more above {price.tiers[0].above:,} tokens of input" if price.tiers else ""
            yield f"#   {name}: {price.input:f}, {price.output:f}{longer}"


def _table(name: str, entry: Entry) -> Iterator[str]:
    yield "[[vendors]]"
    yield f"name = {_toml(name)}"
    # Said although the name says it: whoever changes the address below does not lose the rest.
    yield f"catalogue = {_toml(name)}"
    for key, value in entry.table().items():
        yield f"#{key} = {_toml(value)}"
    if not entry.optional:
        yield 'serve = "with_key"'
    for model in entry.models or [{"name": entry.model}]:
        yield ""
        yield "[[vendors.models]]"
        for key, value in model.items():
            yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return str(value)
