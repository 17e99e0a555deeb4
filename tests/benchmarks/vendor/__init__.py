"""A world with one scripted vendor, in virtual time or on a real socket, and clients that speak its formats."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import trio
from llm_dispatcher.benchmarks.vendor import MemoryNetwork, Script, ScriptedVendor
from llm_dispatcher.runtime.canon import Event, Message, Request
from llm_dispatcher.runtime.dialects import Answer, Dialect, Target, dialect_class
from llm_dispatcher.runtime.wire.client import TrioTransport

WALL = 1_800_000_000.0
HELLO = "hello you"
"""Nine characters: three tokens."""

DIALECTS = {"openai": ("openai", "/v1"), "anthropic": ("anthropic", "/v1"), "gemini": ("google", "/v1beta")}


class Seen(msgspec.Struct):
    """An answer as a client sees it. `error` is what ended it, if it did not end as HTTP wants."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: httpx.TransportError | None = None

    @property
    def data(self) -> list[Any]:
        """The JSON of the events that arrived whole, those that are none left out."""
        events = self.body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
        lines = [line[6:] for event in events for line in event.split(b"\n") if line.startswith(b"data: {")]
        return [msgspec.json.decode(line) for line in lines]


class World:
    """One vendor and a client over `transport`."""

    def __init__(
        self, vendor: ScriptedVendor, transport: httpx.AsyncBaseTransport, origin: str, network: Any = None
    ) -> None:
        self.vendor = vendor
        self.transport = transport
        self.origin = origin
        self.network: MemoryNetwork = network

    def dialect(self, format: str = "openai", model: str = "m", key: str = "k") -> Dialect:
        name, path = DIALECTS[format]
        return dialect_class(name)(
            Target(vendor="v", base_url=self.origin + path, model=model, key=key, lenient=True)
        )

    def request(
        self,
        *,
        format: str = "openai",
        stream: bool = True,
        text: str = HELLO,
        most: int | None = None,
        timeout: float | None = None,
        **target: str,
    ) -> httpx.Request:
        asked = Request(model="m", messages=[Message("user", text)], max_tokens=most)
        built = self.dialect(format, **target).build(asked, stream=stream).request
        built.extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)}
        return built

    async def open(self, **asked: Any) -> httpx.Response:
        return await self.transport.handle_async_request(self.request(**asked))

    async def ask(self, **asked: Any) -> Seen:
        """The whole answer, or what came of it, once the vendor has booked it. Raises what kept it from beginning."""
        try:
            response = await self.open(**asked)
        except httpx.TransportError:
            await self.vendor.wait_idle()
            raise
        seen = Seen(response.status_code, dict(response.headers), b"")
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        try:
            async for piece in stream:
                seen.body += piece
        except httpx.TransportError as error:
            seen.error = error
        finally:
            await stream.aclose()
        await self.vendor.wait_idle()
        return seen

    async def events(self, format: str, **asked: Any) -> Sequence[Event]:
        """A stream as the product's own dialect reads it."""
        seen = await self.ask(format=format, **asked)
        decoder = self.dialect(format).decoder()
        return [*decoder.feed(seen.body), *decoder.close()]


def as_answer(seen: Seen) -> Answer:
    return Answer(seen.status, seen.headers, seen.body, WALL)


@asynccontextmanager
async def simulated(
    script: Script | None = None, *, latency: float = 0.0, history: int = 10_000
) -> AsyncGenerator[World, None]:
    """Over streams in memory; afterwards no connection may be left."""
    vendor = ScriptedVendor(script, wall_now=lambda: WALL + trio.current_time(), history=history)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork({"vendor.test": vendor}, nursery, latency=latency)
        transport = TrioTransport(dial=network.dial)
        yield World(vendor, transport, "http://vendor.test", network)
        await transport.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert network.open == 0
        assert vendor.open == 0
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def served(script: Script | None = None, *, plain: bool = False) -> AsyncGenerator[World, None]:
    """On a real socket: with the product's own transport, or with plain httpx."""
    vendor = ScriptedVendor(script)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(vendor.listen)
        transport = httpx.AsyncHTTPTransport() if plain else TrioTransport()
        async with transport:
            yield World(vendor, transport, f"http://127.0.0.1:{port}")
        nursery.cancel_scope.cancel()
