"""What the commands share: the `--config` option, and how a configuration that cannot be used is reported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from ..config import ConfigError

__all__ = ["config_option", "fail_config"]

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """Add `--config`, given to the command as `config_path`."""
    return click.option(
        "-c",
        "--config",
        "config_path",
        metavar="FILE",
        default=None,
        help="The configuration: TOML, YAML or JSON. "
        "Default: $LLM_DISPATCHER_CONFIG, else ./dispatcher.toml, else the packaged one.",
    )(command)


def fail_config(error: ConfigError) -> NoReturn:
    """Say what is wrong with the configuration, and exit with 2."""
    click.echo(str(error), err=True)
    count = len(error.problems)
    click.secho(f"{count} problem{'s' if count != 1 else ''} in the configuration", fg="red", err=True)
    sys.exit(2)
