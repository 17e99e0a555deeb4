"""`llm-dispatcher chat`: ask one question from the command line.

The answer goes to standard output and everything about it to standard error, so that it can be piped on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .common import config_option, fail_config

if TYPE_CHECKING:
    from ..canon import Request
    from ..config import Loaded
    from ..dispatcher import Dispatcher
    from ..reply import Reply

__all__ = ["chat"]

_INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


@click.command(short_help="Ask a question and print the answer.")
@config_option
@click.option(
    "-m",
    "--model",
    metavar="M",
    default="auto",
    show_default=True,
    help="A model, vendor/model, route or mode; see `llm-dispatcher models`.",
)
@click.option("-s", "--stream", is_flag=True, help="Print the answer as it comes.")
@click.option("--system", metavar="TEXT", default=None, help="Instructions that stand before the question.")
@click.option("--max-tokens", metavar="N", type=click.IntRange(min=1), default=None, help="Length at most.")
@click.option(
    "--timeout", metavar="DURATION", default=None, help="For everything, retries included: 30, 1m30s."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the reply as JSON; with --stream, a line per event."
)
@click.argument("text", nargs=-1)
def chat(
    config_path: str | None,
    model: str,
    stream: bool,
    system: str | None,
    max_tokens: int | None,
    timeout: str | None,
    as_json: bool,
    text: tuple[str, ...],
) -> None:
    """Ask TEXT and print the answer; "-" or no TEXT reads it from standard input.

    Which vendor answered, tokens, cost, attempts and time are printed to standard error.

    \b
    Examples:
      llm-dispatcher chat "Why is the sky blue?"
      llm-dispatcher chat --model fast --stream Tell me about otters
      git diff | llm-dispatcher chat --system "Review this change." --timeout 1m
    """
    seconds = _seconds(timeout)
    question = _question(text)

    import trio

    from ..canon import Message, Request
    from ..config import ConfigError, load

    try:
        loaded = load(config_path)
    except ConfigError as error:
        fail_config(error)
    messages = [Message("system", system)] if system else []
    request = Request(
        model=model,
        messages=[*messages, Message("user", question)],
        max_tokens=max_tokens,
        timeout=seconds,
    )
    try:
        code = trio.run(_ask, loaded, request, stream, as_json)
    except BaseException as error:
        if not _interrupted(error):
            raise
        code = _INTERRUPTED
    sys.exit(code)


def _seconds(timeout: str | None) -> float | None:
    if timeout is None:
        return None
    from ..config.units import Seconds, decode

    try:
        return float(decode(Seconds, float(timeout) if timeout.replace(".", "", 1).isdigit() else timeout))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from None


def _question(text: tuple[str, ...]) -> str:
    question = " ".join(text)
    if not text or question == "-":
        if sys.stdin.isatty():
            click.secho("Type your question, then Ctrl-D.", dim=True, err=True)
        question = sys.stdin.read()
    if not question.strip():
        raise click.UsageError("there is no question")
    return question


def _interrupted(error: BaseException) -> bool:
    """Whether this is Ctrl-C, which nurseries wrap in groups."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


async def _ask(loaded: Loaded, request: Request, stream: bool, as_json: bool) -> int:
    """Ask and print; the exit code."""
    from ..dispatcher import Dispatcher
    from ..errors import DispatchError

    async with Dispatcher.open(loaded) as dispatcher:
        try:
            if stream:
                reply: Reply | None = await _print_stream(dispatcher, request, as_json)
            else:
                reply = await dispatcher.send(request)
        except DispatchError as error:
            click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
            return 1
    if reply is None:
        click.secho("the answer broke off", fg="red", err=True)
        return 1
    if as_json:
        _print_json(reply)
    else:
        _print_answer(reply, streamed=stream)
    return 0


async def _print_stream(dispatcher: Dispatcher, request: Request, as_json: bool) -> Reply | None:
    from ..canon import TextDelta

    begun = False
    try:
        async with dispatcher.stream(request) as events:
            async for event in events:
                if as_json:
                    _print_json_line(event)
                elif isinstance(event, TextDelta):
                    begun = True
                    click.echo(event.text, nl=False)
            return events.reply
    finally:
        if begun:
            click.echo()


def _print_answer(reply: Reply, *, streamed: bool) -> None:
    if not streamed and reply.text:
        click.echo(reply.text)
    for call in reply.tool_calls:
        click.echo(f"{call.name}({call.arguments})")
    click.secho(_about(reply), dim=True, err=True)


def _about(reply: Reply) -> str:
    """One line: who answered, tokens, cost, attempts, time."""
    usage = reply.usage
    facts = [f"{reply.vendor}/{reply.model}"]
    if usage is not None:
        facts.append(f"{usage.input_tokens} + {usage.output_tokens} tokens")
    facts.append(f"${reply.cost:.6f}" if reply.cost is not None else "cost unknown")
    count = len(reply.attempts)
    failed = ", ".join(f"{attempt.vendor} {attempt.fault}" for attempt in reply.attempts if attempt.fault)
    facts.append(f"{count} attempt{'s' if count != 1 else ''}" + (f" ({failed})" if failed else ""))
    facts.append(f"{reply.seconds:.2f} s")
    if any(choice.finish == "length" for choice in reply.completion.choices):
        facts.append("cut at the token limit")
    return " | ".join(facts)


def _print_json(reply: Reply) -> None:
    import msgspec

    whole: dict[str, Any] = {"text": reply.text, **msgspec.to_builtins(reply)}
    click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2))


def _print_json_line(event: Any) -> None:
    import msgspec

    click.echo(msgspec.json.encode(event))
