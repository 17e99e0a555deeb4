"""The loops in virtual time: when requests are sent, what counts against them, and how a run ends."""

from __future__ import annotations

import math
import random

import pytest
import trio
import trio.testing
from llm_dispatcher.benchmarks.load.jobs import Job
from llm_dispatcher.benchmarks.load.loop import Bounds, Loop
from llm_dispatcher.benchmarks.load.recorder import NOT_STARTED, UNFINISHED, Recorder
from llm_dispatcher.benchmarks.load.sizes import Distribution
from llm_dispatcher.benchmarks.load.watch import Watch

from . import Fake, dollars, jobs_at, run_closed, run_open

Clock = trio.testing.MockClock


async def in_a_second(_job: Job, _watch: Watch) -> None:
    await trio.sleep(1)


async def never(_job: Job, _watch: Watch) -> None:
    await trio.sleep_forever()


# --- open ---------------------------------------------------------------------------------------


async def test_an_open_loop_sends_at_the_intended_times_whatever_the_answers_do(
    autojump_clock: Clock,
) -> None:
    sent: list[float] = []

    async def behave(_job: Job, _watch: Watch) -> None:
        sent.append(trio.current_time())
        await trio.sleep(5)

    recorder, loop = await run_open(behave, jobs_at(0, 1, 1, 2.5))
    assert sent == [0, 1, 1, 2.5]
    assert (recorder.ok, recorder.most_in_flight, loop.ending) == (4, 4, "trace")
    assert trio.current_time() == 7.5


async def test_waiting_behind_others_counts_although_each_answer_was_quick(autojump_clock: Clock) -> None:
    turn = trio.Lock()

    async def one_after_the_other(_job: Job, _watch: Watch) -> None:
        async with turn:
            await trio.sleep(0.5)

    recorder, _ = await run_open(one_after_the_other, jobs_at(*[0.1 * n for n in range(10)]))
    # The last is sent at 0.9 s and answered at 5 s.
    assert recorder.latency.longest == pytest.approx(4.1)


async def test_what_a_busy_generator_sends_late_counts_from_when_it_was_to_be_sent(
    autojump_clock: Clock,
) -> None:
    async def stands_still_first(job: Job, _watch: Watch) -> None:
        if job.number == 0:
            autojump_clock.jump(2.0)

    recorder, _ = await run_open(stands_still_first, jobs_at(0, 0.5, 1.0))
    assert recorder.lag.longest == pytest.approx(1.5)
    assert recorder.latency.quantile(0.5) == pytest.approx(1.5, rel=0.01)
    assert recorder.service.quantile(0.5) == 0.0


async def test_a_request_that_finds_too_many_under_way_is_counted_and_fails(autojump_clock: Clock) -> None:
    recorder, _ = await run_open(in_a_second, jobs_at(0, 0.1, 0.2, 0.3, 1.05), most=2)
    assert (recorder.arrived, recorder.ok, recorder.failed) == (5, 3, 2)
    assert recorder.errors[NOT_STARTED].count == 2
    assert recorder.most_in_flight == 2


async def test_a_run_ends_with_its_duration_even_if_nothing_arrives_then(autojump_clock: Clock) -> None:
    recorder, loop = await run_open(in_a_second, jobs_at(0, 9, 21), bounds=Bounds(seconds=20))
    assert (recorder.ok, loop.ending, loop.sending) == (2, "duration", 20.0)
    assert trio.current_time() == 20


async def test_a_run_ends_after_so_many_requests(autojump_clock: Clock) -> None:
    recorder, loop = await run_open(in_a_second, jobs_at(0, 1, 2, 3), bounds=Bounds(requests=3))
    assert (recorder.arrived, loop.ending, loop.sending) == (3, "requests", 2.0)


async def test_a_run_ends_when_it_has_cost_enough(autojump_clock: Clock) -> None:
    async def dear(_job: Job, watch: Watch) -> None:
        watch.cost = dollars("0.25")

    bounds = Bounds(cost=dollars("0.5"))
    recorder, loop = await run_open(dear, jobs_at(*range(100)), bounds=bounds)
    assert (recorder.cost, loop.ending) == (dollars("0.5"), "cost")


async def test_what_is_under_way_when_patience_ends_has_failed(autojump_clock: Clock) -> None:
    recorder, _ = await run_open(never, jobs_at(0, 1), drain=10, timeout=math.inf)
    assert trio.current_time() == 11
    assert recorder.errors[UNFINISHED].count == 2
    assert recorder.in_flight == 0


async def test_a_request_that_takes_too_long_has_failed_and_counts_from_its_sending(
    autojump_clock: Clock,
) -> None:
    recorder, _ = await run_open(never, jobs_at(0), timeout=3)
    assert trio.current_time() == 3
    assert recorder.errors["timeout"].example == "no whole answer within 3 s"


# --- closed -------------------------------------------------------------------------------------


async def test_users_wait_for_their_answer_before_the_next_request(autojump_clock: Clock) -> None:
    recorder, loop = await run_closed(in_a_second, 3, bounds=Bounds(seconds=10))
    assert (recorder.ok, recorder.most_in_flight, loop.ending) == (30, 3, "duration")
    assert trio.current_time() == 10


async def test_users_think_but_not_beyond_the_end(autojump_clock: Clock) -> None:
    recorder, _ = await run_closed(
        in_a_second, 1, bounds=Bounds(seconds=10), think=Distribution("fixed", 6.0)
    )
    assert recorder.ok == 2
    assert trio.current_time() == 10


async def test_users_who_think_are_not_waited_for_once_there_were_enough_requests(
    autojump_clock: Clock,
) -> None:
    recorder, loop = await run_closed(
        in_a_second, 2, bounds=Bounds(requests=3), think=Distribution("uniform", 1.0, 100.0)
    )
    assert (recorder.ok, loop.ending) == (3, "requests")
    assert loop.over


async def test_users_who_never_get_an_answer_are_given_up(autojump_clock: Clock) -> None:
    recorder, loop = await run_closed(never, 2, bounds=Bounds(seconds=5), drain=4)
    assert trio.current_time() == 9
    assert (loop.ending, loop.sending) == ("duration", 5)
    assert recorder.errors[UNFINISHED].count == 2


# --- interruption -------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [False, True])
async def test_an_interrupted_run_keeps_what_it_saw_and_blames_nobody(
    autojump_clock: Clock, closed: bool
) -> None:
    recorder = Recorder()
    target = Fake(lambda job, watch: in_a_second(job, watch) if job.number < 2 else never(job, watch))
    loop = Loop(target, recorder, Bounds(), timeout=60, drain=30)
    jobs = (Job(number, float(number), 1, 1) for number in range(10**9))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as running:

            async def interrupt() -> None:
                await trio.sleep(3.5)
                loop.interrupt(running)

            nursery.start_soon(interrupt)
            if closed:
                await loop.closed(jobs, 2, None, random.Random(1))
            else:
                await loop.open(jobs, 1000)
    assert trio.current_time() == 3.5
    assert (recorder.ok, recorder.failed) == (2, 0)
    assert recorder.interrupted == recorder.arrived - 2 > 0
    assert (loop.ending, loop.sending, recorder.in_flight) == ("interrupted", 3.5, 0)
