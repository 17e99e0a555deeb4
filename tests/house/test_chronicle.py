"""Circuits and quarantines that an operator reads of in the log, each once, and finds counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, errors
from structlog.typing import EventDict
from trio.testing import MockClock

from tests.fakes.scripted import ScriptedTransport, answer, config, status

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=30)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def opened(a: ScriptedTransport, **more: Any) -> Dispatcher:
    settings = {"retry": {"attempts": 1}, "breaker": {"consecutive_failures": 3, "open_time": "5s"}, **more}
    return Dispatcher.open(config("a", **settings), transports={"a": a})


async def fail(house: Dispatcher, times: int) -> None:
    for _ in range(times):
        with pytest.raises(errors.DispatchError):
            await house.send(HELLO)


async def test_a_circuit_that_opens_and_closes_is_told_step_by_step(
    autojump_clock: MockClock, lines: list[EventDict]
) -> None:
    a = ScriptedTransport(*[status(500)] * 3, answer())
    async with opened(a) as house:
        await fail(house, 3)
        await trio.sleep(10)
        for _ in range(3):
            await house.send(HELLO)
        await trio.sleep(2)
        told = [line for line in lines if line["event"] == "circuit"]
        assert [(line["who"], line["before"], line["after"], line["cause"]) for line in told] == [
            ("a/m", "closed", "open", "consecutive"),
            ("a/m", "open", "half_open", "cooled"),
            ("a/m", "half_open", "closed", "probed"),
        ]
        assert told[0]["consecutive"] == told[0]["failures"] == 3
        assert 4 <= told[0]["open_for"] <= 6
        assert [line["log_level"] for line in told] == ["warning", "info", "info"]
        assert all(line["seconds_ago"] <= 1 for line in told)
        await trio.sleep(30)
        assert len([line for line in lines if line["event"] == "circuit"]) == 3
        assert house.transitions() == {
            "a/m": {
                "closed -> open: consecutive": 1,
                "open -> half_open: cooled": 1,
                "half_open -> closed: probed": 1,
            }
        }


async def test_an_operators_order_is_told(autojump_clock: MockClock, lines: list[EventDict]) -> None:
    async with opened(ScriptedTransport(answer())) as house:
        await house.order("a", "isolate")
    (order,) = [line for line in lines if line["event"] == "order"]
    assert (order["target"], order["order"]) == ("a", "isolate")
    # Also what happened in the last second before the end.
    (circuit,) = [line for line in lines if line["event"] == "circuit"]
    assert (circuit["after"], circuit["cause"]) == ("isolated", "isolate")


async def test_a_refused_key_is_told_when_it_is_set_aside_and_when_it_is_back(
    autojump_clock: MockClock, lines: list[EventDict]
) -> None:
    async with opened(ScriptedTransport(status(401), answer())) as house:
        await fail(house, 1)
        await trio.sleep(3)
        (closed,) = [line for line in lines if line["event"] == "closed"]
        assert (closed["who"], closed["cause"]) == ("a (key-1)", "quarantined")
        assert closed["seconds"] > 60
        await house.order("a", "lift")
        await trio.sleep(3)
        (back,) = [line for line in lines if line["event"] == "open again"]
        assert (back["who"], back["early"]) == ("a (key-1)", True)


async def test_a_passing_cooldown_is_not_worth_a_line(
    autojump_clock: MockClock, lines: list[EventDict]
) -> None:
    async with opened(ScriptedTransport(status(429, headers={"retry-after": "20"}), answer())) as house:
        await fail(house, 1)
        await trio.sleep(30)
    assert [line["event"] for line in lines if line["event"] in ("closed", "circuit")] == []
