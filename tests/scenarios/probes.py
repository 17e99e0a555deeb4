"""What no single request shows: how delays are spread, loads are balanced, limits are kept to the moment, counts agree."""

from __future__ import annotations

import json
from typing import Any

import trio
from llm_dispatcher.benchmarks.vendor import ConnectionRule, Delays, Script, Step, Stop, When
from llm_dispatcher.benchmarks.vendor.chance import Spread
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.server import Server

from .crowds import faulty
from .front import Heard, front_door, request_bytes
from .measure import Figures, quantile
from .outages import WELL, asked
from .world import HELLO, Call, World, hello, world

__all__ = [
    "balance",
    "cancellation_latency",
    "counters",
    "no_timeout_fires_early",
    "own_connections_run_out",
    "retry_delays",
]


async def retry_delays() -> Figures:
    """The wait before the same deployment is asked again is spread evenly from nothing to a quarter of a second."""
    figures, calls, cap = Figures(), 400, 0.25
    odd = Step(error="server_error", times=calls, when=When(nth=list(range(1, 2 * calls, 2))))
    settings: dict[str, Any] = {
        "retry": {"budget": 1.0},
        "breaker": {"failure_rate": 1.0, "consecutive_failures": 1000},
    }
    async with world({"a": Script(rules=[odd], default=Step(tokens=1))}, **settings) as here:
        for _ in range(calls):
            await here.call(streamed=False)
        times = [each.at for each in here.vendors["a"].history]
        delays = sorted([again - first for first, again in zip(times[::2], times[1::2], strict=True)])
    # Kolmogorov and Smirnov: the largest distance between the two distribution functions.
    n = len(delays)
    distance = max(max((i + 1) / n - delay / cap, delay / cap - i / n) for i, delay in enumerate(delays))
    figures.exactly("delays", n, calls)
    figures.at_most("distance from U(0, 0.25 s), at a level of 1 %", distance, 1.63 / n**0.5)
    figures.at_most("longest", delays[-1], cap, " s")
    return figures


async def balance() -> Figures:
    """Six equal vendors, a hundred requests a second of a second each: who chooses the less loaded keeps them even."""
    figures = Figures()
    names = "abcdef"
    script = Script(default=Step(tokens=1, delay=Delays(before_head=Spread(uniform=(0.5, 1.5)))))
    async with world(dict.fromkeys(names, script), policy="least_loaded") as here:
        ratios: list[float] = []

        async def watch() -> None:
            await trio.sleep(3)
            while True:
                loads = [len(here.vendors[name].meter.under_way) for name in names]
                ratios.append(max(loads) / (sum(loads) / len(loads)))
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await here.load(100, 10, streamed=False)
            nursery.cancel_scope.cancel()
    # The end, when loads run out, is no load.
    steady = ratios[:70]
    figures.at_most("most / mean in flight, p99", quantile(steady, 0.99), 1.5)
    figures.at_most("most / mean in flight, on average", sum(steady) / len(steady), 1.3)
    return figures


async def no_timeout_fires_early() -> Figures:
    """Each limit, in several lengths: what is given up has been waited for that long, and no longer."""
    figures = Figures()
    early, late = [], []
    drop = Script(connections=[ConnectionRule(act="drop")])
    silent = Script(default=Step(delay=Delays(first_event=1e6)))
    stalls = Script(default=Step(stop=Stop(after_tokens=3, how="stall")))
    for name, script in (("connect", drop), ("first_token", silent), ("between_tokens", stalls)):
        for limit in (0.3, 1.0, 2.7, 12.9):
            async with world({"a": script}, timeouts={name: limit}, retry={"attempts": 1}) as here:
                call = await here.call()
                early.append(limit - call.seconds)
                late.append(call.seconds - limit)
    for limit in (0.3, 2.7, 12.9):
        async with world({"a": silent}, retry={"attempts": 1}) as here:
            for streamed in (True, False):
                call = await here.call(hello(timeout=limit), streamed=streamed)
                early.append(limit - call.seconds)
                late.append(call.seconds - limit)
    figures.at_most("fired early by", max(early), 1e-9, " s")
    figures.at_most("fired late by", max(late), 0.25, " s")
    return figures


