"""Several worker processes, as their users run them: against a vendor that keeps its limit strictly, with kills and signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from llm_dispatcher.runtime.wire.client import TrioTransport

from .conftest import COMMAND, Daemon

pytestmark = pytest.mark.slow

RATE, BURST, WINDOW = 20, 10, 2
SCRIPT = f"""
models = ["m"]

[[limits]]
what = "requests"
most = {BURST + RATE * WINDOW + 4}
per = "{WINDOW}s"
scope = "vendor"

[default]
tokens = 5
delay = {{ first_event = 0.05, between = 0.0 }}
"""

CONFIG = """
[server]
port = 0
workers = 2
drain = "5s"

[server.overload]
loop_lag = "1h"

[logging]
format = "json"

[[vendors]]
name = "v"
dialect = "google"
base_url = "{url}"
api_key = "k"
models = [{{ name = "m" }}]
limits = {{ requests_per_minute = {minute}, burst = {burst} }}
"""


class Vendor:
    """`llm-dispatcher simulate-vendor`."""

    def __init__(self, folder: Path) -> None:
        script = folder / "script.toml"
        script.write_text(SCRIPT, encoding="utf-8")
        self.process = subprocess.Popen(
            [*COMMAND, "simulate-vendor", str(script), "--port", "0", "--format", "gemini"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = next(word for line in self.process.stdout for word in line.split() if "http://" in word)

    def limits(self) -> dict[str, Any]:
        root = self.url.removesuffix("/v1beta")
        found: dict[str, Any] = httpx.get(f"{root}/__vendor/limits").json()
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    running = Vendor(tmp_path)
    yield running
    running.close()


@pytest.fixture
def config(vendor: Vendor, tmp_path: Path) -> Path:
    path = tmp_path / "dispatcher.toml"
    text = CONFIG.format(url=vendor.url, minute=RATE * 60, burst=BURST / (RATE * 60))
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def house(config: Path) -> Iterator[Daemon]:
    running = Daemon(config)
    yield running
    running.close()


def status(pid: int | str) -> tuple[str, int]:
    """A process's state and its parent; of one that there is not, that it is dead."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return state, int(parent)


def children(process: subprocess.Popen[str]) -> list[int]:
    numbers = [name for name in os.listdir("/proc") if name.isdecimal()]
    return sorted([int(each) for each in numbers if status(each)[1] == process.pid])


def is_alive(pid: int) -> bool:
    return status(pid)[0] not in "XZ"


async def load(url: str, seconds: float, callers: int, told: Counter[str]) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    end = trio.current_time() + seconds

    async def call() -> None:
        # A connection each, so that the kernel spreads them over the workers; a new one when theirs dies.
        while trio.current_time() < end:
            async with httpx.AsyncClient(transport=TrioTransport(), timeout=20) as client:
                try:
                    while trio.current_time() < end:
                        answer = await client.post(f"{url}/chat/completions", json=body)
                        told[str(answer.status_code)] += 1
                except httpx.TransportError:
                    told["lost"] += 1

    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(call)


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves_and_the_limit_holds(
    house: Daemon, vendor: Vendor
) -> None:
    told: Counter[str] = Counter()
    first, second = children(house.process)

    async def scenario() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, house.url, 5.0, 12, told)
            await trio.sleep(1.5)
            os.kill(first, signal.SIGKILL)

    trio.run(scenario)
    assert vendor.limits()["violated"] == 0
    assert set(told) <= {"200", "lost"}
    assert told["lost"] <= 12
    # What the dead one held is lost, and no more than that.
    assert told["200"] >= 0.6 * (BURST + RATE * 5)
    deadline = time.monotonic() + 20
    stats = httpx.get(house.url + "/stats").json()
    while stats["workers"]["partial"] and time.monotonic() < deadline:
        time.sleep(0.1)
        stats = httpx.get(house.url + "/stats").json()
    assert stats["workers"] == {"configured": 2, "answered": [1, 2], "missing": [], "partial": False}
    assert set(children(house.process)) > {second}
    # A second's worth of what the dead one counted may be lost.
    assert told["200"] - RATE - BURST <= stats["statistics"]["succeeded"] <= told["200"] + told["lost"]
    assert house.stop(signal.SIGTERM) == 0
    assert not any(is_alive(each) for each in (first, second))
    assert len([line for line in house.lines if line["event"] == "serving"]) == 1
    assert {line["worker"] for line in house.lines if "worker" in line} == {1}, (
        "one worker tells what is served"
    )


def test_workers_whose_parent_is_killed_end_by_themselves(house: Daemon) -> None:
    workers = children(house.process)
    assert len(workers) == 2
    house.process.kill()
    deadline = time.monotonic() + 15
    while any(is_alive(each) for each in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(each) for each in workers)


def serve(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "serve", "--config", str(config), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_a_worker_finds_wrong_with_the_configuration_is_said_once(config: Path) -> None:
    config.write_text(
        config.read_text("utf-8").replace('api_key = "k"', 'api_key = "k"\noptions = { wrong = 1 }'), "utf-8"
    )
    done = serve(config)
    assert done.returncode != 0
    assert done.stderr.count("wrong") <= 2
    assert len([line for line in done.stderr.splitlines() if '"level": "critical"' in line]) <= 1


def test_an_address_that_is_taken_is_said_once(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(config, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "in use" in json.loads(line)["error"]
    assert "--port" in json.loads(line)["remedy"]
