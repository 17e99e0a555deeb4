"""The daemon from outside: bad input, signals, a bad configuration."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import COMMAND, CONFIG, Daemon

CHAT = "/chat/completions"
COUNTING = """
import atexit, gc, pathlib
from llm_dispatcher.runtime.cli import main
atexit.register(lambda: pathlib.Path("counts").write_text(f"{len(gc.get_objects())} {gc.get_freeze_count()}"))
main()
"""
"""The command, which at its end writes how many objects a full collection would visit, and how many it is spared."""


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "JSON"),
        (b"[]", 400, "object"),
        (b'{"model": 1, "messages": []}', 400, "model"),
        (b'{"model": "talker"}', 400, "messages"),
        (b'{"model": "talker", "messages": [{"role": "king", "content": "x"}]}', 400, "messages[0].role"),
        (b'{"model": "talker", "messages": [{"role": "user", "content": [{"type": "text"}]}]}', 400, "text"),
        (b'{"model": "talker", "messages": [{"role": "user", "content": "x"}], "mode": "no"}', 404, "no"),
        (b"x" * 70_000, 413, "65536"),
        (b"\xff\xfe", 400, "JSON"),
    ],
)
def test_bad_input_is_answered_clearly_and_the_daemon_goes_on(
    daemon: Daemon, body: bytes, status: int, words: str
) -> None:
    answer = httpx.post(daemon.url + CHAT, content=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert httpx.get(daemon.url.replace("/v1", "/health")).status_code == 200


def test_unknown_paths_and_methods_say_what_there_is(daemon: Daemon) -> None:
    assert "/v1/chat/completions" in httpx.get(daemon.url + "/nothing").json()["error"]["message"]
    answer = httpx.get(daemon.url + CHAT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_statistics_tell_what_happened(daemon: Daemon) -> None:
    body = {"model": "talker", "messages": [{"role": "user", "content": "hello"}], "mode": "fast"}
    httpx.post(daemon.url + CHAT, json=body)
    stats = httpx.get(daemon.url + "/stats").json()
    assert stats["statistics"]["vendors"]["sim"]["succeeded"] >= 1
    assert stats["statistics"]["modes"]["fast"]["input_tokens"] > 0
    assert stats["vendors"]["sim"]["deployments"]["sim/talker"]["circuit"] == "closed"
    assert stats["actors"]["router"]["state"] == "alive"


def test_a_client_that_leaves_ends_the_exchange_with_the_vendor(daemon: Daemon) -> None:
    body = {"model": "drawler", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    with httpx.stream("POST", daemon.url + CHAT, json=body) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        stats = httpx.get(daemon.url + "/stats").json()
        if stats["vendors"]["slow"]["deployments"]["slow/drawler"]["in_flight"] == 0:
            break
    assert stats["statistics"]["vendors"]["slow"]["errors"]["client_gone"] >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_lets_requests_finish(own_daemon: Daemon, number: int) -> None:
    answers: list[httpx.Response] = []
    body = {"model": "drawler", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    request = threading.Thread(
        target=lambda: answers.append(httpx.post(own_daemon.url + CHAT, json=body, timeout=20))
    )
    request.start()
    while (
        httpx.get(own_daemon.url + "/stats").json()["vendors"]["slow"]["deployments"]["slow/drawler"][
            "in_flight"
        ]
        < 1
    ):
        pass
    assert own_daemon.stop(number) == 0
    request.join()
    assert answers[0].status_code == 200


def test_a_second_signal_ends_it_at_once(own_daemon: Daemon) -> None:
    body = {"model": "drawler", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    with httpx.stream("POST", own_daemon.url + CHAT, json=body, timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        own_daemon.process.send_signal(signal.SIGTERM)
        stderr = own_daemon.process.stderr
        assert stderr is not None
        assert any("draining" in line for line in iter(stderr.readline, ""))
        assert own_daemon.stop(signal.SIGTERM) == 130


@pytest.fixture
def hasty_daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with little patience when it is stopped."""
    config = tmp_path / "dispatcher.toml"
    hasty = 'drain = "1500ms"\nlame_duck = "700ms"'
    config.write_text(CONFIG.replace('drain = "5s"', hasty), encoding="utf-8")
    running = Daemon(config)
    yield running
    running.close()