async def cancellation_latency(crowd: int) -> Figures:
    """Clients of the gateway drop their connections in the middle of streams, over real sockets."""
    figures = Figures()
    slow = Script(default=Step(tokens=500, delay=Delays(between=0.05)))
    async with world({"a": slow}, sockets=True) as here:
        server = Server(Gateway(here.dispatcher))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
        port = listeners[0].socket.getsockname()[1]
        dropped: dict[str, float] = {}

        async def client(number: int) -> None:
            await trio.sleep(number * 0.01)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(
                request_bytes(messages=[{"role": "user", "content": "x" * (4 * number + 4)}])
            )
            heard = b""
            while heard.count(b"\ndata: ") < 5:
                heard += await stream.receive_some()
            await stream.aclose()
            dropped[str(number + 1)] = trio.current_time()

        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, listeners)
            async with trio.open_nursery() as clients:
                for number in range(crowd):
                    clients.start_soon(client, number)
            with trio.move_on_after(5):
                await here.vendors["a"].wait_idle()
            nursery.cancel_scope.cancel()
        closed = [
            each.client_closed_at - dropped[str(each.input_tokens)]
            for each in here.vendors["a"].history
            if each.client_closed_at is not None
        ]
    figures.exactly("closed", len(closed), crowd)
    figures.at_most("client's FIN to the vendor's, p99", quantile(closed, 0.99), 1.0, " s")
    return figures


async def own_connections_run_out(streamed: bool) -> Figures:
    """Two connections to A, and twenty requests at once that take two seconds each: the last of them wait for nine times as
    long as A takes, beyond every limit that there is for A."""
    figures, crowd, takes = Figures(), 20, 2.0
    script = Script(default=Step(tokens=2, delay=Delays(before_head=takes)))
    settings: dict[str, Any] = {"timeouts": {"first_token": 5, "between_tokens": 5}}
    async with world({"a": script, "b": Script(default=WELL)}, connections=2, **settings) as here:
        # So many are needed before it is known what is usual.
        for _ in range(10):
            await here.together([HELLO] * 2, streamed=streamed)
        calls = await here.together([HELLO] * crowd, streamed=streamed)
        await here.rest()
        told = here.dispatcher.statistics().deployments["a/m"]
        first = [call.attempts[-1].first_token or takes for call in calls]
        figures.at_least("longest wait", max(call.seconds for call in calls), takes * crowd / 2 - 0.1, " s")
        figures.exactly("answered by A", sum([asked(call, "a") for call in calls if call.ok]), crowd)
        figures.exactly("held against A", sum(told.errors.values()) + len(here.breaker("a").history), 0)
        figures.between("an attempt's time to the first content", max(first), takes, takes + 0.1, " s")
        seconds = [each.seconds for call in calls for each in call.attempts]
        figures.between("an attempt's time", max(seconds), takes, takes + 0.1, " s")
        blamed = await here.call(hello(timeout=0.5), streamed=streamed)
        faults = [each.fault for each in blamed.attempts]
        figures.exactly("who got one, and no answer in time, is A's", faults == ["ttft_timeout"], True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.together, [HELLO] * 2)
            await trio.sleep(0.1)
            late = await here.call(hello(timeout=0.5), streamed=streamed)
        left = [each.fault for each in late.attempts]
        figures.exactly("who never got a connection is not A's", left == ["local"], True)
        figures.exactly("billed for it", float(late.attempts[0].cost or 0), 0)
    return figures


async def counters() -> Figures:
    """What `GET /v1/stats` says after six hundred requests of all kinds is what callers and vendors have seen."""
    figures = Figures()
    scripts = {"a": faulty(4, 0.1, 1), "b": faulty(4, 0.1, 2), "c": Script(default=WELL)}
    async with world(scripts, policy="round_robin", timeouts={"between_tokens": 2}) as here:
        async with front_door(here) as door:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.load, 10, 30)
                nursery.start_soon(lambda: here.load(10, 30, streamed=False))
            await here.rest()
            answer = await door.exchange(b"GET /v1/stats HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        told = json.loads(Heard(answer).data.partition(b"\r\n\r\n")[2])["statistics"]
        figures.exactly("requests", told["requests"] - len(here.calls), 0)
        figures.exactly("succeeded", told["succeeded"] - sum([call.ok for call in here.calls]), 0)
        figures.exactly("failed", told["failed"] - sum([not call.ok for call in here.calls]), 0)
        figures.exactly("fallbacks", told["fallbacks"] - _fallbacks(here.calls), 0)
        for name, vendor in here.vendors.items():
            told_of = told["vendors"][name]
            figures.exactly(f"attempts at {name}", told_of["attempts"] - vendor.meter.begun, 0)
            figures.exactly(f"successes at {name}", told_of["succeeded"] - vendor.meter.total.complete, 0)
        seen = _faults(here)
        wrong = [
            kind
            for kind in {*seen, *told["totals"]["errors"]}
            if seen.get(kind) != told["totals"]["errors"].get(kind)
        ]
        figures.exactly("classes of fault with another count", len(wrong), 0)
    return figures


def _fallbacks(calls: list[Call]) -> int:
    return sum([len(call.attempts) > 1 for call in calls])


def _faults(here: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for call in here.calls:
        for each in call.attempts:
            if each.fault is not None:
                found[each.fault] = found.get(each.fault, 0) + 1
    return found
