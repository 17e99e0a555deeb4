"""How many workers there are, where they listen, what ends them, and how what they say becomes one view."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from llm_dispatcher.runtime.cli.status_view import status_view
from llm_dispatcher.runtime.config import Loaded, load_mapping
from llm_dispatcher.runtime.process import _group_quotas, usable_cores
from llm_dispatcher.runtime.wire.listening import Address
from llm_dispatcher.runtime.workers import count
from llm_dispatcher.runtime.workers.channel import Channel
from llm_dispatcher.runtime.workers.count import worker_count
from llm_dispatcher.runtime.workers.link import Link
from llm_dispatcher.runtime.workers.protocol import FromWorker, Stop, ToWorker, Welcome
from llm_dispatcher.runtime.workers.sockets import Place, listening_together
from llm_dispatcher.runtime.workers.view import merged
from rich.console import Console

# --- how many -----------------------------------------------------------------------------------

REAL = {"name": "v", "base_url": "http://v.test/v1", "api_key": "k", "models": [{"name": "m"}]}
SIMULATED = {"name": "s", "simulate": {}, "models": [{"name": "m"}]}


def loaded(*vendors: dict[str, Any], workers: int = 0) -> Loaded:
    config = load_mapping({"server": {"workers": workers}, "vendors": list(vendors)})
    return Loaded(config=config, file=Path("x.toml"), missing={})


def test_there_is_one_worker_for_each_core_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(count, "usable_cores", lambda: 6)
    assert worker_count(loaded(REAL)) == 6
    assert worker_count(loaded(REAL, workers=3)) == 3
    assert worker_count(loaded(REAL, workers=3), 2) == 2
    assert worker_count(loaded(REAL, workers=3), 0) == 6


def test_simulated_vendors_alone_are_served_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "usable_cores", lambda: 6)
    assert worker_count(loaded(SIMULATED)) == 1
    assert worker_count(loaded(SIMULATED, REAL)) == 6
    assert worker_count(loaded(SIMULATED), 2) == 2


def test_a_container_that_may_use_two_cores_has_two_whatever_the_machine_has(tmp_path: Path) -> None:
    inner = tmp_path / "pod" / "container"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("200000 100000\n")
    (tmp_path / "pod" / "cpu.max").write_text("max 100000\n")
    assert _group_quotas("0::/pod/container\n", tmp_path) == [2.0]
    old = tmp_path / "cpu" / "docker"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("150000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert _group_quotas("3:cpu,cpuacct:/docker\n5:memory:/x\n", tmp_path) == [1.5]
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


# --- where they listen --------------------------------------------------------------------------


def ports(places: list[Place]) -> set[int]:
    return {each.socket.getsockname()[1] for place in places for each in place.listeners}


async def test_all_workers_listen_at_one_port_which_is_free_and_known_before_they_start() -> None:
    async with listening_together(Address(), 3) as places:
        assert len(ports(places)) == 1
        assert len({each for place in places for each in place.descriptors}) == 3
        async with await trio.open_tcp_stream("127.0.0.1", *ports(places)):
            pass


async def test_a_port_that_others_listen_at_is_refused_even_if_they_would_share_it() -> None:
    async with listening_together(Address(), 2) as places:
        (port,) = ports(places)
        with pytest.raises(OSError, match="in use"):
            async with listening_together(Address(port=port), 2):
                pass
        async with listening_together(Address(port=port, reuse_port=True), 2) as others:
            assert ports(others) == {port}


async def test_a_worker_whose_socket_was_closed_gets_another_at_the_same_place() -> None:
    async with listening_together(Address(), 2) as places:
        before = ports(places)
        places[0].close()
        assert places[0].descriptors == []
        await places[0].reopen()
        assert len(places[0].descriptors) == 1
        assert ports(places) == before


async def test_at_a_unix_socket_all_workers_accept_from_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/d.sock"
        async with listening_together(Address(unix=path), 2) as places:
            assert places[0].descriptors == places[1].descriptors
            assert not places[0].own
            async with await trio.open_unix_socket(path):
                pass
        assert not await trio.Path(path).exists()


# --- what ends them -----------------------------------------------------------------------------


async def numbers(*told: int) -> AsyncIterator[int]:
    for each in told:
        await trio.sleep(1)
        yield each


@pytest.mark.parametrize(
    ("directly", "by_the_parent", "heard"),
    [
        ([signal.SIGTERM], [signal.SIGTERM], [signal.SIGTERM]),
        ([], [signal.SIGINT], [signal.SIGINT]),
        ([signal.SIGTERM], [], [signal.SIGTERM]),
        ([signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGTERM] * 2),
        ([signal.SIGTERM] * 2, [signal.SIGTERM] * 2, [signal.SIGTERM] * 2),
    ],
)
async def test_a_signal_that_reaches_a_worker_both_ways_is_no_second_one(
    directly: list[int], by_the_parent: list[int], heard: list[int], autojump_clock: Any
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = Link(Channel[ToWorker](theirs, ToWorker), Welcome(1, 2, b"", "info", False))
    parent = Channel[FromWorker](ours, FromWorker)
    found: list[int] = []
    async with trio.open_nursery() as nursery:
        merged_signals = await nursery.start(link.signals, numbers(*directly))
        dispatcher: Any = None
        closures: Any = None
        portrait: Any = None
        nursery.start_soon(link._read, dispatcher, closures, portrait, nursery)
        for number in by_the_parent:
            await parent.send(Stop(number))
        with trio.move_on_after(10):
            while True:
                found.append(await anext(merged_signals))
        nursery.cancel_scope.cancel()
    assert found == heard


# --- one view -----------------------------------------------------------------------------------


def standing(circuit: str, **more: Any) -> dict[str, Any]:
    deployment = {
        "circuit": circuit, "in_flight": 2, "closed_for": 0.0, "weight": 1.0, "closed_because": None, "last_transition": None,
        **more,
    }  # fmt: skip
    return {
        "vendors": {"v": {"vendor": "v", "deployments": {"v/m": deployment}, "endpoint": "closed"}},
        "network": {"down": False, "down_for": None, "retry_in": None, "outages": 1},
        "admission": {"stage": 0, "pressures": {"memory": 0.25}, "shed": {"critical": 1}},
    }


def test_counts_are_added_up_and_the_worst_state_is_shown_with_its_reason() -> None:
    sick = standing(
        "open", closed_for=7.0, weight=0.0, last_transition="closed -> open: consecutive failures"
    )
    sick["network"] = {"down": True, "down_for": 3.0, "retry_in": 1.0, "outages": 2}
    sick["admission"] = {"stage": 2, "pressures": {"memory": 0.9, "loop_lag": 0.1}, "shed": {"critical": 4}}
    whole = merged([standing("closed", last_transition="open -> closed: probes"), sick])
    deployment = whole["vendors"]["v"]["deployments"]["v/m"]
    assert deployment["circuit"] == "open"
    assert deployment["last_transition"] == "closed -> open: consecutive failures"
    assert (deployment["in_flight"], deployment["closed_for"], deployment["weight"]) == (4, 7.0, 0.5)
    assert whole["network"] == {"down": True, "down_for": 3.0, "retry_in": 1.0, "outages": 3}
    assert whole["admission"] == {
        "stage": 2,
        "pressures": {"memory": 0.9, "loop_lag": 0.1},
        "shed": {"critical": 5},
    }


@pytest.mark.parametrize(
    ("missing", "words"), [([], "Workers:  2\n"), ([2], "of which 2 did not answer: this is not all")]
)
def test_the_view_for_people_says_whether_it_is_of_all_workers(missing: list[int], words: str) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(status_view({"vendors": {}, "workers": {"configured": 2, "missing": missing}}))
    assert words in console.export_text()
