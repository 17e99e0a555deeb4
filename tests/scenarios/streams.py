"""Streams that fall silent, break off or never end: nothing is shown as complete that is not, and nothing is lost of the bill."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import trio
from llm_dispatcher.benchmarks.vendor import Delays, ErrorEvent, Script, Step, Stop

from .front import front_door
from .measure import Figures, memory_watched
from .outages import HEALTHY, WELL, asked
from .world import world

__all__ = ["breaks_off", "error_in_the_stream", "silent_at_first", "slow_drip", "stalls", "without_end"]

FIRST_TOKEN, BETWEEN = 5.0, 9.0
_TIMEOUTS = {"first_token": FIRST_TOKEN, "between_tokens": BETWEEN}


async def silent_at_first(step: Step) -> Figures:
    """Rows 18 and 19. A's stream begins, and brings no content."""
    figures = Figures()
    async with world({"a": Script(default=step), "b": HEALTHY}, timeouts=_TIMEOUTS) as here:
        call = await here.call()
        first = call.attempts[0]
        figures.exactly("answered by B", call.ok and asked(call, "b") == 1, True)
        figures.exactly("class is ttft_timeout", first.fault == "ttft_timeout", True)
        # Not sooner: a timeout that fires early is as wrong as one that fires late.
        figures.between("given up after", first.seconds, FIRST_TOKEN, FIRST_TOKEN + 0.05, " s")
        figures.exactly("A's spend is unknown", first.bill == "unknown", True)
        figures.at_least(
            "the most it may be / the least", float((first.ceiling or 0) / (first.cost or 1)), 1.0
        )
    return figures


async def stalls() -> Figures:
    """Row 20. A falls silent after fifty tokens."""
    figures = Figures()
    script = Script(default=Step(tokens=100, stop=Stop(after_tokens=50, how="stall")))
    async with world({"a": script, "b": HEALTHY}, timeouts=_TIMEOUTS) as here, front_door(here) as door:
        begun = trio.current_time()
        heard = await door.ask()
        figures.between("error event after", trio.current_time() - begun, BETWEEN, BETWEEN + 0.05, " s")
        figures.exactly("error events", len(heard.errors), 1)
        figures.exactly("[DONE]", heard.done, False)
        content = [
            each for each in heard.events if "choices" in each and each["choices"][0]["delta"].get("content")
        ]
        figures.exactly("tokens delivered", len(content), 50)
        await here.rest()
        known, unknown = here.booked
        figures.between("booked / billed", known / here.billed, 1.0, 1.5)
        figures.at_least("covered", known + unknown, here.billed, " tokens")
    return figures


async def breaks_off(**step: Any) -> Figures:
    """Rows 21 and 22. A's stream ends before its end, in whatever way."""
    figures = Figures()
    # A moment apart, so that what was sent has been read when a reset comes.
    script = Script(default=Step(tokens=20, delay=Delays(between=0.01), **step))
    async with world({"a": script, "b": HEALTHY}) as here, front_door(here) as door:
        call = await here.call()
        figures.exactly("shown as complete to a caller", call.ok, False)
        figures.exactly("class is truncated", call.attempts[-1].fault == "truncated", True)
        figures.exactly("attempts", len(call.attempts), 1)
        heard = await door.ask()
        figures.exactly("shown as complete to a client", heard.done or heard.whole, False)
        # Reading them has shown that each is whole JSON.
        figures.exactly("error events", len(heard.errors), 1)
    return figures


async def error_in_the_stream(*, after: int) -> Figures:
    """Rows 23 and 24. A reports an overload within a stream of status 200."""
    figures = Figures()
    script = Script(default=Step(tokens=20, error_event=ErrorEvent(kind="overloaded", after_tokens=after)))
    async with world({"a": script, "b": HEALTHY}) as here, front_door(here) as door:
        heard = await door.ask()
        figures.exactly("error events", len(heard.errors), 1 if after else 0)
        figures.exactly("[DONE]", heard.done, not after)
        figures.exactly("status", heard.status, 200)
        figures.exactly("asked of B", here.attempts("b"), 0 if after else 1)
    return figures


async def without_end(streamed: bool, *, fails_over: bool = True, most: float = 2.0, **step: Any) -> Figures:
    """Row 26. A line, or a body, of ten gibibytes; what comes before any content is made good by B.

    `most`: MiB that may be held at once; a whole answer is held as far as its limit of 64 MiB. Content that has been delivered
    its caller has, and all of it.
    """
    figures = Figures()
    # A sound answer first, for what is allocated with the first request.
    async with world({"a": Script(steps=[WELL], default=Step(**step)), "b": HEALTHY}) as here:
        await here.call(streamed=streamed)
        with memory_watched() if fails_over else nullcontext() as memory:
            call = await here.call(streamed=streamed)
        figures.exactly("class is oversized", call.attempts[0].fault == "oversized", True)
        figures.exactly("answered by B", call.ok, fails_over)
        taken = max(each.bytes_sent for each in here.vendors["a"].history)
        figures.at_most("taken of it", taken / 2**20, 65, " MiB")
        if memory is not None:
            figures.at_most("memory at most", memory.peak, most, " MiB")
            figures.at_most("memory kept", memory.kept, 2, " MiB")
    return figures


async def slow_drip(step: Step, *, cut_after: float) -> Figures:
    """Row 27. A drips."""
    figures = Figures()
    async with world({"a": Script(default=step), "b": HEALTHY}) as here:
        call = await here.call()
        figures.between("cut after", call.attempts[0].seconds, cut_after, cut_after + 0.5, " s")
        figures.exactly("shown as complete", call.ok and not asked(call, "b"), False)
    return figures
