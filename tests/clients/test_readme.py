"""Every example in the README does what it says, on the default configuration."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import COMMAND, Daemon

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLEAN = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def default_daemon() -> Iterator[Daemon]:
    running = Daemon(ROOT / "dispatcher.toml", "--port", "0")
    yield running
    running.close()


def run(command: list[str]) -> str:
    """What the command prints. The simulated vendors fail on purpose, once in a while all of them: so it may fail once."""
    for last in (False, True):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=CLEAN, cwd=ROOT, check=False
        )
        if done.returncode == 0 or last:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_examples_are_the_ones_tested_here() -> None:
    assert len(blocks("python")) == 4
    assert len(blocks("sh")) == 6


def test_the_two_commands_exist() -> None:
    for line in blocks("sh")[0].splitlines():
        target = line.partition("#")[0].split()[1]
        assert f"\n{target}: " in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_first_request_is_answered(default_daemon: Daemon) -> None:
    example = blocks("sh")[1].replace("http://127.0.0.1:4000/v1", default_daemon.url)
    assert '"chat.completion"' in run(["sh", "-c", example])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_texts_are_embedded(default_daemon: Daemon) -> None:
    example = blocks("sh")[4].replace("http://127.0.0.1:4000/v1", default_daemon.url)
    assert '"embedding"' in run(["sh", "-c", example])


@pytest.mark.parametrize("line", [*blocks("sh")[2].splitlines(), *blocks("sh")[5].splitlines()])
def test_the_commands_work(line: str) -> None:
    words = line.partition("#")[0].replace('"', "").split()
    assert words[0] == "llm-dispatcher"
    assert run([*COMMAND, *words[1:]])


def test_a_setup_can_be_tried_with_a_vendor_that_fails(tmp_path: Path) -> None:
    port = free_port()
    configure, simulate, serve = (
        line.partition(" #")[0].strip(" &") for line in blocks("sh")[3].splitlines()
    )
    words, _, file = configure.partition(" > ")
    assert serve == f"llm-dispatcher serve --config {file}"
    config = tmp_path / file
    config.write_text(run([*COMMAND, *words.split()[1:], "--port", str(port)]), encoding="utf-8")
    with subprocess.Popen(
        [*COMMAND, *simulate.split()[1:], "--port", str(port)], env=CLEAN, stdout=subprocess.DEVNULL
    ) as vendor:
        running = Daemon(config, "--port", "0")
        try:
            body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
            answers = [
                httpx.post(f"{running.url}/chat/completions", json=body, timeout=30).status_code
                for _ in range(3)
            ]
            assert 200 in answers
        finally:
            running.close()
            vendor.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_python_examples_run(default_daemon: Daemon, number: int) -> None:
    example = blocks("python")[number].replace(
        "http://127.0.0.1:4000", default_daemon.url.removesuffix("/v1")
    )
    assert run([sys.executable, "-c", example])
