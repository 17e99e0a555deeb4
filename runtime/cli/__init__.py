"""The command line: `llm-dispatcher serve`, `check`, `chat`, `models`, `vendors`, `features`, `status`, `order`, `faults`,
`simulate-vendor`, `bench`.

One file per command. Nothing heavy is imported before a command needs it, so that `--help` and shell
completion answer at once.

Exit codes: 0 done; 1 the request failed; 2 the configuration or the command line is wrong; 130 Ctrl-C.
"""

from __future__ import annotations

import click

from .bench import bench
from .chat import chat
from .check import check
from .faults import faults
from .features import features
from .models import models
from .order import order
from .serve import serve
from .simulate_vendor import simulate_vendor
from .status import status
from .vendors import vendors

__all__ = ["main"]


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("llm-dispatcher")
    except PackageNotFoundError:
        number = "(not installed: run from its sources)"
    click.echo(f"llm-dispatcher {number}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """One door to many language-model vendors.

    It picks a vendor for each request, keeps within its limits, takes over when it fails, and says what
    every answer cost.

    \b
    Try it, without a key or a network (a simulated vendor answers):
      llm-dispatcher chat "Why is the sky blue?"

    \b
    Use it as a service; any OpenAI client can talk to it:
      llm-dispatcher serve
      export OPENAI_BASE_URL=http://127.0.0.1:4000/v1

    \b
    Look at a running one, and take a vendor out by hand:
      llm-dispatcher status --watch
      llm-dispatcher order isolate openai/gpt-4o

    \b
    See what it does under load, and when vendors fail:
      llm-dispatcher bench

    \b
    With your own configuration:
      llm-dispatcher check dispatcher.toml
      llm-dispatcher serve --config dispatcher.toml

    Without --config it is the file that $LLM_DISPATCHER_CONFIG names, else ./dispatcher.toml, else the
    default that comes with the package. Keys are taken from the environment and from .env.
    """


for _command in (
    serve,
    check,
    chat,
    models,
    vendors,
    features,
    status,
    order,
    faults,
    simulate_vendor,
    bench,
):
    main.add_command(_command)
