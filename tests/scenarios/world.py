"""A whole house over scripted vendors, and callers who keep a record of what they met.

Everything of the product is real: dispatcher, actors, dialects, wire client. What is not are the vendors, and, but where
sockets are the point, the network between. Whoever leaves a world leaves it at rest: no permit is out, no connection is
open, nothing waits, and no vendor has billed more than the house has in its books; else `NotAtRest` says what.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing
from llm_dispatcher.actors.machines.breaker import CircuitBreaker, State
from llm_dispatcher.actors.vault import VendorState
from llm_dispatcher.benchmarks.vendor import MemoryNetwork, Script, ScriptedVendor
from llm_dispatcher.runtime import AttemptRecord, Dispatcher, Message, Reply, Request, errors
from llm_dispatcher.runtime.canon import CONTENT_EVENTS
from llm_dispatcher.runtime.wire.client import ClientLimits, TrioTransport

__all__ = ["HELLO", "Call", "NotAtRest", "World", "configuration", "hello", "world"]

WALL = 1_795_514_400.0
"""The vendors' clocks when a world begins: 24 November 2026, 10:00 UTC."""

DIALECTS = {"openai": ("openai", "/v1"), "anthropic": ("anthropic", "/v1"), "google": ("gemini", "/v1beta")}
"""Dialect -> the vendor's name for its format, and where that is served."""

_HISTORY = 100_000
_SETTLING = 1.0
"""Seconds in which a world that is left may come to rest."""


def hello(**more: Any) -> Request:
    """A short request for the model `m`."""
    return Request(model=more.pop("model", "m"), messages=[Message("user", "hello you")], **more)


HELLO = hello()


class NotAtRest(AssertionError):
    """Something was left behind."""


class Call(msgspec.Struct):
    """One request, as its caller saw it. Times are on the event loop's clock."""

    request: Request
    streamed: bool
    begun: float
    first: float | None = None
    """When the first content came; of an answer that is not streamed, when it did."""
    ended: float | None = None
    error: errors.DispatchError | None = None
    reply: Reply | None = None
    pieces: int = 0

    @property
    def seconds(self) -> float:
        """From the asking to the end."""
        return (trio.current_time() if self.ended is None else self.ended) - self.begun

    @property
    def ttft(self) -> float:
        """From the asking to the first content."""
        return (trio.current_time() if self.first is None else self.first) - self.begun

    @property
    def attempts(self) -> tuple[AttemptRecord, ...]:
        """Those that were made for it."""
        if self.reply is not None:
            return self.reply.attempts
        return () if self.error is None else self.error.attempts

    @property
    def ok(self) -> bool:
        """Whether the answer came, and whole."""
        return self.reply is not None


