"""`llm-dispatcher bench`: put load on the dispatcher, on a daemon, or on anything that speaks OpenAI's format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from ...benchmarks.load.plan import Plan
    from ...benchmarks.load.report import Report

__all__ = ["bench"]

F = TypeVar("F", bound=Callable[..., Any])


Read: TypeAlias = Callable[[click.Context, click.Parameter, Any], Any]


def _read_by(module: str, function: str) -> Read:
    """An option's text, as read by a function of the harness, which is imported when there is something to read."""

    def read(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is None or value == ():
            return value
        reads = getattr(import_module(f"...benchmarks.load.{module}", __package__), function)
        try:
            return tuple(reads(each) for each in value) if isinstance(value, tuple) else reads(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from None

    return read


def _in_a_folder(_context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A file to be written, of which it is known before the run that it can be."""
    if value not in (None, "-") and not (folder := Path(value).absolute().parent).is_dir():
        raise click.BadParameter(f"there is no folder {str(folder)!r}", param=parameter)
    return value


_DISTRIBUTION: Final = _read_by("sizes", "parse_distribution")
_OBJECTIVE: Final = _read_by("objectives", "parse_objective")
_SECONDS: Final = _read_by("choices", "parse_seconds")
_RATE: Final = _read_by("choices", "parse_rate")
_PRICE: Final = _read_by("choices", "parse_price")
_HEADER: Final = _read_by("choices", "parse_header")
_VENDOR: Final = _read_by("choices", "checked_vendor")
_SCRIPT: Final = _read_by("choices", "checked_script")
_TRACE: Final = _read_by("choices", "checked_trace")
_URL: Final = _read_by("choices", "checked_url")

_COUNT: Final = click.IntRange(1, 1_000_000)

_TARGET: Final = (
    click.option("-c", "--config", "config", metavar="FILE", help="The dispatcher in this process, with this configuration and its vendors: real ones cost money."),
    click.option("--url", metavar="URL", callback=_URL, help="Whatever answers there: a running daemon, another gateway, a vendor. With or without /v1."),
    click.option("--model", metavar="M", help="The model, route or mode to ask for. Default: `auto` with --config, `bench` without; --url needs it."),
    click.option("--key-env", metavar="NAME", help="The environment variable with the key for --url. Default: none is sent."),
    click.option("-H", "--header", "headers", metavar="NAME:VALUE", callback=_HEADER, multiple=True, help="A header for --url; may be repeated."),
    click.option("--pid", metavar="N", type=click.IntRange(1), help="The process that serves --url, on this machine: tells its CPU time and memory, children included. Linux only."),
)  # fmt: skip

_VENDORS: Final = (
    click.option("--simulate", metavar="KEY=VALUE,...", callback=_VENDOR, multiple=True, help="A simulated vendor for the dispatcher; repeated, the next one in preference. Keys: first_token, spread, tokens_per_second, and shares of faults: server_error, overloaded, rate_limited, cut, stall, refuse_connection."),
    click.option("--vendor-script", "scripts", metavar="SCRIPT", callback=_SCRIPT, multiple=True, help="A scripted vendor instead, in its own process and over a real socket; repeated, the next one. A name (`simulate-vendor --list`) or a file."),
    click.option("--vendor-port", metavar="P", type=click.IntRange(1, 65535), help="The first one's port, the others' following. Default: free ones. With --url it is needed: the gateway there is set up to use them."),
)  # fmt: skip

_LOAD: Final = (
    click.option("--rate", metavar="R", callback=_RATE, help="Requests a second that arrive whatever the answers do (open loop). Default: 20."),
    click.option("--pattern", type=click.Choice(["constant", "poisson", "bursts"]), help="How they arrive. Default: poisson."),
    click.option("--burst", metavar="N", type=_COUNT, help="Requests of one burst. Default: 20."),
    click.option("--users", metavar="N", type=_COUNT, help="Users who each wait for an answer before the next request (closed loop), instead of --rate."),
    click.option("--think", metavar="DIST", callback=_DISTRIBUTION, help="How long they think in between, such as exp:2s. Default: not at all."),
    click.option("--trace", metavar="FILE", callback=_TRACE, help="Replay recorded traffic: CSV with arrival_s, input_tokens and output_tokens."),
    click.option("--speed", metavar="X", callback=_RATE, help="How many times as fast. Default: 1."),
    click.option("--duration", metavar="T", callback=_SECONDS, help="When to end. Default: 10s, if --requests does not end it, and with --trace its end."),
    click.option("--requests", metavar="N", type=_COUNT, help="How many requests to send at most."),
    click.option("--max-cost", metavar="DOLLARS", callback=_RATE, help="End when answers have cost so much, as far as costs are told."),
    click.option("--prompt-tokens", metavar="DIST", callback=_DISTRIBUTION, help="Length of prompts: 300, 50-400, lognormal:300,0.6 or exp:300. Default: lognormal:300,0.6."),
    click.option("--output-tokens", metavar="DIST", callback=_DISTRIBUTION, help="Length of answers, sent as max_tokens. Default: lognormal:60,0.5."),
    click.option("--stream/--no-stream", default=True, help="Whether answers are streamed. Default: they are."),
    click.option("--max-in-flight", metavar="N", type=_COUNT, help="Requests under way at most; what arrives beyond it is counted as `not started`. Default: 1000."),
    click.option("--timeout", metavar="T", callback=_SECONDS, default="60s", show_default=True, help="How long a request may take."),
    click.option("--drain", metavar="T", callback=_SECONDS, default="30s", show_default=True, help="How long those under way may take once no further ones are sent."),
    click.option("--seed", metavar="N", type=int, default=1, show_default=True, help="The same seed sends the same requests at the same times, and simulated vendors behave the same."),
)  # fmt: skip

_RESULT: Final = (
    click.option("--slo", "objectives", metavar="OBJECTIVE", callback=_OBJECTIVE, multiple=True, help="What has to be kept, such as 'ttft_p99<500ms', 'latency_p95<2s', 'gap_p99<200ms', 'error_rate<1%', 'throughput>45', 'cost<0.5'; may be repeated."),
    click.option("--price", metavar="IN,OUT", callback=_PRICE, help="Dollars for a million input and output tokens, if the target does not tell costs."),
    click.option("--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False, writable=True, allow_dash=True),
        callback=_in_a_folder, help="Write the report as JSON; `-`: to standard output, in place of the tables."),
    click.option("--html", "html_file", metavar="FILE", type=click.Path(dir_okay=False, writable=True),
        callback=_in_a_folder, help="Write the report as one page with plots, which needs nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing while it runs."),
)  # fmt: skip


def _all(*groups: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed([each for group in groups for each in group]):
            command = option(command)
        return command

    return add


@click.command("bench", short_help="Put load on it and see what callers would meet.")
@_all(_TARGET, _VENDORS, _LOAD, _RESULT)
def bench(**options: Any) -> None:
    """Send requests as real callers would, and tell what they met: latencies, failures, throughput, cost.

    Without options: ten seconds of streams through the dispatcher in this process, to two simulated vendors; no key, no
    network, no cost. Latency counts from when a request was to be sent, so a target that falls behind cannot hide it.

    \b
    Examples:
      llm-dispatcher bench
      llm-dispatcher bench --rate 50 --pattern bursts --duration 30s
      llm-dispatcher bench --users 32 --think exp:500ms --requests 500
      llm-dispatcher bench --trace trace.csv --speed 10 --html report.html

    \b
    With vendors that fail:
      llm-dispatcher bench --simulate first_token=200ms,server_error=0.3 --simulate first_token=600ms
      llm-dispatcher bench --vendor-script flaky --vendor-script healthy

    \b
    A running daemon, another gateway, the vendors of your own configuration:
      llm-dispatcher bench --url http://127.0.0.1:4000 --model auto
      llm-dispatcher bench --url https://gateway.example/v1 --model gpt-x --key-env GATEWAY_KEY
      llm-dispatcher bench --config dispatcher.toml --model fast --requests 20 --max-cost 0.10

    \b
    In continuous integration:
      llm-dispatcher bench --slo 'ttft_p99<800ms' --slo 'error_rate<1%' --json report.json --quiet

    \b
    Exit codes: 0, every objective was kept (without any: there were answers); 1, not so; 2, the command line or the
    configuration is wrong; 130, interrupted, with a report of what had been seen.
    """
    try:
        code = _bench(options)
    except KeyboardInterrupt:
        # While it was still being made ready: from the first request on, a run ends with a report.
        _fail("interrupted before the first request", 130)
    sys.exit(code)


def _bench(options: dict[str, Any]) -> int:
    from ...benchmarks.load.choices import Conflict, Problem, chosen

    try:
        plan, opened = chosen(options)
    except Conflict as error:
        raise click.UsageError(str(error)) from None
    except Problem as error:
        _fail(str(error), 2)
    report = _run(plan, opened, quiet=options["quiet"] or options["json_file"] == "-")
    _tell(report, options["json_file"], options["html_file"])
    if report.ending == "interrupted":
        return 130
    return 0 if report.passed else 1


def _run(plan: Plan, opened: Any, *, quiet: bool) -> Report:
    import trio
    from rich.console import Console

    from ...benchmarks.load.progress import Progress
    from ...benchmarks.load.run import run
    from ...benchmarks.load.scripted import VendorFailed
    from ...benchmarks.load.traces import TraceError
    from ..logs import configure

    # Circuits that open are what such a run is made for; the report tells what callers met of it.
    configure("error", "auto")
    console = Console(stderr=True)
    watched = console.is_terminal and not quiet
    report, failure, interrupted = None, "", False
    try:
        if watched:
            with Progress(plan, console) as progress:
                report = trio.run(run, plan, opened, progress.look)
        else:
            report = trio.run(run, plan, opened)
    # What is raised within these clauses would leave as a group.
    except* (VendorFailed, TraceError) as group:
        failure = _first(group)
    except* KeyboardInterrupt:
        interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return report or _fail(failure, 1)


def _first(group: BaseExceptionGroup[Any]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _tell(report: Report, json_file: str | None, html_file: str | None) -> None:
    if json_file is not None:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"
        if json_file == "-":
            click.echo(text, nl=False)
        else:
            _write(json_file, text)
    if html_file is not None:
        from ...benchmarks.load.page import page

        _write(html_file, page(report))
    if json_file != "-":
        from rich.console import Console

        from ...benchmarks.load.terminal import terminal_view

        console = Console()
        # A file or a pipe has no width of its own, and a table cut at 80 columns is of no use there.
        Console(width=None if console.is_terminal else 140).print(terminal_view(report))


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        click.secho(f"cannot write {file}: {error.strerror}", fg="red", err=True)


def _fail(message: str, code: int) -> NoReturn:
    click.secho(message, fg="red", err=True)
    sys.exit(code)
