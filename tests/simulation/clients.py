"""Clients of the simulated house: over HTTP with a parser of their own, and as callers of the library.

The HTTP client shares no code with the house, so that a mistake in the house's own parsers cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta, Tool, errors
from llm_dispatcher.runtime.canon import Restarted, Seam

from .answer import PATIENCE, Answer, Leaving, prompt_of
from .interfaces import INTERFACES, Interface
from .story import Behaviour, Client

__all__ = ["bounded", "call", "exchange"]

_RECEIVE: Final = 16 * 1024


async def bounded(client: Client, answer: Answer, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` as patiently as the client is, and note when the client knew that it was over."""
    patience = client.behaviour.after if client.behaviour.kind == "gives up" else PATIENCE
    left = True
    with trio.move_on_after(patience):
        try:
            await work()
            left = False
        except Leaving:
            pass
    if left and client.behaviour.kind in ("gives up", "leaves"):
        answer.how = "left"
    answer.ended_at = trio.current_time()


# --- over HTTP ----------------------------------------------------------------------------------


class _Reader:
    """Takes bytes from the connection, as eagerly as the client is."""

    def __init__(self, stream: trio.abc.Stream, behaviour: Behaviour) -> None:
        self._stream = stream
        self._behaviour = behaviour
        self._buffer = bytearray()
        self._pieces = 0

    async def more(self) -> bool:
        """Wait for more bytes; False at the connection's end."""
        behaviour = self._behaviour
        if behaviour.kind == "leaves" and self._pieces >= behaviour.after:
            raise Leaving
        if behaviour.kind == "stops" and self._pieces == behaviour.after:
            await trio.sleep(PATIENCE / 3)
        if behaviour.kind == "slow" and self._pieces:
            await trio.sleep(behaviour.after)
        try:
            data = await self._stream.receive_some(_RECEIVE)
        except trio.BrokenResourceError:
            return False
        self._pieces += 1
        self._buffer += data
        return bool(data)

    async def until(self, end: bytes) -> bytes | None:
        """Everything up to `end`; None if that does not come."""
        while (at := self._buffer.find(end)) < 0:
            if not await self.more():
                return None
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(end)]
        return found

    async def exactly(self, count: int) -> bytes | None:
        """So many bytes; None if they do not come."""
        while len(self._buffer) < count:
            if not await self.more():
                return None
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found


async def exchange(stream: trio.abc.Stream, client: Client, answer: Answer) -> bool:
    """Send the request, and read the answer into `answer`; True if the connection may be used again."""
    spoken = INTERFACES[client.speaks](client, answer)
    reader = _Reader(stream, client.behaviour)
    try:
        await stream.send_all(_head(client, spoken))
    except trio.BrokenResourceError:
        return False
    head = await reader.until(b"\r\n\r\n")
    if head is None:
        return False
    answer.status, headers = _read_head(head)
    if headers.get("transfer-encoding") == "chunked":
        whole = await _events(reader, spoken, answer)
    else:
        whole = await _body(reader, int(headers.get("content-length", "0")), spoken, answer)
    return whole and headers.get("connection") != "close"


def _head(client: Client, spoken: Interface) -> bytes:
    content = msgspec.json.encode(spoken.body())
    lines = [
        f"POST {spoken.path} HTTP/1.1",
        "host: house",
        "content-type: application/json",
        f"content-length: {len(content)}",
        f"x-request-id: r{client.number}",
        f"x-dispatch-timeout: {client.timeout:g}s",
    ]
    if client.midstream is not None:
        lines.append(f"x-dispatch-midstream: {client.midstream}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in rest]
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _body(reader: _Reader, length: int, spoken: Interface, answer: Answer) -> bool:
    """An answer in one piece, or a refusal. True if all of it came."""
    body = await reader.exactly(length)
    if body is None:
        return False
    if answer.status == 200:
        spoken.whole(body)
    else:
        answer.how, answer.code = "error", spoken.refusal(body)
    return True


async def _events(reader: _Reader, spoken: Interface, answer: Answer) -> bool:
    """A streamed answer. True if HTTP's end of it came."""
    rest = b""
    while True:
        size = await reader.until(b"\r\n")
        if size is None:
            return False
        length = int(size, 16)
        piece = await reader.exactly(length + 2)
        if piece is None:
            return False
        if not length:
            break
        *blocks, rest = (rest + piece[:-2]).split(b"\n\n")
        for block in blocks:
            answer.events += 1
            spoken.event(block)
    if spoken.ended and answer.how != "broken":
        answer.how = "complete"
    return True


# --- as a library -------------------------------------------------------------------------------


async def call(dispatcher: Dispatcher, client: Client, answer: Answer) -> None:
    """The same request as a caller of the library makes it."""
    name = f"r{client.number}"
    try:
        if client.stream:
            await _stream(dispatcher, client, answer, name)
        else:
            answer.add((await dispatcher.send(_request(client), request_id=name)).text)
            answer.how = "complete"
    except errors.DispatchError as error:
        answer.how = "broken" if answer.first_at is not None else "error"
        answer.status, answer.code = error.status, error.code


def _request(client: Client) -> Request:
    tools = [Tool("look_up", parameters={"type": "object", "properties": {}})] if client.tools else []
    return Request(
        model=client.model,
        messages=[Message("user", prompt_of(client))],
        max_tokens=client.most,
        user=client.tenant,
        tools=tools,
        timeout=client.timeout,
        midstream=client.midstream,
    )


async def _stream(dispatcher: Dispatcher, client: Client, answer: Answer, name: str) -> None:
    behaviour = client.behaviour
    async with dispatcher.stream(_request(client), request_id=name) as events:
        async for event in events:
            if behaviour.kind == "leaves" and answer.events >= behaviour.after:
                raise Leaving
            if behaviour.kind == "slow":
                await trio.sleep(behaviour.after)
            if behaviour.kind == "stops" and answer.events == behaviour.after:
                await trio.sleep(PATIENCE / 3)
            match event:
                case TextDelta():
                    answer.add(event.text)
                case Seam():
                    answer.seam()
                case Restarted():
                    answer.restart()
            answer.events += 1
    answer.how = "complete"
