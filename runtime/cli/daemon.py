"""How a command talks to a running daemon: one exchange, and plain words when it does not come about."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

__all__ = ["NoAnswer", "exchange", "fail", "url_option"]

F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE = 10.0
"""Seconds for a daemon to answer: it may be overloaded, which is when one looks."""


class NoAnswer(Exception):
    """No answer that is of use; the message says why and what can be done. `exit_code` is the command's."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def url_option(command: F) -> F:
    """Add `--url`, given to the command as `url`."""
    return click.option(
        "--url",
        metavar="URL",
        default="http://127.0.0.1:4000",
        show_default=True,
        envvar="LLM_DISPATCHER_URL",
        show_envvar=True,
        help="Where the daemon is; for a unix socket unix:/its/path.",
    )(command)


async def exchange(url: str, path: str, body: Any = None) -> dict[str, Any]:
    """What the daemon at `url` answers to a GET of `path`, or to a POST of `body`. Raises `NoAnswer`."""
    import httpx

    from ..wire.client import TrioTransport, dial_unix

    base = url.rstrip("/").removesuffix("/v1")
    over = TrioTransport(dial=dial_unix(url.removeprefix("unix:")) if url.startswith("unix:") else None)
    where = ("http://localhost" if url.startswith("unix:") else base) + path
    try:
        async with httpx.AsyncClient(transport=over, timeout=_PATIENCE) as client:
            response = await (client.get(where) if body is None else client.post(where, json=body))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise NoAnswer(f"{url!r} is no address: {error}; write it like http://127.0.0.1:4000", 2) from None
    except httpx.ReadTimeout:
        raise NoAnswer(
            f"the daemon at {base} has not answered within {_PATIENCE:g} s; its log may say why"
        ) from None
    except httpx.TransportError as error:
        raise NoAnswer(
            f"no daemon answers at {base} ({error}); start one with `llm-dispatcher serve`, or say where it is with --url"
        ) from None
    return _read(base, response)


def _read(base: str, response: Any) -> dict[str, Any]:
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise NoAnswer(f"what answers at {base} is no llm-dispatcher (status {response.status_code})")
    if response.status_code == 200:
        return told
    error = told.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    # What there is not, or cannot be read, is a mistake in the command line.
    raise NoAnswer(
        message or f"{base} answered with status {response.status_code}",
        2 if response.status_code in (400, 404) else 1,
    )


def fail(error: NoAnswer) -> NoReturn:
    """Say what is wrong, and exit."""
    click.secho(str(error), fg="red", err=True)
    sys.exit(error.exit_code)
