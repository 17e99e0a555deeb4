"""A request that is cancelled, at whichever of its steps, leaves nothing behind and is told of once."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
from llm_dispatcher.runtime import DispatchError, Message, Request
from llm_dispatcher.runtime.passing.passage import Passage
from llm_dispatcher.runtime.passing.stream import Passing

from tests.fakes.control import Leasing, Plane, plane
from tests.fakes.scripted import Script, ScriptedTransport, answer, piece, status, stream
from tests.house.sweep import sweep

HELLO = Request(model="m", messages=[Message("user", "hello")], timeout=60, hedge=True)
DRAIN = {"each": {"a": {"on_disconnect": "drain"}}}


async def whole(plane: Plane) -> None:
    with suppress(DispatchError):
        await plane.send(HELLO)


async def streamed(plane: Plane) -> None:
    with suppress(DispatchError):
        async with plane.stream(HELLO) as events:
            async for _ in events:
                pass


async def passed(plane: Plane) -> None:
    passage = Passage(vendor="a", model="m", method="GET", path=b"files", body=b"{}", timeout=60)
    with suppress(DispatchError):
        async with Passing(plane.house, passage, "r") as answer:
            async for _ in answer:
                pass


def settings(name: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Script]]:
    slow = stream("a", "b", "c", gap=0.5)
    ways: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Script]]] = {
        "plain": ({}, {}, {"a": answer(after=1)}),
        "streamed": ({}, {}, {"a": slow}),
        "retried": ({}, {}, {"a": status(503), "b": Script(pieces=[piece("")], cut=True), "c": slow}),
        "retried at the same": ({}, {}, {"a": status(503)}),
        "hedged": ({"hedging": {"share": 1.0}}, {"hedge_after": 1.0}, {"a": stream("late", after=3, gap=0.5), "b": slow}),
        "hedged plain": ({"hedging": {"share": 1.0}}, {"hedge_after": 1.0}, {"a": answer(after=2), "b": answer(after=1)}),
        "drained": (DRAIN, {}, {"a": slow}),
        "drained plain": (DRAIN, {}, {"a": answer(after=1)}),
        "drained and hedged": (
            {**DRAIN, "hedging": {"share": 1.0}}, {"hedge_after": 1.0}, {"a": stream("late", after=3), "b": slow},
        ),
        "held": ({"streams": {"hold": "400ms"}}, {}, {"a": slow}),
        "held and broken": (
            {"streams": {"hold": "400ms"}}, {}, {"a": stream("a", end=False, cut=True, gap=0.1), "b": slow},
        ),
        "continued": (
            {"streams": {"midstream": "continue"}, "each": {"b": {"model": {"capabilities": ["prefill"]}}}},
            {},
            {"a": stream("a", "b", end=False, cut=True), "b": slow},
        ),
        "waiting for its turn": ({}, {"starts_in": 2.0}, {"a": answer(after=1)}),
        "never answered": ({}, {}, {"a": Script(after=1e9)}),
    }  # fmt: skip
    return ways[name]


@pytest.mark.slow
@pytest.mark.parametrize("way", [whole, streamed], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "name",
    [
        "plain", "streamed", "retried", "retried at the same", "hedged", "hedged plain", "drained", "drained plain",
        "drained and hedged", "held", "held and broken", "continued", "waiting for its turn", "never answered",
    ],
)  # fmt: skip
def test_nothing_is_left_wherever_it_is_cancelled(name: str, way: Any) -> None:
    cancelled_everywhere(name, way)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "retried", "waiting for its turn"])
def test_nothing_is_left_of_what_is_passed_on_wherever_it_is_cancelled(name: str) -> None:
    cancelled_everywhere(name, passed)


def cancelled_everywhere(name: str, way: Any) -> None:
    config, leasing, scripts = settings(name)

    def make() -> AbstractAsyncContextManager[Plane]:
        vendors = {vendor: ScriptedTransport(script) for vendor, script in scripts.items()}
        return plane(config, Leasing(**leasing), **vendors)

    assert sweep(make, way, within=60) >= 3