class World:
    """A running house, its vendors and its callers."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        vendors: Mapping[str, ScriptedVendor],
        network: MemoryNetwork,
        transports: Mapping[str, TrioTransport],
    ) -> None:
        self.dispatcher = dispatcher
        self.vendors = vendors
        self.network = network
        self.transports = transports
        self.calls: list[Call] = []
        self.books_are_whole = True
        """Whether all that was spent has to be in the statistics in the end."""

    # --- callers ----------------------------------------------------------------------------

    async def call(self, request: Request = HELLO, *, streamed: bool = True) -> Call:
        """Ask, and wait for what comes of it."""
        call = Call(request, streamed, trio.current_time())
        self.calls.append(call)
        try:
            if streamed:
                await self._listen(call)
            else:
                call.reply = await self.dispatcher.send(request)
                call.first = trio.current_time()
        except errors.DispatchError as error:
            # Without its frames, which keep the answer alive.
            call.error = error.with_traceback(None)
        finally:
            call.ended = trio.current_time()
        return call

    async def _listen(self, call: Call) -> None:
        async with self.dispatcher.stream(call.request) as events:
            async for event in events:
                if type(event) in CONTENT_EVENTS:
                    call.pieces += 1
                    if call.first is None:
                        call.first = trio.current_time()
        call.reply = events.reply

    async def load(
        self,
        rate: float,
        seconds: float,
        request: Callable[[int], Request] = lambda _: HELLO,
        *,
        streamed: bool = True,
    ) -> list[Call]:
        """`rate` requests a second for so long, at even distances whatever becomes of them. Returns when all have ended."""
        begun, first = trio.current_time(), len(self.calls)
        async with trio.open_nursery() as nursery:
            for number in range(round(rate * seconds)):
                await trio.sleep_until(begun + number / rate)
                nursery.start_soon(self._one, request(number), streamed)
        return self.calls[first:]

    async def together(self, requests: Iterable[Request], *, streamed: bool = True) -> list[Call]:
        """All at once; returns when all have ended."""
        first = len(self.calls)
        async with trio.open_nursery() as nursery:
            for request in requests:
                nursery.start_soon(self._one, request, streamed)
        return self.calls[first:]

    async def _one(self, request: Request, streamed: bool) -> None:
        await self.call(request, streamed=streamed)

    # --- looking ----------------------------------------------------------------------------

    def state(self, vendor: str) -> VendorState:
        """The vault of a vendor's actor."""
        return self.dispatcher._states[vendor]

    def breaker(self, vendor: str, model: str = "m") -> CircuitBreaker:
        """The circuit of a deployment."""
        return self.state(vendor).deployments[f"{vendor}/{model}"].breaker

    def opened(self, vendor: str) -> list[float]:
        """When the deployment's circuit opened, each time."""
        return [each.at for each in self.breaker(vendor).history if each.target is State.OPEN]

    def attempts(self, vendor: str, since: float = 0.0, until: float = float("inf")) -> int:
        """Attempts that reached the vendor from `since` on and before `until`."""
        return sum([since <= each.at < until for each in self.vendors[vendor].history])

    @property
    def billed(self) -> int:
        """Tokens that the vendors have billed, by their own books."""
        totals = [vendor.meter.total for vendor in self.vendors.values()]
        return sum([each.input_tokens + each.output_tokens for each in totals])

    @property
    def booked(self) -> tuple[float, float]:
        """Tokens in the house's books: what is known, and the most that may come on top of it. Each costs a millionth."""
        totals = self.dispatcher.statistics().totals
        return float(totals.cost * 1_000_000), float(totals.unknown * 1_000_000)

    # --- the end ----------------------------------------------------------------------------

    async def rest(self) -> None:
        """Wait until nothing is under way. Raises `NotAtRest` with what is left after a second."""
        deadline = trio.current_time() + _SETTLING
        while found := self._left():
            if trio.current_time() >= deadline:
                raise NotAtRest("; ".join(found))
            await trio.sleep(0.05)

    def _left(self) -> list[str]:
        found = [
            f"{call.request.user or 'a call'} has not ended" for call in self.calls if call.ended is None
        ]
        for name, state in self.dispatcher._states.items():
            slots = [gauge.in_flight for each in state.deployments.values() for gauge in each.gauges]
            probes = [
                each.breaker.statistics(trio.current_time()).probes_out for each in state.deployments.values()
            ]
            if state.in_flight or any(slots) or any(probes):
                found.append(f"{name}: {state.in_flight} permits, {slots} slots and {probes} probes are out")
        for name, mailbox in self.dispatcher._mailboxes.items():
            told = mailbox.statistics()
            if told.waiting or told.parked or told.open_asks:
                found.append(f"{name}: {told}")
        found += [
            f"{name}: {len(vendor.meter.under_way)} attempts are under way"
            for name, vendor in self.vendors.items()
            if vendor.meter.under_way
        ]
        known, unknown = self.booked
        # Exact decimals became floats: a thousandth of a token is none.
        if not found and self.books_are_whole and self.billed > known + unknown + 1e-3:
            found.append(f"billed {self.billed} tokens, booked {known:g} and at most {unknown:g} more")
        return found


def configuration(vendors: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration in which each of `vendors` serves the model `m`, in this order; their values are their tables'."""
    tables = []
    for name, table in vendors.items():
        dialect = table.get("dialect", "openai")
        model = {"name": "m", "price": {"input": 1, "output": 1}, **table.get("model", {})}
        tables.append(
            {
                "name": name,
                "dialect": dialect,
                "base_url": f"http://{name}.test{DIALECTS[dialect][1]}",
                "api_key": f"key-of-{name}",
                "models": [model],
                **{key: value for key, value in table.items() if key not in ("dialect", "model")},
            }
        )
    return {"vendors": tables, **more}


@asynccontextmanager
async def world(
    scripts: Mapping[str, Script],
    tables: Mapping[str, Any] | None = None,
    *,
    sockets: bool = False,
    seed: int = 1,
    connections: int = 5000,
    **settings: Any,
) -> AsyncIterator[World]:
    """A house over one vendor per script. `tables`: settings of single vendors. With `sockets` the vendors are at real ones.
    `connections`: the most to each vendor."""
    begun = trio.current_time()
    vendors = {
        name: ScriptedVendor(script, wall_now=lambda: WALL + trio.current_time() - begun, history=_HISTORY)
        for name, script in scripts.items()
    }
    given: dict[str, Any] = {name: (tables or {}).get(name, {}) for name in scripts}
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork({f"{name}.test": each for name, each in vendors.items()}, nursery)
        dial = None if sockets else network.dial
        transports = {
            name: TrioTransport(limits=ClientLimits(max_connections=connections), dial=dial)
            for name in scripts
        }
        if sockets:
            given = {name: await _at_a_socket(vendors[name], table, nursery) for name, table in given.items()}
        async with Dispatcher.open(
            configuration(given, **settings), transports=transports, rng=random.Random(seed)
        ) as dispatcher:
            made = World(dispatcher, vendors, network, transports)
            yield made
            await made.rest()
        for _ in range(100):
            if not any(vendor.open for vendor in vendors.values()):
                break
            await trio.sleep(0.01)
        if network.open or any(vendor.open for vendor in vendors.values()):
            raise NotAtRest(f"connections are open: {[vendor.open for vendor in vendors.values()]}")
        nursery.cancel_scope.cancel()


async def _at_a_socket(
    vendor: ScriptedVendor, table: dict[str, Any], nursery: trio.Nursery
) -> dict[str, Any]:
    port = await nursery.start(vendor.listen)
    return {**table, "base_url": f"http://127.0.0.1:{port}{DIALECTS[table.get('dialect', 'openai')][1]}"}
