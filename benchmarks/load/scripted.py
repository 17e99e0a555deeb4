"""Scripted vendors in processes of their own, so that their work is not counted as the generator's or the dispatcher's. ::

    async with scripted_vendors(["flaky", "healthy"]) as vendors:
        vendors[0].url        # http://127.0.0.1:41234/v1

This module is also the program of such a process: `python -m llm_dispatcher.benchmarks.load.scripted SCRIPT`. It serves until its
standard input ends, so that no vendor outlives whoever started it, however that ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import httpx
import msgspec
import trio
from msgspec import Struct

from ...runtime.wire.client import TrioTransport
from ..vendor import ScriptedVendor, load

__all__ = ["VendorFailed", "VendorProcess", "scripted_vendors"]

_START: Final = 20.0
"""Seconds that a vendor may take to start; a loaded machine is slow, a broken one never comes."""
_STOP: Final = 2.0
_BOOKS: Final = 5.0


class VendorFailed(Exception):
    """A vendor did not start; the message says what it said."""


class VendorProcess(Struct, frozen=True):
    """A running vendor."""

    name: str
    url: str
    """As an OpenAI client is configured with it."""
    pid: int

    async def books(self) -> dict[str, Any]:
        """Its own sums of attempts and billed tokens; empty if it cannot be asked any more."""
        address = self.url.removesuffix("/v1") + "/__vendor/meter"
        try:
            async with httpx.AsyncClient(transport=TrioTransport(), timeout=_BOOKS) as client:
                told = (await client.get(address)).json()["total"]
        except (httpx.HTTPError, ValueError, KeyError):
            return {}
        return told if isinstance(told, dict) else {}


@asynccontextmanager
async def scripted_vendors(
    scripts: Sequence[str], *, port: int = 0, seed: int | None = None
) -> AsyncIterator[list[VendorProcess]]:
    """A vendor for each of `scripts` (a built-in name or a file), on free ports, or on `port` and the following ones.

    With `seed`, each is seeded anew, and no two alike: vendors that failed at the same moments would be one. Raises `VendorFailed`.
    They are stopped at the end, whatever happens.
    """
    async with AsyncExitStack() as stack:
        # All are started before the first is waited for.
        processes = [
            await stack.enter_async_context(
                _process(script, port + number if port else 0, None if seed is None else seed + number)
            )
            for number, script in enumerate(scripts)
        ]
        yield [
            VendorProcess(f"scripted-{number}", await _address(script, process), process.pid)
            for number, (script, process) in enumerate(zip(scripts, processes, strict=True), 1)
        ]


@asynccontextmanager
async def _process(script: str, port: int, seed: int | None) -> AsyncIterator[trio.Process]:
    command = [sys.executable, "-m", __name__, script, "--port", str(port)]
    if seed is not None:
        command += ["--seed", str(seed)]
    # A session of its own: Ctrl-C on the terminal is for the generator, which still wants to read its books.
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with trio.move_on_after(_STOP, shield=True) as patience:
            if process.stdin is not None:
                await process.stdin.aclose()
            await process.wait()
        if patience.cancelled_caught:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                with trio.move_on_after(_STOP, shield=True):
                    await pipe.aclose()


async def _address(script: str, process: trio.Process) -> str:
    said = b""
    with trio.move_on_after(_START):
        if process.stdout is not None and process.stderr is not None:
            async for piece in process.stdout:
                said += piece
                if b"\n" in said:
                    return said.partition(b"\n")[0].decode()
            said = b"".join([piece async for piece in process.stderr])
    lines = said.decode("utf-8", "replace").strip().splitlines()
    raise VendorFailed(
        f"the vendor with script {script!r} did not start: {lines[-1] if lines else 'it said nothing'}"
    )


# --- the process itself -------------------------------------------------------------------------


async def _serve(script: str, port: int, seed: int | None) -> None:
    read = load(script)
    if seed is not None:
        read = msgspec.structs.replace(read, seed=seed)
    vendor = ScriptedVendor(read, formats=["openai"])
    async with trio.open_nursery() as nursery:
        taken = await nursery.start(partial(vendor.listen, port))
        print(vendor.base_url("openai", f"http://127.0.0.1:{taken}"), flush=True)
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as orders:
            async for _ in orders:
                pass
        nursery.cancel_scope.cancel()


def _main() -> None:
    parser = argparse.ArgumentParser(description="A scripted vendor that ends with its standard input.")
    parser.add_argument("script")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    try:
        trio.run(_serve, chosen.script, chosen.port, chosen.seed)
    except* (OSError, ValueError) as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        sys.exit(str(first))


if __name__ == "__main__":
    _main()
