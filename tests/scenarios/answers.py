"""Answers that are refusals, that come over a dead connection, or that are none."""

from __future__ import annotations

from typing import Any

from llm_dispatcher.benchmarks.vendor import Script, Step, When

from .measure import Figures, memory_watched
from .outages import HEALTHY, WELL, asked, success
from .world import hello, world

__all__ = ["callers_mistake", "connection_closed_between", "empty_answer", "too_long_for_one", "unreadable"]


async def callers_mistake(status: int) -> Figures:
    """Row 11. The request itself is wrong."""
    figures = Figures()
    body = {"error": {"message": "no such parameter", "type": "invalid_request_error", "param": "top_q"}}
    async with world({"a": Script(default=Step(status=status, json=body)), "b": HEALTHY}) as here:
        calls = [await here.call(streamed=bool(number % 2)) for number in range(10)]
        told = [call.error for call in calls if call.error is not None]
        figures.exactly("attempts a request", here.attempts("a") / 10 + here.attempts("b"), 1)
        passed_on = [
            each.status == status and each.param == "top_q" and "no such" in each.message for each in told
        ]
        figures.exactly("passed on", sum(passed_on), 10)
        figures.exactly("circuit changes", len(here.breaker("a").history), 0)
    return figures


async def too_long_for_one() -> Figures:
    """Row 12. The request is too long for A, and B's window is larger; then there is only A."""
    figures = Figures()
    too_long = Script(default=Step(error="context_length"))
    tables = {
        "a": {"model": {"context": 8000}},
        "b": {"model": {"context": 8000}},
        "c": {"model": {"context": 100_000}},
    }
    async with world({"a": too_long, "b": HEALTHY, "c": HEALTHY}, tables) as here:
        call = await here.call()
        figures.exactly("hops", len(call.attempts) - 1, 1)
        figures.exactly("answered by the larger one", asked(call, "c") == 1 and call.ok, True)
    async with world({"a": too_long}) as here:
        call = await here.call()
        figures.exactly("status without a larger one", 0 if call.error is None else call.error.status, 400)
        figures.exactly("attempts without a larger one", here.attempts("a"), 1)
    return figures


async def connection_closed_between(*, keep_alive: float | None) -> Figures:
    """Row 17. The vendor closes connections that it had promised to keep: after an answer, or after some idle time.

    There is no retry to be had.
    """
    figures = Figures()
    script = Script(default=WELL if keep_alive else Step(then="close"), keep_alive=keep_alive)
    async with world({"a": script}, retry={"budget": 0.0, "floor": 0.0}) as here:
        calls = await here.load(0.5, 100, streamed=False)
        house = here.dispatcher._running()
        now = max(call.ended or 0.0 for call in calls)
        figures.exactly("success", success(calls), 1)
        figures.exactly("retries used", house.budget.statistics(now)[""].withdrawals, 0)
    return figures


async def unreadable(streamed: bool, **spoilt: Any) -> Figures:
    """Row 25. What A sends cannot be read."""
    figures = Figures()
    async with world({"a": Script(default=Step(**spoilt)), "b": HEALTHY}) as here:
        await here.call(streamed=streamed)
        with memory_watched() as memory:
            calls = [await here.call(streamed=streamed) for _ in range(5)]
        figures.at_most("memory at most", memory.peak, 1.0, " MiB")
        figures.at_most("memory kept", memory.kept, 0.2, " MiB")
        figures.exactly("success", success(calls), 1)
        figures.exactly("answered by B", sum([asked(call, "b") for call in calls]), 5)
        classes = {each.fault for call in calls for each in call.attempts if each.vendor == "a"}
        figures.exactly("called malformed or truncated", classes <= {"malformed", "truncated"}, True)
    return figures


async def empty_answer(streamed: bool, **empty: Any) -> Figures:
    """Row 28. A says 200, and nothing."""
    figures = Figures()
    script = Script(steps=[Step(when=When(), **empty)], default=WELL)
    async with world({"a": script, "b": HEALTHY}) as here:
        call = await here.call(hello(), streamed=streamed)
        figures.exactly("answered by B", call.ok and asked(call, "b") == 1, True)
        figures.at_most("attempts", len(call.attempts), 2)
        figures.exactly("counted as free", call.attempts[0].bill == "released", False)
    return figures
