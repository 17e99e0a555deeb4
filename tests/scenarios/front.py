"""The daemon's front door in a world, and clients who see the bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import trio
from llm_dispatcher.benchmarks.vendor import MemoryStream, memory_pair
from llm_dispatcher.runtime.gateway.app import Gateway
from llm_dispatcher.runtime.wire.server import Server

from .world import World

__all__ = ["Door", "Heard", "front_door", "request_bytes"]


def request_bytes(path: str = "/v1/chat/completions", **body: Any) -> bytes:
    """A request as a client writes it; the connection closes after its answer."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "hello you"}], "stream": True, **body}
    content = msgspec.json.encode(chat)
    head = f"POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Heard:
    """All that a client has read of an answer."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def status(self) -> int:
        """Of the answer; 0 if there was none."""
        return int(self.data[9:12] or 0)

    @property
    def whole(self) -> bool:
        """Whether HTTP's framing of a chunked body was brought to its end."""
        return self.data.endswith(b"\r\n0\r\n\r\n")

    @property
    def done(self) -> bool:
        """Whether the stream says that the answer is complete."""
        return b"data: [DONE]" in self.data

    @property
    def events(self) -> list[Any]:
        """The JSON of every event. Raises `msgspec.DecodeError` for one that is none."""
        lines = [
            line for line in self.data.split(b"\n") if line.startswith(b"data: ") and b"[DONE]" not in line
        ]
        return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines]

    @property
    def errors(self) -> list[Any]:
        """The error events."""
        return [each["error"] for each in self.events if "error" in each]


class Door:
    """A server in front of a world's dispatcher, over streams in memory."""

    def __init__(self, here: World, nursery: trio.Nursery) -> None:
        self.server = Server(Gateway(here.dispatcher))
        self._nursery = nursery

    def connect(self) -> MemoryStream:
        """A client's end of a new connection."""
        ours, theirs = memory_pair()
        self._nursery.start_soon(self.server.serve_connection, theirs)
        return ours

    async def ask(self, **body: Any) -> Heard:
        """Ask, and read to the end."""
        return Heard(await self.exchange(request_bytes(**body)))

    async def exchange(self, request: bytes) -> bytes:
        """Send, and read until the connection closes."""
        async with self.connect() as stream:
            await stream.send_all(request)
            heard = bytearray()
            with suppress(trio.BrokenResourceError):
                while data := await stream.receive_some():
                    heard += data
            return bytes(heard)


@asynccontextmanager
async def front_door(here: World) -> AsyncIterator[Door]:
    """Open until left; then no connection may be open."""
    async with trio.open_nursery() as nursery:
        door = Door(here, nursery)
        yield door
        with trio.move_on_after(1):
            await door.server.wait_until_empty(trio.current_time() + 1)
        left = door.server.statistics().connections
        nursery.cancel_scope.cancel()
    if left:
        raise AssertionError(f"{left} clients' connections are open")
