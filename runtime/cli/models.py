"""`llm-dispatcher models`: what callers may name as the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from .common import config_option, fail_config

if TYPE_CHECKING:
    from ..config import Config, Model, Price, TargetTable, Vendor

__all__ = ["models"]


@click.command(short_help="List what a request may name as its model.")
@config_option
def models(config_path: str | None) -> None:
    """List the names that a request's `model` may have: models, routes and modes.

    Only vendors that are served count; `llm-dispatcher check` says why others are not. A model can also be
    asked of one vendor: `vendor/model`. Prices are dollars per million tokens; `+` stands where long requests cost more.

    \b
    Examples:
      llm-dispatcher models
      llm-dispatcher models --config prod.toml
    """
    from ..config import ConfigError, load

    try:
        loaded = load(config_path)
    except ConfigError as error:
        fail_config(error)
    config, vendors = loaded.config, loaded.serving.vendors
    rows = [*_models(vendors, loaded.price_sources), *_routes(config), *_modes(config)]
    _print_table(("NAME", "KIND", "CONTEXT", "$/M IN", "$/M OUT", "BEHIND IT", "PRICE FROM"), rows)
    if not vendors:
        click.echo("No vendor is served; `llm-dispatcher check` says why.", err=True)


Row = tuple[str, str, str, str, str, str, str]


def _models(vendors: tuple[Vendor, ...], sources: Mapping[str, str]) -> list[Row]:
    """One row per model and vendor; further vendors of a model leave its name out."""
    served: dict[str, list[tuple[Vendor, Model]]] = {}
    for vendor in vendors:
        for model in vendor.models:
            served.setdefault(model.name, []).append((vendor, model))
    return [
        (
            name if position == 0 else "",
            _kind(model) if position == 0 else "",
            _tokens(model.window),
            *_price(model.price),
            f"{vendor.name}/{model.name}" + (" (simulated)" if vendor.simulate is not None else ""),
            sources.get(f"{vendor.name}/{model.name}", "not known"),
        )
        for name, offers in served.items()
        for position, (vendor, model) in enumerate(offers)
    ]


def _kind(model: Model) -> str:
    """What it does; of what only chats, simply a model."""
    return "model" if model.operations == {"chat"} else ", ".join(sorted(model.operations))


def _price(price: Price | None) -> tuple[str, str]:
    if price is None:
        return "?", "?"
    from ..config.schema import NO_OUTPUT_PRICE

    more = "+" if price.tiers else ""
    output = "" if price.output is NO_OUTPUT_PRICE else f"{price.output:f}{more}"
    return f"{price.input:f}{more}", output


def _routes(config: Config) -> list[Row]:
    return [
        (route.name, "route", "", "", "", f"{route.policy}: {_targets(route.targets)}", "")
        for route in config.routes
    ]


def _modes(config: Config) -> list[Row]:
    from ..config import modes

    return [
        (name, "mode", "", "", "", f"{mode.policy}: {_targets(mode.targets) or 'all that chat'}", "")
        for name, mode in modes(config).items()
    ]


def _targets(targets: list[str | TargetTable]) -> str:
    return ", ".join(target if isinstance(target, str) else target.to for target in targets)


def _tokens(count: int) -> str:
    if count >= 1_000_000 and count % 1_000_000 == 0:
        return f"{count // 1_000_000}M"
    return f"{count // 1000}k" if count >= 1000 else str(count)


def _print_table(header: Row, rows: list[Row]) -> None:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(row: Row) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join(cells).rstrip()

    click.secho(line(header), bold=True)
    for row in rows:
        click.echo(line(row))
