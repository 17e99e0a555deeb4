"""The contract of a peer, and what they share: commands that install, processes that serve."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import trio
from msgspec import Struct

from ...runtime.wire.client import TrioTransport
from ..load.targets import Address

__all__ = ["MODEL", "RETRIES", "Peer", "Unavailable", "free_port", "have", "install", "serving"]

MODEL: Final = "m"
RETRIES: Final = 2
"""Further attempts that each gateway may make for a request, as far as it can be told so."""

_INSTALL: Final = 900.0
_START: Final = 120.0
_STOP: Final = 5.0


class Unavailable(Exception):
    """A peer cannot be installed or started here; the message says why."""


class Command(Struct, frozen=True):
    """How a peer is started."""

    words: Sequence[str]
    environment: Mapping[str, str] = {}


class Peer(ABC):
    """One gateway."""

    name: str
    resilience: str
    """How it has been set up to make good a vendor's failures, in a few words."""

    @abstractmethod
    def install(self, folder: Path) -> str:
        """Install into `folder` unless it is there already; returns the version. Raises `Unavailable`."""

    @abstractmethod
    def command(self, folder: Path, work: Path, port: int, vendors: Sequence[str]) -> Command | None:
        """How it is started, to serve on `port` of 127.0.0.1, with `vendors` (OpenAI-compatible base URLs, in order of
        preference); files it needs go into `work`. None: there is nothing to start."""

    def address(self, port: int, vendors: Sequence[str]) -> Address:
        """What clients are configured with."""
        del vendors
        return Address(base=f"http://127.0.0.1:{port}/v1", model=MODEL, key="k")

    def health(self) -> str:
        """A path that answers once it serves."""
        return "/"


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def have(program: str) -> str:
    """Where `program` is. Raises `Unavailable`."""
    found = shutil.which(program)
    if found is None:
        raise Unavailable(f"{program} is not installed on this machine")
    return found


def install(words: Sequence[str], folder: Path) -> None:
    """Run a command that installs something, in `folder`. Raises `Unavailable` with the last it said."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{words[0]}: {error}") from None
    if done.returncode:
        said = done.stdout.strip().splitlines()
        raise Unavailable(f"`{' '.join(words[:3])} ...` failed: {said[-1] if said else done.returncode}")


@asynccontextmanager
async def serving(
    peer: Peer, folder: Path, work: Path, vendors: Sequence[str]
) -> AsyncIterator[tuple[Address, int | None]]:
    """`peer`, started: where it is, and its process (None if it has none). Raises `Unavailable`."""
    port = free_port()
    command = peer.command(folder, work, port, vendors)
    if command is None:
        yield peer.address(port, vendors), None
        return
    log = work / f"{peer.name}.log"
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            list(command.words),
            cwd=work,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await _answers(peer, port, process, log)
        yield peer.address(port, vendors), process.pid
    finally:
        with trio.move_on_after(2 * _STOP, shield=True):
            await _stop(process)


async def _answers(peer: Peer, port: int, process: trio.Process, log: Path) -> None:
    url = f"http://127.0.0.1:{port}{peer.health()}"
    async with httpx.AsyncClient(transport=TrioTransport(), timeout=5.0) as client:
        with trio.move_on_after(_START):
            while process.poll() is None:
                try:
                    if (await client.get(url)).status_code < 500:
                        return
                except httpx.TransportError:
                    pass
                await trio.sleep(0.1)
    raise Unavailable(
        f"it does not serve; the last it said: {await trio.to_thread.run_sync(_last_line, log)}"
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "(nothing)"


async def _stop(process: trio.Process) -> None:
    """With its whole session, since some peers fork."""
    _signal(process, signal.SIGTERM)
    with trio.move_on_after(_STOP):
        await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: trio.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
