"""What the commands share: the `--config` option, how a useless configuration is reported, imports that cost less."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click

if TYPE_CHECKING:
    from ..config import ConfigError

__all__ = ["config_option", "fail_config", "without"]

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


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Inside, `packages` cannot be imported: for those that make do without them, and take long to load with them.

    httpx and structlog import rich and pygments where they find them, for a command and for tracebacks that a service never
    shows: a third of what it needs to start. Packages that have been imported already are left alone.
    """
    hidden = [package for package in packages if package not in sys.modules]
    for package in hidden:
        # No module by its type, but how the import system is told that there is none.
        sys.modules[package] = cast("ModuleType", None)
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]
