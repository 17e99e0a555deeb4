"""The readings: a hiccup is no overload, lasting lateness is one, and what is not known does not count."""

from __future__ import annotations

import time

import pytest
import trio
from llm_dispatcher.actors.machines.overload import Overload
from llm_dispatcher.runtime.overload import TICKS, LoadMonitor, LoopLag, Signal, memory_signal
from trio.testing import MockClock


def run(lag: LoopLag, start: float, lateness: list[float]) -> list[float]:
    """Let ticks come late by `lateness`, one for each second; what the lag is after each second."""
    found = []
    for second, late in enumerate(lateness):
        while lag.due <= start + second + 1 + 1e-9:
            lag.tick(lag.due + late)
        found.append(round(lag.seconds(), 3))
    return found


def test_lateness_counts_when_three_seconds_have_seen_it_and_is_forgotten_after_one() -> None:
    lag = LoopLag(0.0)
    assert run(lag, 0.0, [0.02, 0.02, 0.02, 0.01, 0.02, 0.0]) == [0.0, 0.0, 0.02, 0.01, 0.01, 0.0]


def test_a_hiccup_is_no_overload() -> None:
    lag = LoopLag(0.0)
    now, worst = 0.0, 0.0
    for number in range(10 * TICKS):
        now = lag.due + (0.9 if number == 100 else 0.001)
        lag.tick(now)
        worst = max(worst, lag.seconds())
    assert worst < 0.01


def test_a_loop_that_comes_round_once_a_second_is_a_second_late() -> None:
    lag = LoopLag(0.0)
    for second in range(1, 6):
        lag.tick(float(second))
    assert lag.seconds() == pytest.approx(1.0, abs=0.06)


def test_a_suspended_machine_costs_no_time_to_catch_up() -> None:
    lag = LoopLag(0.0)
    begun = time.process_time()
    lag.tick(1e7)
    assert time.process_time() - begun < 0.1
    assert 1e7 < lag.due <= 1e7 + 1


async def test_the_monitor_sheds_when_memory_runs_short_and_tells_the_server(
    autojump_clock: MockClock,
) -> None:
    readings = [10.0, 96.0, 96.0, 10.0, 10.0, 10.0, 10.0]
    changes: list[tuple[float, int]] = []
    overload = Overload()
    monitor = LoadMonitor(
        overload,
        [Signal("memory", lambda: readings.pop(0), 100.0), Signal("unknown", lambda: None, 1.0)],
        lag_limit=0.25,
        on_change=lambda stage: changes.append((round(trio.current_time()), stage)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(monitor.run)
        await trio.sleep(7.5)
        nursery.cancel_scope.cancel()
    assert [stage for _, stage in changes] == [3, 0]
    assert changes[1][0] - changes[0][0] == 4, "two bad seconds, and two calm ones"
    assert set(overload.statistics().pressures) == {"loop_lag", "memory"}


def test_memory_is_measured_against_the_configured_limit() -> None:
    signal = memory_signal(1000)
    assert signal is not None
    assert signal.limit == 1000