@pytest.mark.slow
def test_a_stop_with_many_streams_takes_new_requests_for_a_while_and_tells_every_stream(
    hasty_daemon: Daemon,
) -> None:
    crowd = 30
    begun = threading.Barrier(crowd + 1)
    endings: list[str] = []

    def listen() -> None:
        body = {"model": "drawler", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        with httpx.stream("POST", hasty_daemon.url + CHAT, json=body, timeout=20) as answer:
            lines = answer.iter_lines()
            next(lines)
            begun.wait(20)
            endings.append([line for line in lines if line][-1])

    listeners = [threading.Thread(target=listen) for _ in range(crowd)]
    for each in listeners:
        each.start()
    begun.wait(20)
    stopped = time.monotonic()
    hasty_daemon.process.send_signal(signal.SIGTERM)
    stderr = hasty_daemon.process.stderr
    assert stderr is not None
    assert any("draining" in line for line in iter(stderr.readline, ""))
    assert httpx.get(hasty_daemon.url.replace("/v1", "/ready")).json() == {"status": "draining"}
    late = httpx.post(
        hasty_daemon.url + CHAT, json={"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
    )
    assert late.status_code == 200
    assert late.headers["connection"] == "close"
    assert hasty_daemon.process.wait(1.5 + 5) == 0
    assert 1.5 <= time.monotonic() - stopped < 1.5 + 5
    for each in listeners:
        each.join()
    assert len(endings) == crowd
    assert all('"code":"server_draining"' in ending for ending in endings)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_nobody_uses_stops_at_once(own_daemon: Daemon, number: int) -> None:
    begun = time.monotonic()
    assert own_daemon.stop(number) == 0
    assert time.monotonic() - begun < 4


def test_ctrl_c_does_not_wait_for_idle_connections(own_daemon: Daemon) -> None:
    with httpx.Client() as client:
        assert client.get(own_daemon.url + "/models").status_code == 200
        begun = time.monotonic()
        assert own_daemon.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 4


def test_the_statistics_tell_of_the_front_door(daemon: Daemon) -> None:
    stats = httpx.get(daemon.url + "/stats").json()
    assert stats["server"]["connections"] >= 1
    assert set(stats["admission"]["shed"]) == {"critical_plus", "critical", "sheddable_plus", "sheddable"}


SICK = """
from llm_dispatcher.actors.policies import POLICIES

def sick(candidates, view):
    if (view.route.user or "").startswith("poison"):
        raise RuntimeError("this policy is sick")
    return list(candidates)

POLICIES["sick"] = sick
from llm_dispatcher.runtime.cli import main
main()
"""
"""A daemon whose router crashes over some requests."""


@pytest.fixture
def sick_daemon(tmp_path: Path) -> Iterator[Daemon]:
    config = tmp_path / "dispatcher.toml"
    settings = 'policy = "sick"\nsupervision = { most_restarts = 1 }\n' + CONFIG
    config.write_text(settings.replace('drain = "5s"', 'drain = "30s"'), encoding="utf-8")
    running = Daemon(config, command=[sys.executable, "-c", SICK])
    yield running
    running.close()


@pytest.mark.slow
def test_a_house_that_cannot_go_on_ends_what_is_under_way_and_exits_with_1(sick_daemon: Daemon) -> None:
    body = {"model": "drawler", "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}
    with httpx.stream("POST", sick_daemon.url + CHAT, json={**body, "stream": True}, timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        for number in range(2):
            poison = {**body, "model": "shared", "user": f"poison {number}"}
            assert httpx.post(sick_daemon.url + CHAT, json=poison, timeout=30).status_code == 500
        told = [line for line in lines if line]
    # The stream that was under way has its proper end.
    assert told[-1] == "data: [DONE]"
    assert sick_daemon.process.wait(20) == 1
    assert sick_daemon.process.stderr is not None
    log = [json.loads(line) for line in sick_daemon.process.stderr]
    (reason,) = [line for line in log if line["event"] == "the house cannot go on"]
    assert "router crashed 2 times" in reason["reason"]
    assert "this policy is sick" in reason["reason"]
    assert "remedy" in reason
    assert log[-1]["event"] == "stopped"


@pytest.mark.slow
def test_what_the_daemon_is_made_of_is_nothing_that_the_garbage_collector_looks_through(
    tmp_path: Path,
) -> None:
    config = tmp_path / "dispatcher.toml"
    config.write_text(CONFIG, encoding="utf-8")
    running = Daemon(config, "--workers", "1", command=[sys.executable, "-c", COUNTING])
    try:
        body = {"model": "talker", "messages": [{"role": "user", "content": "hello"}]}
        assert httpx.post(running.url + CHAT, json=body).status_code == 200
    finally:
        assert running.stop(signal.SIGINT) == 0
    visited, spared = map(int, (tmp_path / "counts").read_text("ascii").split())
    assert spared > 5 * visited


def test_a_bad_configuration_is_refused_with_file_key_and_remedy(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(CONFIG.replace("max_body", "max_bdy"), encoding="utf-8")
    done = subprocess.run(
        [*COMMAND, "serve", "--config", str(config)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2
    assert "bad.toml" in done.stderr
    assert "server.max_bdy" in done.stderr
    assert "max_body" in done.stderr.replace("server.max_bdy", "")


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    config = tmp_path / "dispatcher.toml"
    config.write_text(CONFIG, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*COMMAND, "serve", "--config", str(config), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "--port" in done.stderr
