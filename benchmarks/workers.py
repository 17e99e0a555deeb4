"""Several worker processes against one: requests a second, and CPU time per request of all the daemon's processes together.

Each row is a daemon of its own (`llm-dispatcher serve --workers N`) in front of a vendor that answers at once, in a process of its own,
and under load from `--generators` further processes. `limits` says whether the vendor's deployments have rate limits, all far
from being reached: with several workers these are shared, so the difference is what sharing costs. With as many busy processes
as there are cores, and a vendor and generators beside them, more workers cannot be faster; CPU time per request says more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from ..runtime.wire.client import TrioTransport

__all__ = ["main"]

_CONFIG: Final = """
[server]
port = 0
overload = {{ loop_lag = "1h" }}
[logging]
format = "json"
[[vendors]]
name = "v"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "k"
models = [{{ name = "m" }}]
{limits}
"""
_LIMITS: Final = "limits = { requests_per_minute = 100_000_000, tokens_per_minute = 100_000_000_000, dollars_per_hour = 1_000_000 }"
_PRICED: Final = 'models = [{ name = "m", price = { input = 1, output = 1 } }]'
_BODY: Final = (
    b'{"model":"m","max_tokens":80,"messages":[{"role":"user","content":"Tell me about foxes and dogs."}]}'
)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def _family(root: int) -> list[int]:
    """The process and its children (Linux)."""
    found = [root]
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                told = Path(f"/proc/{name}/stat").read_text("ascii").rpartition(")")[2].split()
            except OSError:
                continue
            if int(told[1]) == root:
                found.append(int(name))
    return found


def _cpu(processes: list[int]) -> float:
    """Seconds of CPU time that they have had."""
    told = [Path(f"/proc/{each}/stat").read_text("ascii").rpartition(")")[2].split() for each in processes]
    return sum([int(each[11]) + int(each[12]) for each in told]) / _TICKS


@contextmanager
def _daemon(vendor_port: int, workers: int, limits: bool) -> Iterator[tuple[str, int]]:
    """Its address and its process."""
    text = _CONFIG.format(port=vendor_port, limits=_LIMITS if limits else "")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "dispatcher.toml")
        config.write_text(text.replace('models = [{ name = "m" }]', _PRICED), "utf-8")
        command = "from llm_dispatcher.runtime.cli import main; main()"
        with subprocess.Popen(
            [sys.executable, "-c", command, "serve", "--config", str(config), "--workers", str(workers)],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                for line in process.stderr or ():
                    told: dict[str, Any] = json.loads(line)
                    if told["event"] == "serving":
                        yield told["url"], process.pid
                        break
            finally:
                process.terminate()
                process.communicate()


async def _generate(url: str, seconds: float, connections: int) -> None:
    """Requests one after the other over each connection, all of them new ones; prints how many were answered."""
    answered = 0
    end = trio.current_time() + seconds

    async def call() -> None:
        nonlocal answered
        async with httpx.AsyncClient(transport=TrioTransport(), timeout=30) as client:
            while trio.current_time() < end:
                answer = await client.post(f"{url}/chat/completions", content=_BODY)
                if answer.status_code != 200:
                    raise RuntimeError(f"status {answer.status_code}: {answer.text}")
                answered += 1

    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(call)
    print(answered)


def _load(url: str, seconds: float, generators: int, connections: int) -> int:
    command = [sys.executable, "-m", "llm_dispatcher.benchmarks.workers", "--generate", url]
    command += ["--seconds", str(seconds), "--connections", str(connections)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(generators)]
    return sum([int(each.communicate()[0]) for each in started])


def _row(port: int, workers: int, limits: bool, chosen: argparse.Namespace) -> None:
    with _daemon(port, workers, limits) as (url, root):
        _load(url, 0.5, 1, chosen.connections)
        processes = _family(root)
        before, begun = _cpu(processes), time.monotonic()
        answered = _load(url, chosen.seconds, chosen.generators, chosen.connections)
        passed, spent = time.monotonic() - begun, _cpu(processes) - before
    name = f"{workers} worker{'s' if workers > 1 else ''}, {'with' if limits else 'without'} limits"
    per_request = spent / max(1, answered) * 1e6
    print(f"{name:28} {answered / passed:8.0f} requests/s {per_request:8.0f} µs CPU a request", flush=True)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="per row")
    parser.add_argument("--connections", type=int, default=8, help="per generator")
    parser.add_argument("--generators", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="the most")
    parser.add_argument("--generate", metavar="URL", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.generate:
        trio.run(_generate, chosen.generate, chosen.seconds, chosen.connections)
        return
    command = [sys.executable, "-m", "llm_dispatcher.benchmarks.hotpath", "--vendor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as vendor:
        try:
            port = int(vendor.stdout.readline()) if vendor.stdout else 0
            for workers in (1, chosen.workers):
                for limits in (False, True):
                    _row(port, workers, limits, chosen)
        finally:
            vendor.terminate()


if __name__ == "__main__":
    main()
