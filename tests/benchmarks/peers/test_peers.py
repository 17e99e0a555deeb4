"""The comparison's own parts, without installing anybody: configurations, processes, verdicts, the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from llm_dispatcher.benchmarks.load.processes import tree, used
from llm_dispatcher.benchmarks.load.scripted import scripted_vendors
from llm_dispatcher.benchmarks.peers.__main__ import main
from llm_dispatcher.benchmarks.peers.direct import Direct
from llm_dispatcher.benchmarks.peers.litellm import LiteLLM
from llm_dispatcher.benchmarks.peers.measure import Faults, Figures, Sitting, measure
from llm_dispatcher.benchmarks.peers.nginx import Nginx
from llm_dispatcher.benchmarks.peers.ours import Ours
from llm_dispatcher.benchmarks.peers.peer import Command, Peer, Unavailable, install, serving
from llm_dispatcher.benchmarks.peers.portkey import Portkey
from llm_dispatcher.benchmarks.peers.roster import PEERS
from llm_dispatcher.benchmarks.peers.table import markdown
from llm_dispatcher.runtime.config import load

VENDORS = ["http://127.0.0.1:7001/v1", "http://127.0.0.1:7002/v1"]


def started(peer: Peer, work: Path) -> Command:
    command = peer.command(work / "installed", work, 7000, VENDORS)
    assert command is not None
    return command


# --- how each is set up -------------------------------------------------------------------------


def test_ours_is_a_configuration_that_the_dispatcher_takes(tmp_path: Path) -> None:
    started(Ours(), tmp_path)
    serving = load(str(tmp_path / "dispatcher.json")).serving
    assert [vendor.base_url for vendor in serving.vendors] == VENDORS


def test_nginx_prefers_the_first_vendor(tmp_path: Path) -> None:
    started(Nginx(), tmp_path)
    text = (tmp_path / "nginx.conf").read_text()
    assert "server 127.0.0.1:7001 max_fails=0;" in text
    assert "server 127.0.0.1:7002 max_fails=0 backup;" in text
    assert "listen 127.0.0.1:7000 " in text
    assert text.count("{") == text.count("}")


def test_litellm_gets_both_vendors_in_order_and_its_clients_the_key(tmp_path: Path) -> None:
    peer = LiteLLM()
    started(peer, tmp_path)
    config = json.loads((tmp_path / "litellm.yaml").read_text())
    assert [each["litellm_params"]["api_base"] for each in config["model_list"]] == VENDORS
    assert peer.address(7000, VENDORS).key == config["general_settings"]["master_key"]


def test_portkey_is_told_the_vendors_with_every_request() -> None:
    config = json.loads(Portkey().address(7000, VENDORS).headers["x-portkey-config"])
    assert [each["custom_host"] for each in config["targets"]] == [*VENDORS, VENDORS[0]]


def test_each_peer_has_its_own_name_and_says_how_it_copes() -> None:
    assert list(PEERS) == ["direct", "nginx", "llm-dispatcher", "portkey", "litellm"]
    assert all(make().resilience for make in PEERS.values())


# --- what cannot be had -------------------------------------------------------------------------


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="no such package"):
        install([sys.executable, "-c", "print('no such package'); raise SystemExit(1)"], tmp_path / "new")
    monkeypatch.setenv("PATH", "")
    for peer in (Nginx(), Portkey()):
        with pytest.raises(Unavailable, match="is not installed on this machine"):
            peer.install(tmp_path / "absent")


class Broken(Direct):
    name = "broken"

    def command(self, folder: Path, work: Path, port: int, vendors: object) -> Command | None:
        return Command([sys.executable, "-c", "print('no licence'); raise SystemExit(3)"])


@pytest.mark.slow
async def test_a_peer_that_does_not_start_is_left_out_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no licence"):
        async with serving(Broken(), tmp_path, tmp_path, VENDORS):
            pass


# --- processes ----------------------------------------------------------------------------------

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "sum(range(10**6)); print(1, flush=True); input()"], stdin=0)
child.wait()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc elsewhere")
def test_descendants_are_found_and_counted() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "1\n"
        found = tree(parent.pid)
        spent = used(parent.pid)
        parent.stdin.close()
    assert len(found) == 2
    assert spent.cpu > 0
    # Two interpreters.
    assert spent.rss > 8 * 2**20
    assert used(parent.pid).rss == 0
    assert os.getpid() in tree(os.getpid())


# --- what is measured ---------------------------------------------------------------------------


@pytest.mark.slow
async def test_without_a_gateway_the_vendors_faults_are_all_seen(tmp_path: Path) -> None:
    sitting = Sitting(seconds=0.03, rate=40.0, rounds=1, gap=0.0, fault_requests=50)
    async with scripted_vendors(["instant"]) as vendors:
        seen = await measure(Direct(), "", tmp_path, tmp_path, vendors, sitting)
    assert seen.cpu_per_request is None
    assert seen.p50 is not None
    plain, streams = seen.one_fails, seen.cutting
    assert (plain.requests, plain.attempts) == (50, 50)
    assert plain.whole + plain.told == 50
    assert 5 <= plain.told <= 25
    # A client that looks takes none of them for whole.
    assert (streams.requests, streams.false) == (50, 0)
    assert streams.whole + streams.told + streams.silent == 50
    assert min(streams.whole, streams.told, streams.silent) > 0


def test_the_table_shows_what_is_added_and_who_is_missing() -> None:
    faults = Faults(requests=100, whole=70, told=20, silent=7, false=3, attempts=130)
    figures = [
        Figures(
            name=name,
            version="1",
            resilience="some",
            cpu_per_request=cpu,
            cpu_per_chunk=None if cpu is None else 1.25e-5,
            answered=100.0,
            p50=p50,
            p99=2 * p50,
            direct_p50=0.001,
            direct_p99=0.002,
            rss_idle=None if cpu is None else 2**20,
            rss=None if cpu is None else 3 * 2**20,
            one_fails=faults,
            both_fail=faults,
            cutting=faults,
            generator=0.1,
        )
        for name, cpu, p50 in (("direct", None, 0.001), ("gate", 0.0005, 0.003))
    ]
    text = markdown(figures, {"other": "it has no licence"})
    assert "| CPU µs a request | - | 500 |" in text
    assert "| requests a second and core, by that | - | 2,000 |" in text
    assert "| CPU µs a streamed chunk | - | 12.5 |" in text
    assert "| so added p50 / p99, ms | 0.0 / 0.0 | 2.0 / 4.0 |" in text
    assert "| ... shown as whole | 3 of 100 | 3 of 100 |" in text
    assert "other is left out: it has no licence" in text


def test_a_peer_that_nobody_knows_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", "--cache", "somewhere", "--only", "nginx, nobody"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no 'nobody'; there are direct, nginx" in capsys.readouterr().err
