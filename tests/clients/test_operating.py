"""`llm-dispatcher status` and `order`, as an operator uses them on a running daemon."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner, Result
from llm_dispatcher.runtime.cli import main

from .conftest import COMMAND, Daemon


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def lines_with(result: Result, word: str) -> list[str]:
    return [line for line in result.stdout.splitlines() if word in line]


def test_status_shows_every_vendor_and_deployment_the_network_and_the_budgets(daemon: Daemon) -> None:
    result = run("status", "--url", daemon.url)
    assert result.exit_code == 0
    for name in ("sim/talker", "slow/drawler", "sick/shared", "well/shared"):
        (line,) = lines_with(result, f" {name} ")
        assert any(word in line for word in ("closed", "open", "half_open"))
    assert lines_with(result, "Network:  up")
    assert lines_with(result, "retries left")
    assert lines_with(result, "Waiting:  nobody")


@pytest.mark.slow
def test_watching_goes_on_until_ctrl_c_also_while_the_daemon_is_away(own_daemon: Daemon) -> None:
    with subprocess.Popen(
        [*COMMAND, "status", "--watch", "--every", "0.1", "--url", own_daemon.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        for _ in range(2):
            assert any("sim/talker" in line for line in watching.stdout)
        own_daemon.close()
        assert any("no daemon answers" in line for line in watching.stdout)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
        assert watching.stderr.read() == ""


def test_status_as_json_is_what_the_daemon_says(daemon: Daemon) -> None:
    result = run("status", "--json", "--url", daemon.url)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert {"statistics", "vendors", "actors", "transitions", "waiting", "network", "budgets"} <= told.keys()


def test_an_order_is_obeyed_and_seen(daemon: Daemon) -> None:
    body = {"model": "unreachable", "messages": [{"role": "user", "content": "hello"}]}
    result = run("order", "isolate", "nowhere/unreachable", "--url", daemon.url)
    assert result.exit_code == 0
    assert "isolated" in lines_with(result, "nowhere/unreachable")[0]
    refused = httpx.post(f"{daemon.url}/chat/completions", json=body)
    assert refused.status_code == 503
    assert "circuit open" in refused.json()["error"]["message"]
    assert "isolate" in lines_with(run("status", "--url", daemon.url), "nowhere/unreachable")[0]
    result = run("order", "automatic", "nowhere", "--url", daemon.url, "--json")
    assert json.loads(result.stdout)["deployments"]["nowhere/unreachable"]["circuit"] == "half_open"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("isolate", "nobody"), 2, "sim/talker"),
        (("isolate", "sim/nothing"), 2, "sim/talker"),
        (("explode", "sim"), 2, "isolate, force_closed, automatic, lift"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_what_does(
    daemon: Daemon, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = run("order", *arguments, "--url", daemon.url)
    assert result.exit_code == code
    assert words in result.stderr


@pytest.mark.parametrize("command", [("status",), ("order", "isolate", "sim")])
def test_where_no_daemon_answers_it_says_so_and_what_to_do(command: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    result = run(*command, "--url", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "llm-dispatcher serve" in result.stderr
    assert "--url" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:4000", "ftp://127.0.0.1", "http://", "nonsense"])
def test_an_address_that_is_none_is_said_to_be_one(url: str) -> None:
    result = run("status", "--url", url)
    assert result.exit_code == 2
    assert "http://127.0.0.1:4000" in result.stderr


@contextmanager
def stranger(answer: bytes) -> Iterator[str]:
    """A server that is none of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n\xff\xfe",
    ],
)
def test_what_is_no_dispatcher_is_said_to_be_none(answer: bytes) -> None:
    with stranger(answer) as url:
        result = run("status", "--url", url)
    assert result.exit_code == 1
    assert "is no llm-dispatcher" in result.stderr
