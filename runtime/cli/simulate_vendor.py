"""`llm-dispatcher simulate-vendor`: a vendor that fails on purpose, to try one's own setup against."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from ...benchmarks.vendor import Attempt, Script, ScriptedVendor

__all__ = ["simulate_vendor"]

_DIALECTS: Final = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
"""The formats, and the dialects of a configuration that speak them."""


@click.command("simulate-vendor", short_help="Run a vendor that fails on purpose, to test a setup against.")
@click.argument("script", default="healthy", metavar="[SCRIPT]")
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    metavar="P",
    type=click.IntRange(0, 65535),
    default=4010,
    show_default=True,
    help="Port to listen on; 0 takes a free one and says which.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(sorted(_DIALECTS)),
    multiple=True,
    help="What it speaks, each at its vendor's own paths; may be repeated. Default: all of them.",
)
@click.option(
    "--models",
    metavar="A,B",
    default=None,
    help="Models that it serves, others being unknown. Default: those of the script, else any.",
)
@click.option("--seed", metavar="N", type=int, default=None, help="Replaces the script's seed.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for every attempt that has ended.")
@click.option("--list", "wants_list", is_flag=True, help="List the built-in scripts and exit.")
@click.option("--show", is_flag=True, help="Print the built-in SCRIPT, to begin one's own from, and exit.")
@click.option(
    "--print-config", is_flag=True, help="Print the tables for dispatcher.toml that lead to it, and exit."
)
def simulate_vendor(
    script: str,
    host: str,
    port: int,
    formats: tuple[str, ...],
    models: str | None,
    seed: int | None,
    verbose: bool,
    wants_list: bool,
    show: bool,
    print_config: bool,
) -> None:
    """Run a fake vendor that does what SCRIPT says: a built-in one by name, or a file (TOML, JSON, YAML).

    It counts every token that it sends and every limit that is exceeded, answers at the same paths as OpenAI,
    Anthropic and Gemini, and tells at the end what it saw; while it runs, its books are at
    /__vendor/meter, /__vendor/history and /__vendor/limits. Stops on Ctrl-C or SIGTERM.

    \b
    Examples:
      llm-dispatcher simulate-vendor
      llm-dispatcher simulate-vendor --list
      llm-dispatcher simulate-vendor flaky --seed 7 --verbose
      llm-dispatcher simulate-vendor cut-streams --show > mine.toml
      llm-dispatcher simulate-vendor mine.toml --format anthropic --models claude-x

    \b
    A dispatcher in front of it:
      llm-dispatcher simulate-vendor outage --print-config > dispatcher.toml
      llm-dispatcher simulate-vendor outage &
      llm-dispatcher serve --config dispatcher.toml

    \b
    Its books, and another script while it runs:
      curl http://127.0.0.1:4010/__vendor/meter
      curl http://127.0.0.1:4010/__vendor/script -H 'content-type: application/toml' --data-binary @mine.toml
    """
    if wants_list:
        _print_list()
    elif show:
        _print_script(script)
    elif print_config:
        click.echo(_configuration(host, port, formats or tuple(_DIALECTS), _names(models)), nl=False)
    else:
        sys.exit(_run(_loaded(script, models, seed), host, port, formats or None, verbose=verbose))


def _names(models: str | None) -> list[str]:
    return [name.strip() for name in (models or "").split(",") if name.strip()]


def _loaded(script: str, models: str | None, seed: int | None) -> Script:
    from msgspec.structs import replace

    from ...benchmarks.vendor import ScriptError, load

    try:
        loaded = load(script)
    except ScriptError as error:
        raise click.UsageError(str(error)) from None
    return replace(
        loaded,
        models=_names(models) or loaded.models,
        seed=loaded.seed if seed is None else seed,
    )


# --- what is only printed -----------------------------------------------------------------------


def _print_list() -> None:
    from ...benchmarks.vendor import builtin_names, load

    names = builtin_names()
    width = max(len(name) for name in names)
    for name in names:
        click.echo(f"{name.ljust(width)}  {load(name).about}")


def _print_script(script: str) -> None:
    from ...benchmarks.vendor import builtin_names
    from ...benchmarks.vendor.loading import builtin_text

    if script not in builtin_names():
        raise click.UsageError(f"{script!r} is no built-in script; --list names them")
    click.echo(builtin_text(script), nl=False)


def _configuration(host: str, port: int, formats: tuple[str, ...], models: list[str]) -> str:
    """A configuration with one vendor for each format, all served by the simulated one."""
    from ...benchmarks.vendor import FORMATS

    shown = f"[{host}]" if ":" in host else host
    tables = []
    for name in formats:
        listed = "".join(
            f'    {{ name = "{model}", context = "128k", price = {{ input = "1", output = "2" }} }},\n'
            for model in models or ["simulated-model"]
        )
        tables.append(
            f'[[vendors]]\nname = "simulated-{name}"\ndialect = "{_DIALECTS[name]}"\n'
            f'base_url = "http://{shown}:{port}{FORMATS[name].base_path}"\napi_key = "simulated"\n'
            f"models = [\n{listed}]\n"
        )
    return "\n".join(tables)


# --- running ------------------------------------------------------------------------------------


def _run(script: Script, host: str, port: int, formats: tuple[str, ...] | None, *, verbose: bool) -> int:
    import trio

    code = 0
    try:
        trio.run(_serve, script, host, port, formats, verbose)
    except* (OSError, ValueError) as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        click.secho(f"cannot serve: {first}", fg="red", err=True)
        code = 1
    return code


async def _serve(
    script: Script, host: str, port: int, formats: tuple[str, ...] | None, verbose: bool
) -> None:
    import signal
    from functools import partial

    import trio

    from ...benchmarks.vendor import ScriptedVendor

    vendor = ScriptedVendor(script, formats=formats)
    if verbose:
        vendor.on_end = _print_attempt
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            taken = await nursery.start(partial(vendor.listen, port, host))
            shown = f"[{host}]" if ":" in host else host
            for name in vendor.formats:
                click.echo(f"{name}: {vendor.base_url(name, f'http://{shown}:{taken}')}")
            sys.stdout.flush()
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
    _print_summary(vendor)


def _print_attempt(attempt: Attempt) -> None:
    took = (attempt.finished_at or attempt.at) - attempt.at
    status = attempt.status or "-"
    left = "" if attempt.client_closed_at is None else ", the client left"
    click.echo(
        f"#{attempt.number} {attempt.model or '-'} {attempt.step}: {status} {attempt.outcome}{left}, "
        f"{attempt.input_tokens} + {attempt.sent_tokens}/{attempt.planned_tokens} tokens, {took:.3f} s"
    )


def _print_summary(vendor: ScriptedVendor) -> None:
    total, seen = vendor.meter.total, vendor.statistics()
    outcomes = ("complete", "refused", "unanswered", "broken", "client_closed")
    counted = ", ".join(f"{getattr(total, name)} {name}" for name in outcomes if getattr(total, name))
    click.echo(f"{total.attempts} attempts" + (f": {counted}" if counted else ""))
    click.echo(f"{seen.accepted} connections, {seen.turned_away} turned away")
    click.echo(f"billed: {total.input_tokens} input and {total.output_tokens} output tokens")
    for model, sums in sorted(vendor.meter.by_model.items()):
        click.echo(
            f"  {model or '(none)'}: {sums.attempts} attempts, {sums.input_tokens} + {sums.output_tokens} tokens"
        )
    if vendor.script.limits:
        click.echo(f"{seen.violations} times beyond a limit")
