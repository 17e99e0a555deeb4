"""Clients who leave, who do not read, and who never finish asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import trio
import trio.testing
from llm_dispatcher.benchmarks.vendor import Delays, MemoryStream, Script, Step
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.process import open_files
from llm_dispatcher.runtime.wire.server import Server, ServerLimits

from .front import Door, front_door, request_bytes
from .measure import Figures, quantile
from .outages import HEALTHY, success
from .world import HELLO, World, world

__all__ = ["client_leaves", "clients_stop_reading", "slow_heads"]

_TOKENS, _BETWEEN = 6, 0.5
_SOON = Delays(before_head=0.1, first_event=0.1, between=_BETWEEN)


async def client_leaves(
    way: Literal["library", "gateway"], *, streamed: bool, drained: bool = False
) -> Figures:
    """Row 29. A client leaves after its first event, its second, and so on; each time in a world of its own.

    An answer that is not streamed has no events: its client leaves after so many of its tokens have been made.
    """
    figures = Figures()
    closed: list[float] = []
    inexact = uncovered = left = 0
    for k in range(_TOKENS + 5):
        script = Script(default=Step(tokens=_TOKENS, delay=_SOON))
        table = {"on_disconnect": "drain" if drained else "abort"}
        async with world({"a": script}, {"a": table}) as here:
            if way == "gateway":
                async with front_door(here) as door:
                    left_at = await _leave_gateway(door, k, streamed=streamed)
            else:
                left_at = await _leave_library(here, k, streamed=streamed)
            if drained:
                await trio.sleep(_TOKENS * _BETWEEN + 1)
            await here.vendors["a"].wait_idle()
            await trio.testing.wait_all_tasks_blocked()
            (attempt,) = here.vendors["a"].history
            if attempt.client_closed_at is not None:
                left += 1
                closed.append(attempt.client_closed_at - left_at)
            known, unknown = here.booked
            if here.dispatcher.statistics().totals.estimated:
                uncovered += known + unknown < here.billed
                inexact += drained
            else:
                inexact += round(known, 6) != here.billed
    figures.at_most("vendor's connection closed after", max(closed, default=0.0), 1.0, " s")
    figures.exactly("spend that is known and not the meter's", inexact, 0)
    figures.exactly("spend that is not covered", uncovered, 0)
    figures.at_least("times that a vendor was left", left, 0 if drained else _TOKENS)
    return figures


async def _leave_library(here: World, k: int, *, streamed: bool) -> float:
    if not streamed:
        with trio.move_on_after(0.15 + k * _BETWEEN):
            await here.dispatcher.send(HELLO)
        return trio.current_time()
    with trio.move_on_after(0.15 if k == 0 else 1e6):
        async with here.dispatcher.stream(HELLO) as events:
            for _ in range(k):
                if await anext(events, None) is None:
                    break
    return trio.current_time()


async def _leave_gateway(door: Door, k: int, *, streamed: bool) -> float:
    async with door.connect() as stream:
        await stream.send_all(request_bytes(stream=streamed))
        heard = b""
        with trio.move_on_after(1e6 if streamed and k else 0.15 + k * _BETWEEN):
            while heard.count(b"\ndata: ") < k or k == 0 or not streamed:
                data = await stream.receive_some()
                if not data:
                    break
                heard += data
        return trio.current_time()


# --- slow ones ----------------------------------------------------------------------------------


async def clients_stop_reading(crowd: int) -> Figures:
    """Row 30. A crowd asks for very long streams and takes nothing of them, while others are served."""
    figures = Figures()
    vendors = {"a": Script(default=Step(spoil="huge_body")), "b": HEALTHY}
    tables = {"a": {"model": {"name": "endless"}}}
    async with world(vendors, tables, timeouts={"between_tokens": 5}) as here, front_door(here) as door:
        alone = await here.load(10, 10)
        stopped: list[MemoryStream] = []
        for _ in range(crowd):
            stopped.append(door.connect())
            await stopped[-1].send_all(request_bytes(model="endless"))
        beside = await here.load(10, 20)
        # Two connections in memory hold 64 KiB each, as the kernels' buffers would.
        held = [attempt.bytes_sent / 1024 - 2 * 64 for attempt in here.vendors["a"].history]
        figures.at_most("held of each stream", max(held), 128, " KiB")
        figures.exactly("streams that are waited for", len(here.vendors["a"].meter.under_way), crowd)
        p99 = [quantile([call.ttft for call in calls], 0.99) for calls in (alone, beside)]
        figures.at_most("others' TTFT p99, to that without", p99[1] / p99[0], 1.1)
        figures.exactly("others' success", success(beside), 1)
        await trio.sleep(15)
        figures.exactly("cut off for being slow", door.server.statistics().slow_clients, crowd)
        told = here.dispatcher.statistics().vendors["a"]
        blamed = sum([count for kind, count in told.errors.items() if kind != "client_gone"])
        figures.exactly("held against the vendor", blamed + len(here.breaker("a", "endless").history), 0)
        for stream in stopped:
            await stream.aclose()
    return figures


@asynccontextmanager
async def _listening(server: Server) -> AsyncIterator[int]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, listeners)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def slow_heads(crowd: int, places: int) -> Figures:
    """Row 31. A crowd sends a byte of a request's head every second, on real sockets, and the server has fewer places."""
    figures = Figures()
    head = b"GET / HTTP/1.1\r\nhost: h\r\nx-a: " + b"b" * 100
    ended: list[float] = []
    at_rest = open_files() or 0
    async with world({"a": HEALTHY}) as here:
        server = Server(Gateway(here.dispatcher), ServerLimits(connections=places))
        most_files = most_connections = 0.0
        waits: list[float] = []
        async with _listening(server) as port, trio.open_nursery() as nursery:

            async def drip() -> None:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                with suppress(trio.BrokenResourceError):
                    for byte in head:
                        await stream.send_all(bytes([byte]))
                        await trio.sleep(1)
                ended.append(trio.current_time())
                await stream.aclose()

            for _ in range(crowd):
                nursery.start_soon(drip)
            answered = 0
            for _ in range(20):
                await trio.sleep(0.5)
                begun = trio.current_time()
                async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                    await client.send_all(request_bytes(user="healthy"))
                    heard = b"".join([bytes(data) async for data in client])
                answered += b"data: [DONE]" in heard
                waits.append(trio.current_time() - begun)
                most_connections = max(most_connections, server.statistics().connections)
                most_files = max(most_files, (open_files() or 0) - at_rest)
        figures.exactly("healthy requests answered", answered, 20)
        figures.at_most("their longest", max(waits), 0.25, " s")
        figures.at_most("connections at once", most_connections, places + 5)
        # The crowd's own ends are in this process, too.
        figures.at_most("files open", most_files, crowd + places + 20)
        figures.at_most("the last of them is let go after", max(ended), 15, " s")
        figures.exactly("let go", len(ended), crowd)
    return figures
