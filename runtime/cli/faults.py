"""`llm-dispatcher faults`: what follows from which failure, and what a vendor's refusal means."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .common import config_option, fail_config

if TYPE_CHECKING:
    from ...actors.faults import Consequence, Limit
    from ..canon import Fault

__all__ = ["faults"]

_SAME = {
    "never": "no",
    "once": "once",
    "once_free": "once, free",
    "after_hint": "after hint",
}
_HEALTH = {"failure": "failing", "alive": "alive", "neutral": "-"}
_LEGEND = """
SAME     may the same deployment be asked again in this request ("free": outside the retry budget;
         "after hint": not before the vendor's own time, and only if nothing better is at hand); never after a failure of
         one that was on trial, a probe or the last resort
OTHER    is another deployment asked instead
HEALTH   what it says of the deployment: "failing" counts towards opening its circuit
CLOSES   the widest thing that is closed or cooled for it, and LIMIT for how long, and what else gives way
MONEY    what the vendor may bill: "unknown" keeps the whole reservation as an upper bound
FAULT    whose fault the caller is told it was; HTTP the status that he is answered with
A number after a class is the vendor's HTTP status: that row counts when it is the one that came.
"""


@click.command(short_help="Show what follows from which failure, or what a refusal means.")
@config_option
@click.option(
    "--vendor", metavar="NAME", default=None, help="A configured vendor: its dialect reads the answer."
)
@click.option(
    "--dialect", metavar="NAME", default=None, help="The dialect that reads the answer. Default: openai."
)
@click.option(
    "-H", "--header", "headers", metavar="NAME:VALUE", multiple=True, help="A header of the answer."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.argument("status", required=False, type=click.IntRange(200, 599))
@click.argument("body", required=False)
def faults(
    config_path: str | None,
    vendor: str | None,
    dialect: str | None,
    headers: tuple[str, ...],
    as_json: bool,
    status: int | None,
    body: str | None,
) -> None:
    """Show what the dispatcher does about each class of failure.

    With STATUS, and BODY ("-": standard input), say which class an answer of a vendor is, what gives it away,
    and what follows. Nothing is sent to any vendor.

    \b
    Examples:
      llm-dispatcher faults
      llm-dispatcher faults --json | jq '.classes[].class'
      llm-dispatcher faults 429 '{"error": {"code": "insufficient_quota"}}'
      llm-dispatcher faults 529 --dialect anthropic -H 'x-should-retry: true'
    """
    if status is None:
        _table(as_json)
        return
    content = sys.stdin.buffer.read() if body == "-" else (body or "").encode()
    fault, committed = _read(_dialect(config_path, vendor, dialect), status, _headers(headers), content)
    if fault is None:
        raise click.UsageError("that is an answer and no failure")
    _explain(fault, committed, as_json)


# --- the table ----------------------------------------------------------------------------------


def _table(as_json: bool) -> None:
    from ...actors.faults import CONSEQUENCES, VARIANTS

    rows: list[tuple[str, int | None, Consequence]] = []
    for kind, row in CONSEQUENCES.items():
        rows.append((kind.value, None, row))
        rows += [(kind.value, status, each) for (of, status), each in VARIANTS.items() if of is kind]
    if as_json:
        _print_json({"classes": [_as_json(*row) for row in rows]})
        return
    header = ("CLASS", "SAME", "OTHER", "HEALTH", "CLOSES", "LIMIT", "MONEY", "FAULT", "HTTP")
    cells = [(name if status is None else f"  {status}", *_cells(row)) for name, status, row in rows]
    widths = [max(len(line[column]) for line in [header, *cells]) for column in range(len(header))]
    for number, line in enumerate([header, *cells]):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.secho("  ".join(padded).rstrip(), bold=number == 0)
    click.echo(_LEGEND)
    for name, status, row in rows:
        if row.note and status is None:
            click.echo(f"{name}: {row.note}")


def _cells(row: Consequence) -> tuple[str, ...]:
    same = _SAME[row.same.value] + (f", >= {row.pause:g} s" if row.pause else "")
    health = _HEALTH[row.breaker.value] + (", slow" if row.slow else "")
    closes = "-" if row.reach.value == "nothing" else row.reach.value
    return (
        same, "yes" if row.other else "no", health, closes, _limit(row.limit) or "-", row.money.value,
        row.fault.value, str(row.http),
    )  # fmt: skip


def _limit(limit: Limit) -> str:
    """The limiter's column in words."""
    factors = (("rate", limit.rate), ("concurrency", limit.concurrency), ("growth", limit.growth))
    words = [f"{name} x{factor:g}" for name, factor in factors if factor != 1.0]
    until, rest, longest = limit.until.value, _time(limit.rest), _time(limit.longest)
    if until == "hint":
        words.append(f"until the hint (none: {rest}, once they are many)" if limit.rest else "until the hint")
    elif until == "rest":
        words.append(rest if longest == rest else f"{rest} doubling to {longest}")
    elif until == "day":
        words.append(f"until its day ends, one look after {rest} doubling to {longest}")
    if limit.refunds:
        words.append("does not count")
    return ", ".join(words)


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _as_json(name: str, status: int | None, row: Consequence) -> dict[str, Any]:
    import msgspec

    return {"class": name, "status": status, **msgspec.to_builtins(row)}


# --- one answer ---------------------------------------------------------------------------------


def _headers(pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, colon, value = pair.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{pair!r} is not NAME:VALUE", param_hint="--header")
        found[name.strip().lower()] = value.strip()
    return found


def _dialect(config_path: str | None, vendor: str | None, dialect: str | None) -> Any:
    """The dialect that reads the answer, for a target that is never asked anything."""
    from ..dialects import Target, dialect_class, dialect_names

    if vendor is not None:
        if dialect is not None:
            raise click.UsageError("--vendor and --dialect exclude each other")
        dialect = _dialect_of(config_path, vendor)
    name = dialect or "openai"
    try:
        return dialect_class(name)(
            Target(vendor=vendor or name, base_url="https://vendor.invalid", model="model")
        )
    except KeyError:
        known = ", ".join(dialect_names())
        raise click.BadParameter(f"no dialect {name!r}; known are {known}", param_hint="--dialect") from None


def _dialect_of(config_path: str | None, vendor: str) -> str:
    from ..config import ConfigError, load

    try:
        vendors = load(config_path).config.vendors
    except ConfigError as error:
        fail_config(error)
    for each in vendors:
        if each.name == vendor:
            return each.dialect
    known = ", ".join(each.name for each in vendors)
    raise click.BadParameter(f"no vendor {vendor!r}; configured are {known}", param_hint="--vendor")


def _read(dialect: Any, status: int, headers: dict[str, str], body: bytes) -> tuple[Fault | None, bool]:
    """The fault that the answer is, or None; and whether content had come before it."""
    from ..canon import CONTENT_EVENTS, Failed
    from ..clock import wall_now
    from ..dialects import Answer

    if status != 200:
        return dialect.fault(Answer(status, headers, body, wall_now())), False
    decoder = dialect.decoder()
    events = [*decoder.feed(body), *decoder.close()]
    failed = next((event.fault for event in events if isinstance(event, Failed)), None)
    return failed, any(type(event) in CONTENT_EVENTS for event in events)


def _explain(fault: Fault, committed: bool, as_json: bool) -> None:
    from ...actors.faults import consequence

    row = consequence(fault.kind, fault.status, committed=committed)
    if as_json:
        import msgspec

        _print_json(
            {
                "fault": msgspec.to_builtins(fault),
                "consequence": _as_json(fault.kind.value, fault.status, row),
            }
        )
        return
    click.secho(fault.kind.value, bold=True)
    lines = [("recognised by", f"{fault.by}: {fault.because}" if fault.because else fault.by)]
    lines += [("it says", fault.message), ("whose fault", row.fault.value)]
    lines += [("same again", _again(fault, row)), ("another", _another(fault, row))]
    health = {
        "failure": "counts towards opening its circuit",
        "alive": "it is alive",
        "neutral": "proves nothing",
    }
    lines.append(("health", health[row.breaker.value]))
    limit = _limit(row.limit)
    lines.append(("closes", row.reach.value + (f": {limit}" if limit else "")))
    if fault.closed_for is not None:
        lines.append(("come back in", _time(fault.closed_for)))
    lines += [("money", row.money.value), ("caller gets", f"HTTP {row.http}, if nothing helps")]
    if row.note:
        lines.append(("mind", row.note))
    for name, text in lines:
        click.echo(f"  {name:<14}{text}")


def _again(fault: Fault, row: Consequence) -> str:
    if fault.should_retry is not None:
        return ("once" if fault.should_retry else "no") + ", by the vendor's own word (x-should-retry)"
    return _SAME[row.same.value] + (f", after {row.pause:g} s at least" if row.pause else "")


def _another(fault: Fault, row: Consequence) -> str:
    if fault.elsewhere:
        return "may take it: it is refused for what this vendor or model lacks"
    return "yes" if row.other else "no"


def _print_json(value: Any) -> None:
    from msgspec import json

    click.echo(json.format(json.encode(value), indent=2))
