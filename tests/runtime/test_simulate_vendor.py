"""`llm-dispatcher simulate-vendor` as a process, and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomli
from click.testing import CliRunner, Result
from llm_dispatcher.benchmarks.vendor import builtin_names
from llm_dispatcher.runtime.cli import main
from llm_dispatcher.runtime.config import load


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate-vendor", *arguments], catch_exceptions=False)


def test_list_names_each_script_and_says_what_it_does() -> None:
    lines = run("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == builtin_names()
    assert {"healthy", "flaky", "overloaded", "rate-limited", "cut-streams", "outage"} <= set(builtin_names())
    assert all(len(line.split()) > 4 for line in lines)


def test_show_prints_a_script_to_begin_ones_own_from(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(run("outage", "--show").stdout)
    assert tomli.loads(mine.read_text())["connections"][0]["act"] == "refuse"


@pytest.mark.parametrize("formats", [(), ("--format", "anthropic", "--format", "gemini")])
def test_the_printed_configuration_is_one_that_the_dispatcher_takes(
    tmp_path: Path, formats: tuple[str, ...]
) -> None:
    file = tmp_path / "dispatcher.toml"
    file.write_text(run("--print-config", "--port", "4999", "--models", "a, b", *formats).stdout)
    vendors = load(str(file)).serving.vendors
    assert len(vendors) == (2 if formats else 3)
    assert {vendor.base_url for vendor in vendors} <= {
        "http://127.0.0.1:4999/v1",
        "http://127.0.0.1:4999/v1beta",
    }
    assert all([model.name for model in vendor.models] == ["a", "b"] for vendor in vendors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["helthy"], "did you mean `healthy`?"),
        (["mine.toml"], "no such file"),
        (["mine.toml", "--show"], "no built-in script"),
        (["--format", "cohere"], "'cohere' is not one of"),
    ],
)
def test_a_wrong_command_line_says_what_to_do_and_exits_with_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    code = "from llm_dispatcher.runtime.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, "simulate-vendor", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_and_then_says_what_it_saw(
    tmp_path: Path, ending: signal.Signals
) -> None:
    script = tmp_path / "mine.toml"
    script.write_text("[default]\ntext = 'Hello'\n[[limits]]\nwhat = 'requests'\nmost = 1\n")
    with process(str(script), "--port", "0", "--format", "openai", "--verbose", "--seed", "3") as vendor:
        assert vendor.stdout is not None
        name, url = vendor.stdout.readline().split()
        assert name == "openai:"
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        with urllib.request.urlopen(f"{url}/chat/completions", body, timeout=30) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/chat/completions", body, timeout=30)
        assert refused.value.code == 429
        refused.value.close()
        vendor.send_signal(ending)
        said, about = vendor.communicate(timeout=30)
    assert vendor.returncode == 0
    assert about == ""
    lines = said.splitlines()
    assert lines[0].startswith("#1 m answer: 200 complete, 1 + 1/1 tokens, ")
    assert lines[1].startswith("#2 m limit: requests: 429 refused, 1 + 0/0 tokens, ")
    assert lines[2:] == [
        "2 attempts: 1 complete, 1 refused",
        "2 connections, 0 turned away",
        "billed: 1 input and 1 output tokens",
        "  m: 2 attempts, 1 + 1 tokens",
        "1 times beyond a limit",
    ]


@pytest.mark.slow
def test_a_port_that_is_taken_is_an_error_in_one_line() -> None:
    with process("--port", "0", "--format", "openai") as first:
        assert first.stdout is not None
        port = first.stdout.readline().rsplit(":", 1)[1].split("/")[0]
        with process("--port", port) as second:
            said, about = second.communicate(timeout=30)
    assert (second.returncode, said) == (1, "")
    assert about.startswith("cannot serve: ")
    assert about.count("\n") == 1
