"""`llm-dispatcher serve`: run the daemon until it is told to stop."""

from __future__ import annotations

import sys

import click

from .common import config_option, fail_config, without

__all__ = ["serve"]


@click.command(short_help="Run the service, with an OpenAI-compatible interface.")
@config_option
@click.option("--host", metavar="H", default=None, help="Address to listen on; replaces server.host.")
@click.option(
    "--port",
    metavar="P",
    type=click.IntRange(0, 65535),
    default=None,
    help="Port to listen on; replaces server.port. 0 takes a free one and logs which.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(0, 256),
    default=None,
    help="Processes that serve; replaces server.workers. 1 is a single one without a parent, 0 one for each core.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="Replaces logging.level.",
)
def serve(
    config_path: str | None, host: str | None, port: int | None, workers: int | None, log_level: str | None
) -> None:
    """Run the service: an OpenAI-compatible interface over all configured vendors.

    Stops on SIGTERM or Ctrl-C: running requests may finish (server.drain; after SIGTERM new ones are taken for
    server.lame_duck if anybody is connected), a second signal stops at once.

    Several workers serve one address under one parent, which starts them again when they die. Limits, budgets, orders and
    the statistics are those of all of them together.

    \b
    Examples:
      llm-dispatcher serve
      llm-dispatcher serve --config prod.toml --host 0.0.0.0 --port 8080
      curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
           -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'
    """
    with without("pygments", "rich"):
        from ..config import ConfigError, load
        from ..workers.count import worker_count
        from ..workers.sockets import address_of

        try:
            loaded = load(config_path)
        except ConfigError as error:
            fail_config(error)
        address = address_of(loaded.config.server, host, port)
        count = worker_count(loaded, workers)
        # A parent has no need of all that serves requests.
        if count == 1:
            from ..daemon import run
        else:
            from ..workers.parent import run_with
    sys.exit(run(loaded, address, log_level) if count == 1 else run_with(loaded, address, count, log_level))
