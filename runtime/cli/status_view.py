"""What `GET /v1/stats` says, as tables for people. Takes plain data, so that a daemon of another version can be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["deployments", "status_view"]

Told = Mapping[str, Any]

_COLOURS = {
    "closed": "green", "alive": "green", "slow": "yellow", "half_open": "yellow", "restarting": "yellow",
    "open": "bold red", "isolated": "bold magenta", "forced_closed": "bold magenta", "quarantined": "bold red",
    "exhausted": "bold red", "stopped": "red",
}  # fmt: skip


def status_view(told: Told) -> RenderableType:
    """Everything that an operator looks for first."""
    parts: list[RenderableType] = [deployments(told.get("vendors", {}), told.get("actors", {}))]
    waiting = {line: each for line, each in told.get("waiting", {}).items() if each["waiting"]}
    if waiting:
        parts.append(_waiting(waiting))
    parts += [Text("Waiting:  nobody")] if not waiting else []
    parts += [
        *_workers(told.get("workers")),
        _network(told.get("network")),
        _budgets(told.get("budgets")),
        *_troubled(told.get("actors", {})),
    ]
    return Group(*parts)


def _workers(told: Told | None) -> list[RenderableType]:
    """Only where there are several: whether all of them are in what is shown."""
    if told is None:
        return []
    missing = ", ".join([str(worker) for worker in told["missing"]])
    said = f"Workers:  {told['configured']}"
    if missing:
        return [Text(f"{said}, of which {missing} did not answer: this is not all", style="bold red")]
    return [Text(said)]


def deployments(vendors: Told, actors: Told | None = None) -> Table:
    """Every vendor and deployment: circuit, load, what keeps it closed, what happened last."""
    rows: list[Sequence[Text | str]] = []
    actors = actors or {}
    aside = {
        name.removeprefix("vendor "): actor
        for name, actor in actors.items()
        if name.startswith("vendor ") and name.removeprefix("vendor ") not in vendors
    }
    for vendor, snapshot in vendors.items():
        actor = actors.get(f"vendor {vendor}", {"state": "alive"})
        rows.append(
            (Text(vendor, style="bold"), _state(actor["state"]), _state(snapshot["endpoint"]), "", "", "", "")
        )
        rows += [_deployment(name, each) for name, each in snapshot["deployments"].items()]
    for vendor, actor in aside.items():
        rest = f"for {_time(actor.get('rests_for', 0.0))}: {actor.get('last_crash') or 'its actor crashed'}"
        rows.append((Text(vendor, style="bold"), _state(actor["state"]), "", "", "", rest, ""))
    columns = ("vendor, deployment", "actor", "circuit", "in flight", "weight", "closed", "last transition")
    return _table("Vendors", columns, rows)


def _deployment(name: str, told: Told) -> Sequence[Text | str]:
    closed = ""
    if told["closed_because"] is not None:
        closed = f"for {_time(told['closed_for'])}: {told['closed_because']}"
    return (
        Text(f"  {name}"), "", _state(told["circuit"]), str(told["in_flight"]), f"{told['weight']:.0%}", closed,
        told["last_transition"] or "",
    )  # fmt: skip


def _waiting(lines: Told) -> Table:
    rows = [
        (line, str(each["waiting"]), str(each["tenants"]), _time(each["oldest"]), f"{each['cost']:,.0f}")
        for line, each in lines.items()
    ]
    return _table("Waiting", ("for", "requests", "tenants", "oldest", "tokens"), rows)


def _network(told: Told | None) -> Text:
    if told is None:
        return Text("Network:  not told")
    if not told["down"]:
        return Text(f"Network:  up (down {told['outages']} times since the start)")
    return Text(
        f"Network:  this machine's own network seems to be down, for {_time(told['down_for'])}; "
        f"the next try in {_time(told['retry_in'])}",
        style="bold red",
    )


def _budgets(told: Told | None) -> Text:
    if told is None:
        return Text("Budgets:  not told")
    classes = ", ".join(f"{name} {left:.0f}" for name, left in told["retries_by_class"].items())
    return Text(
        f"Budgets:  {told['retries']:.0f} retries left ({classes}); {told['hedges']:.0f} hedges, "
        f"which cost ${told['hedge_dollars']:.4f} at most within the last hour"
    )


def _troubled(actors: Told) -> Iterable[Text]:
    for name, actor in actors.items():
        if actor["crashes"]:
            words = f"Actor:    {name} crashed {actor['crashes']} times, is {actor['state']}; last: {actor['last_crash']}"
            yield Text(words, style=_COLOURS.get(actor["state"], ""))


def _state(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, ""))


def _time(seconds: float | None) -> str:
    """`null` is how JSON has to write infinity."""
    if seconds is None:
        return "ever"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _table(title: str, columns: Iterable[str], rows: Iterable[Sequence[Text | str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text and not str: a name in square brackets is a name, not a style.
        table.add_row(*[cell if isinstance(cell, Text) else Text(cell) for cell in row])
    return table
