"""`llm-dispatcher features`: which vendor can be asked for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..dialects import Dialect
    from ..features import Way

__all__ = ["features"]

_EACH_DIALECT: Final = ("openai", "anthropic", "google", "cohere", "bedrock", "ollama-native")
"""Vendors of the catalogue that stand for the dialects, if none is named; `openai-responses` is added to them."""

_MARKS: Final[dict[str, str]] = {
    "native": "yes",
    "emulated": "emulated",
    "dropped": "left out",
    "refused": "-",
}
_LEGEND: Final = """
yes       the vendor's interface has it
emulated  it does not, and what was wished for is had in another way
left out  it does not, and the answer is none the worse for it
-         it does not: another vendor is asked; with on_unsupported = "drop" it is left out
"""


@click.command(short_help="Show which vendor can be asked for what.")
@click.argument("names", metavar="[VENDOR]...", nargs=-1)
@click.option(
    "--model",
    metavar="NAME",
    help="Of this model, where that matters. Default: one of the vendor's newer ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def features(names: tuple[str, ...], model: str | None, as_json: bool) -> None:
    """Show what can be asked of which vendor, and what becomes of a wish that it does not have.

    VENDOR is a name of the catalogue (`llm-dispatcher vendors`); without any, one vendor stands for each dialect. The
    table is made by letting each dialect write the requests; nothing is sent. What single models of a vendor lack
    beside that, only the vendor knows.

    \b
    Examples:
      llm-dispatcher features
      llm-dispatcher features groq deepseek mistral
      llm-dispatcher features anthropic --model claude-3-7-sonnet-20250219
      llm-dispatcher features --json | jq '.["JSON schema"]'
    """
    from ..features import FEATURES, way_of

    dialects = _dialects(names, model)
    table: dict[str, dict[str, Way]] = {
        feature.name: {name: way_of(dialect, feature) for name, dialect in dialects.items()}
        for feature in FEATURES
    }
    if as_json:
        from msgspec import json

        click.echo(json.format(json.encode(table), indent=2))
        return
    _print(list(dialects), table)


def _dialects(names: tuple[str, ...], model: str | None) -> dict[str, Dialect]:
    from ..config.catalogue import catalogue
    from ..dialects import Target, dialect_class

    known = catalogue()
    made: dict[str, Dialect] = {}
    for name in names or _EACH_DIALECT:
        if name not in known:
            from ..config.problems import nearest

            remedy = nearest(name, list(known), "the catalogue has")
            raise click.UsageError(f"the catalogue has no vendor {name!r}; {remedy}")
        entry = known[name]
        # An address that is the customer's own says nothing about what can be written.
        url = "https://bedrock-runtime.us-east-1.amazonaws.com" if "${" in entry.base_url else entry.base_url
        made[name] = dialect_class(entry.dialect)(
            Target(vendor=name, base_url=url, model=model or entry.model, key="key", options=entry.options)
        )
    if not names:
        target = Target(
            vendor="openai",
            base_url=known["openai"].base_url,
            model=model or known["openai"].model,
            key="key",
        )
        made["openai-responses"] = dialect_class("openai-responses")(target)
    return made


def _print(names: list[str], table: Mapping[str, Mapping[str, Way]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    shown.add_column("FEATURE", no_wrap=True)
    for name in names:
        shown.add_column(name.upper(), no_wrap=True)
    for feature, ways in table.items():
        shown.add_row(feature, *[_MARKS[ways[name]] for name in names])
    width = 30 + sum([max(len(name), 9) + 2 for name in names])
    Console(width=max(width, 80), highlight=False).print(shown)
    click.echo(_LEGEND.rstrip())
