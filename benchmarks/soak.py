"""Whether the daemon's memory grows: very many requests, then very many streams that their callers leave, and its size all along.

Vendor and daemon are processes of their own. The slope is that of the straight line that fits the readings best, the first fifth
of each phase left out: what is made once is made then. Every second caller leaves after the first chunk, the others before
it. A leak of an object for each request shows as tens of MiB per 100,000; what is left of a slope below one is the allocator's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterable, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import trio

from ..runtime.wire.client import TrioTransport
from ..runtime.wire.pool import ClientLimits
from .crowd.daemon import Daemon, running, served

__all__ = ["main", "slope"]

_READINGS: Final = 50
"""In each phase."""
_LEFT_OUT: Final = 0.2
_PATIENCE: Final = 0.02
"""Seconds after which a caller leaves who does not wait for the first chunk."""
_CONFIGURATION: Final = """
[server]
port = 0
[server.overload]
loop_lag = "1h"
[logging]
format = "json"
[[vendors]]
name = "v"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "k"
models = [{{ name = "m", price = {{ input = 1, output = 2 }} }}]
"""


def slope(readings: list[tuple[float, float]]) -> float:
    """Of the line through (x, y) by least squares; 0 where there is none."""
    count = len(readings)
    if count < 2:
        return 0.0
    mean_x = sum(x for x, _ in readings) / count
    mean_y = sum(y for _, y in readings) / count
    spread = sum((x - mean_x) ** 2 for x, _ in readings)
    return sum((x - mean_x) * (y - mean_y) for x, y in readings) / spread if spread else 0.0


class _Callers:
    """Sends what is to be sent, so many at once."""

    def __init__(self, daemon: Daemon, at_once: int) -> None:
        self.errors = 0
        self.readings: list[tuple[float, float]] = []
        self._daemon = daemon
        self._at_once = at_once
        self._url = httpx.URL(f"http://127.0.0.1:{daemon.port}/v1/chat/completions")
        self._transport = TrioTransport(limits=ClientLimits(max_connections=at_once))

    async def phase(self, count: int, one: Callable[[int], Awaitable[None]]) -> list[tuple[float, float]]:
        """Call `one` so many times; the daemon's resident MiB by the number of calls."""
        readings: list[tuple[float, float]] = []
        numbers = iter(range(count))
        every = max(1, count // _READINGS)

        async def worker() -> None:
            for number in numbers:
                await one(number)
                if number % every == 0:
                    readings.append((number, self._daemon.usage().resident / 2**20))

        async with trio.open_nursery() as nursery:
            for _ in range(self._at_once):
                nursery.start_soon(worker)
        return [reading for reading in readings if reading[0] >= _LEFT_OUT * count]

    async def ask(self, _number: int) -> None:
        """A request, answered whole."""
        response = await self._send({})
        if response.status_code != 200 or b'"well"' not in await response.aread():
            self.errors += 1

    async def leave(self, number: int) -> None:
        """A stream that is left, after its first chunk or before it."""
        with trio.move_on_after(_PATIENCE if number % 2 else 30):
            response = await self._send({"stream": True, "max_tokens": 1000})
            body: Any = response.stream
            if response.status_code != 200 or not isinstance(body, AsyncIterable):
                self.errors += 1
                return
            await anext(aiter(body))
            await response.aclose()

    async def _send(self, more: dict[str, Any]) -> httpx.Response:
        chat = {"model": "m", "messages": [{"role": "user", "content": "Tell me about foxes."}]}
        request = httpx.Request("POST", self._url, content=msgspec.json.encode(chat | more))
        return await self._transport.handle_async_request(request)


async def _soak(daemon: Daemon, requests: int, cancelled: int, at_once: int) -> None:
    callers = _Callers(daemon, at_once)
    start = daemon.usage().resident / 2**20
    print(f"start       {start:.1f} MiB", flush=True)
    for what, count, one in (
        ("requests", requests, callers.ask),
        ("left", cancelled, callers.leave),
    ):
        readings = await callers.phase(count, one)
        last = daemon.usage().resident / 2**20
        print(
            f"{what:11} {count}, {callers.errors} errors, {last:.1f} MiB at the end, "
            f"slope {slope(readings) * 100_000:.2f} MiB per 100,000",
            flush=True,
        )


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000, help="requests that are answered")
    parser.add_argument("--cancelled", type=int, default=10_000, help="streams that are left")
    parser.add_argument("--at-once", type=int, default=64, help="requests under way at once")
    chosen = parser.parse_args()
    vendor_command = [sys.executable, "-m", "llm_dispatcher.benchmarks.crowd.vendor"]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(vendor_command, stdout=subprocess.PIPE) as vendor,
    ):
        port = int(vendor.stdout.readline()) if vendor.stdout else 0
        with served(Path(folder), _CONFIGURATION.format(port=port)) as daemon:
            trio.run(_soak, daemon, chosen.requests, chosen.cancelled, chosen.at_once)


if __name__ == "__main__":
    main()
