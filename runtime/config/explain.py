"""A configuration, explained to people: what `llm-dispatcher check` prints. Imports rich when called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .describe import describe

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from . import Loaded

__all__ = ["describe", "explain"]


def explain(loaded: Loaded) -> Group:
    """Tables for `rich.print`: the file, the vendors and deployments, and every name that callers may use."""
    from rich.console import Group
    from rich.text import Text

    told = describe(loaded)
    parts: list[Any] = [Text(line) for line in _heading(told)]
    parts.append(_vendors(told["vendors"], told["timeouts"]))
    if told["deployments"]:
        parts.append(_deployments(told["deployments"]))
    else:
        parts.append(Text("No vendor is served: no request can be answered.", style="bold red"))
    parts.append(_names(told))
    if told["rules"]:
        parts.append(_rules(told["rules"]))
    return Group(*parts)


def _heading(told: Mapping[str, Any]) -> Iterable[str]:
    packaged = " (the default that comes with the package)" if told["packaged"] else ""
    yield f"Configuration: {told['file']}{packaged}"
    for file in told["env_files"]:
        yield f"Variables:     {file}"
    yield f"Address:       {told['server']['address']}"
    yield f"Timeouts:      {_timeouts(told['timeouts'])}"
    yield f"Attempts:      at most {told['retry']['attempts']} a request"
    yield ""


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text and not str: a name in square brackets is a name, not a style.
        table.add_row(*(Text(cell) for cell in row))
    return table


def _vendors(vendors: Sequence[Mapping[str, Any]], usual: Mapping[str, float]) -> Table:
    columns = ["vendor", "served", "dialect", "address", "keys", "limits", "timeouts", "headers"]
    rows = [
        (
            vendor["name"],
            "yes" if vendor["served"] else f"no: {vendor['reason']}",
            vendor["dialect"],
            vendor["address"] + (f"\nby way of {vendor['proxy']}" if vendor["proxy"] else ""),
            "\n".join(vendor["keys"]) or "none",
            _limits(vendor["limits"]),
            "as above" if vendor["timeouts"] == usual else _timeouts(vendor["timeouts"]),
            "\n".join(f"{name}: {value}" for name, value in vendor["headers"].items()),
        )
        for vendor in vendors
    ]
    # What no vendor has anything to say in only takes room on a terminal.
    idle = ("none", "as above", "")
    kept = [n for n in range(len(columns)) if n < 5 or any(row[n] not in idle for row in rows)]
    return _table("Vendors", [columns[n] for n in kept], [[row[n] for n in kept] for row in rows])


def _deployments(deployments: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            deployment["name"],
            deployment["id"],
            f"{deployment['context']:,}",
            ", ".join([*_beyond_chat(deployment["operations"]), *deployment["capabilities"]]),
            _price(deployment["price"]),
            f"{deployment['quality']:g}",
            _limits(deployment["limits"]),
        )
        for deployment in deployments
    ]
    columns = ["deployment", "vendor's name", "context", "can", "$ per M in / out", "quality", "limits"]
    return _table("Deployments", columns, rows)


def _beyond_chat(operations: Sequence[str]) -> list[str]:
    return [each for each in operations if each != "chat"]


def _names(told: Mapping[str, Any]) -> Table:
    rows = [("route", route["name"], route["policy"], _behind(route)) for route in told["routes"]]
    for mode in told["modes"]:
        kind = "mode (built in)" if mode["built_in"] else "mode"
        floor = f", quality from {mode['minimum_quality']:g}" if mode["minimum_quality"] else ""
        behind = _behind(mode) if mode["targets"] else "all deployments"
        rows.append((kind, mode["name"], mode["policy"] + floor, behind))
    for name, deployments in _models(told["deployments"]).items():
        rows.append(("model", name, told["policy"], ", ".join(deployments)))
    return _table("Names that callers may use", ["kind", "name", "policy", "deployments"], rows)


def _models(deployments: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    models: dict[str, list[str]] = {}
    for deployment in deployments:
        models.setdefault(deployment["model"], []).append(deployment["name"])
    return models


def _behind(name: Mapping[str, Any]) -> str:
    weights = {target["to"]: target["weight"] for target in name["targets"] if target["weight"] is not None}
    shown = "".join(f"; {to} weighs {weight:g}" for to, weight in weights.items())
    return (", ".join(name["deployments"]) or "none that is served") + shown


def _rules(rules: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for number, rule in enumerate(rules, 1):
        conditions = [
            f"{key} {', '.join(rule[key])}" for key in ("users", "models", "kinds") if rule.get(key)
        ]
        if rule.get("min_input_tokens"):
            conditions.append(f"from {rule['min_input_tokens']:,} input tokens on")
        to = rule.get("route") or "as asked"
        rows.append((str(number), "; ".join(conditions) or "always", to, rule.get("policy") or "as usual"))
    return _table("Rules, the first that fits", ["", "if", "goes to", "policy"], rows)


def _limits(limits: Mapping[str, Any]) -> str:
    words = {
        "requests_per_minute": "requests/min",
        "tokens_per_minute": "tokens/min",
        "input_tokens_per_minute": "input tokens/min",
        "output_tokens_per_minute": "output tokens/min",
        "requests_per_day": "requests/day",
        "dollars_per_hour": "$/hour",
        "concurrent": "at once",
    }
    return "\n".join(f"{limits[key]:,} {word}" for key, word in words.items() if key in limits) or "none"


def _timeouts(timeouts: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {seconds:g} s" for name, seconds in timeouts.items())


def _price(price: Mapping[str, float] | None) -> str:
    return "unknown" if price is None else f"{price['input']:g} / {price['output']:g}"
