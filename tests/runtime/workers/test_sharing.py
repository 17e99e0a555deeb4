"""What several workers do together is what one would do: limits, money, places, cooldowns, orders, the statistics."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from llm_dispatcher.actors.machines.budget import LIFE
from llm_dispatcher.benchmarks.vendor import Delays, Limit, Script, Step
from llm_dispatcher.runtime.orders import OrderRefused

from .crew import Crew, crew

QUICK = Step(tokens=5, delay=Delays(first_event=0.2, between=0.0))
RATE, BURST = 10.0, 20.0
"""Requests a second, and at once."""
LIMITS = {"requests_per_minute": int(RATE * 60), "burst": BURST / (RATE * 60)}


def strict(window: float = 2.0) -> Script:
    """A vendor that refuses what one bucket would not have let through. It does not say what its limit is."""
    most = math.ceil(BURST + RATE * window)
    return Script(default=QUICK, limits=[Limit(what="requests", most=most, per=window, scope="vendor")])


async def both(here: Crew, rate: float, seconds: float, **more: Any) -> None:
    async with trio.open_nursery() as nursery:
        for worker in here.workers:
            nursery.start_soon(lambda each=worker: each.load(rate, seconds, **more))  # type: ignore[misc]


def sent(here: Crew, since: float = 0.0, vendor: str = "a") -> int:
    return sum([each.at >= since for each in here.vendors[vendor].history])


@pytest.mark.slow
async def test_two_workers_together_send_as_much_as_the_limit_allows_and_no_more(autojump_clock: Any) -> None:
    async with crew({"a": strict()}, {"a": {"limits": LIMITS}}) as here:
        begun = trio.current_time()
        with trio.move_on_after(6):
            await both(here, 15, 6)
        reached = sent(here)
        passed = trio.current_time() - begun
        assert here.vendors["a"].limiter.violated == 0
        assert BURST + RATE * passed - 5 <= reached <= BURST + RATE * passed


@pytest.mark.slow
async def test_a_worker_that_gets_all_the_requests_has_the_whole_limit(autojump_clock: Any) -> None:
    async with crew({"a": strict()}, {"a": {"limits": LIMITS}}) as here:
        with trio.move_on_after(5):
            await here.workers[1].load(20, 5)
        assert here.vendors["a"].limiter.violated == 0
        assert sent(here) >= BURST + RATE * 5 - 5


@pytest.mark.slow
async def test_while_the_keeper_stands_still_the_limit_holds_and_each_worker_goes_on_with_its_share(
    autojump_clock: Any,
) -> None:
    async with crew({"a": strict()}, {"a": {"limits": LIMITS}}) as here:
        await both(here, 5, 2)
        here.stall()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both, here, 7, 20)
            await trio.sleep(5)
            silent_since = trio.current_time()
            await trio.sleep(5)
            assert 0.6 * RATE * 5 <= sent(here, silent_since) <= RATE * 5 + 2
            here.going.set()
            await trio.sleep(2)
            again_since = trio.current_time()
            await trio.sleep(3)
            assert sent(here, again_since) >= 0.8 * RATE * 3
            nursery.cancel_scope.cancel()
        assert here.vendors["a"].limiter.violated == 0


@pytest.mark.slow
async def test_a_worker_that_is_killed_loosens_no_limit_and_the_others_have_all_of_it(
    autojump_clock: Any,
) -> None:
    async with crew({"a": strict()}, {"a": {"limits": LIMITS}}) as here:
        async with trio.open_nursery() as nursery:
            for worker in here.workers:
                nursery.start_soon(worker.load, 10, 20)
            for _ in range(3):
                await trio.sleep(1)
                here.workers[0].kill()
                await trio.sleep(0.1)
                here.workers[0] = await here.hire(1)
                here.workers.pop()
                nursery.start_soon(here.workers[0].load, 10, 20)
            since = trio.current_time()
            await trio.sleep(3)
            assert sent(here, since) >= 0.8 * RATE * 3
            nursery.cancel_scope.cancel()
        assert here.vendors["a"].limiter.violated == 0


@pytest.mark.slow
async def test_places_are_shared(autojump_clock: Any) -> None:
    slow = Step(tokens=5, delay=Delays(first_event=1.0, between=0.0))
    script = Script(default=slow, limits=[Limit(what="concurrency", most=5, scope="vendor")])
    limits = {"concurrent": 5, "adaptive": False}
    async with crew({"a": script}, {"a": {"limits": limits}}) as here:
        with trio.move_on_after(8):
            await both(here, 6, 8)
        assert here.vendors["a"].limiter.violated == 0
        assert here.vendors["a"].limiter.peaks == [5]
        assert sent(here) >= 0.8 * 5 * 8
        assert min([worker.served for worker in here.workers]) >= 0.25 * sent(here)


@pytest.mark.slow
async def test_a_limit_that_nobody_configured_and_the_vendor_names_is_shared(autojump_clock: Any) -> None:
    script = Script(default=QUICK, limits=[Limit(what="requests", most=120, per=60.0, scope="vendor")])
    async with crew({"a": script}, {"a": {"dialect": "openai"}}) as here:
        for worker in here.workers:
            await worker.call()
        with trio.move_on_after(15):
            await both(here, 3, 15)
        assert here.vendors["a"].limiter.violated == 0
        assert 12 + 2 * 11 <= sent(here) <= 12 + 2 * 17


@pytest.mark.slow
async def test_dollars_are_shared(autojump_clock: Any) -> None:
    table = {
        "limits": {"dollars_per_hour": "0.01"},
        "model": {"price": {"input": "10", "output": "100"}, "max_output": 10},
    }
    async with crew({"a": Script(default=QUICK)}, {"a": table}) as here:
        with trio.move_on_after(60):
            await both(here, 2, 60, max_tokens=10)
        spent = sum([worker.dispatcher.statistics().totals.cost for worker in here.workers])
        assert 0.008 <= float(spent) <= 0.01 * (1 + 61 / 3600)


async def test_one_request_may_take_what_is_left_of_a_limit_although_it_lies_with_another_worker(
    autojump_clock: Any,
) -> None:
    table = {"limits": {"tokens_per_minute": 1000}}
    async with crew({"a": Script(default=QUICK)}, {"a": table}) as here:
        first, second = here.workers
        await first.call(max_tokens=300)
        begun = trio.current_time()
        await second.call(max_tokens=600)
        assert second.served == 1
        assert trio.current_time() - begun < 20


async def test_a_request_does_not_go_elsewhere_only_because_another_worker_has_what_it_needs(
    autojump_clock: Any,
) -> None:
    scripts = {"a": strict(), "b": Script(default=QUICK)}
    async with crew(scripts, {"a": {"limits": LIMITS}}) as here:
        for _ in range(10):
            for worker in here.workers:
                await worker.call()
            await trio.sleep(3)
        assert (sent(here, vendor="a"), sent(here, vendor="b")) == (20, 0)


async def test_a_cooldown_that_one_worker_meets_holds_for_all(autojump_clock: Any) -> None:
    refused = Step(error="rate_limited", retry_after=30, delay=Delays(first_event=0.05))
    async with crew({"a": Script(steps=[refused], default=QUICK)}, retry={"attempts": 1}) as here:
        first, second = here.workers
        await first.call()
        begun = trio.current_time()
        await trio.sleep(0.1)
        await second.call()
        assert second.served == 1
        times = [each.at for each in here.vendors["a"].history]
        assert times[1] - times[0] >= 30
        assert begun < times[1]


async def test_a_worker_to_come_knows_what_is_closed(autojump_clock: Any) -> None:
    refused = Step(error="rate_limited", retry_after=30, delay=Delays(first_event=0.05))
    async with crew({"a": Script(steps=[refused], default=QUICK)}, retry={"attempts": 1}) as here:
        await here.workers[0].call()
        await trio.sleep(0.1)
        here.workers[0].kill()
        await trio.sleep(0.1)
        anew = await here.hire(1)
        await anew.call()
        times = [each.at for each in here.vendors["a"].history]
        assert times[1] - times[0] >= 29


async def test_an_order_to_one_worker_is_carried_out_by_all_and_by_those_to_come(autojump_clock: Any) -> None:
    async with crew({"a": Script(default=QUICK), "b": Script(default=QUICK)}) as here:
        told = await here.workers[0].order("a", "isolate")
        assert told["deployments"]["a/m"]["circuit"] == "isolated"
        for worker in here.workers:
            await worker.call()
        here.workers[1].kill()
        await trio.sleep(0.1)
        await (await here.hire(2)).call()
        assert (sent(here, vendor="a"), sent(here, vendor="b")) == (0, 3)


async def test_an_order_that_not_all_have_carried_out_is_no_success(autojump_clock: Any) -> None:
    async with crew({"a": Script(default=QUICK)}) as here:
        here.stall()
        with pytest.raises(OrderRefused, match="worker 2 has not said so"):
            await here.workers[0].order("a", "isolate")


async def test_statistics_are_those_of_all_workers_and_of_those_that_are_no_more(autojump_clock: Any) -> None:
    async with crew({"a": Script(default=QUICK)}) as here:
        for worker in here.workers:
            await worker.call()
            await worker.call()
        told = await here.workers[0].stats()
        assert told["statistics"].requests == 4
        assert told["statistics"].totals.output_tokens == 20
        assert told["workers"] == {"configured": 2, "answered": [1, 2], "missing": [], "partial": False}
        await trio.sleep(2)
        here.workers[1].kill()
        await trio.sleep(0.1)
        told = await here.workers[0].stats()
        assert told["statistics"].requests == 4
        assert told["workers"]["missing"] == [2]
        assert told["workers"]["partial"]


async def test_statistics_of_a_worker_that_does_not_answer_are_said_to_be_missing_and_older_ones_count(
    autojump_clock: Any,
) -> None:
    async with crew({"a": Script(default=QUICK)}) as here:
        first, second = here.workers
        await second.call()
        await trio.sleep(2)
        here.keeper.lines[2].channel._stream = Deaf()
        told = await first.stats()
        assert told["workers"]["missing"] == [2]
        assert told["statistics"].requests == 1


class Deaf(trio.abc.Stream):
    """Takes everything and hands on nothing."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_retries_that_are_granted_whatever_happens_are_granted_once_and_not_to_every_worker(
    autojump_clock: Any,
) -> None:
    async with crew({"a": Script(default=QUICK)}) as here:
        told = await here.workers[0].stats()
        alone = here.workers[0].dispatcher.budgets().retries
        assert told["budgets"]["retries"] == pytest.approx(2 * alone)
        assert told["budgets"]["retries"] == pytest.approx(1.0 * LIFE)
