"""Clients of the simulated house: over HTTP with a parser of their own, and as callers of the library.

The HTTP client shares no code with the house, so that a mistake in the house's own parsers cannot hide itself. It keeps
to what a careful client would do: an answer counts as whole only if HTTP's own end, a finish reason and the
format's terminal event have all been there.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio
from llm_dispatcher.runtime import Dispatcher, Message, Request, TextDelta, Tool, errors
from msgspec import Struct

from .history import End
from .story import Behaviour, Client

__all__ = ["Answer", "Leaving", "call", "exchange", "prompt_of"]

_RECEIVE: Final = 16 * 1024
_PATIENCE: Final = 300.0
"""Seconds after which a client that reads gives its answer up for lost: far beyond any deadline."""
_TOOLS: Final = [
    {
        "type": "function",
        "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
    }
]


class Answer(Struct):
    """What a client got."""

    how: End = "cut"
    status: int | None = None
    code: str | None = None
    text: str = ""
    events: int = 0
    first_at: float | None = None
    """When it saw the first content."""
    ended_at: float = math.inf
    """When the client knew that it was over; for one who left, when it did."""

    def add(self, text: str) -> None:
        """More of the answer."""
        if text and self.first_at is None:
            self.first_at = trio.current_time()
        self.text += text


class Leaving(Exception):
    """The client has had enough."""


def prompt_of(client: Client) -> str:
    """The text of a request: its number, by which it is known again at the vendor, and words to its length."""
    mark = f"[r{client.number}] "
    return (mark + "tell me about barometers " * (client.characters // 25 + 1))[
        : max(len(mark), client.characters)
    ]


# --- over HTTP ----------------------------------------------------------------------------------


def _head(client: Client) -> bytes:
    body: dict[str, Any] = {
        "model": client.model,
        "messages": [{"role": "user", "content": prompt_of(client)}],
        "user": client.tenant,
    }
    if client.stream:
        body["stream"] = True
    if client.most is not None:
        body["max_tokens"] = client.most
    if client.tools:
        body["tools"] = _TOOLS
    content = msgspec.json.encode(body)
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: house",
        "content-type: application/json",
        f"content-length: {len(content)}",
        f"x-request-id: r{client.number}",
        f"x-dispatch-timeout: {client.timeout:g}s",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Reader:
    """Takes an answer apart, byte by byte as they come."""

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
            await trio.sleep(_PATIENCE / 3)
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
    reader = _Reader(stream, client.behaviour)
    try:
        await stream.send_all(_head(client))
    except trio.BrokenResourceError:
        return False
    head = await reader.until(b"\r\n\r\n")
    if head is None:
        return False
    status, headers = _read_head(head)
    answer.status = status
    if headers.get("transfer-encoding") == "chunked":
        whole = await _events(reader, answer)
    else:
        body = await reader.exactly(int(headers.get("content-length", "0")))
        whole = body is not None
        if body is not None:
            _read_body(body, answer)
    return whole and headers.get("connection") != "close"


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in rest]
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _read_body(body: bytes, answer: Answer) -> None:
    """An answer in one piece, or a refusal."""
    data = msgspec.json.decode(body)
    if answer.status != 200:
        answer.how, answer.code = "error", str(data["error"]["code"])
        return
    choice = data["choices"][0]
    answer.text = choice["message"]["content"] or ""
    if choice["finish_reason"] in ("stop", "length") and data.get("usage") is not None:
        answer.how = "complete"
    elif choice["finish_reason"]:
        answer.how, answer.code = "complete", "without usage"


async def _events(reader: _Reader, answer: Answer) -> bool:
    """A streamed answer. True if HTTP's end of it came."""
    rest, finished, terminal = b"", False, False
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
        rest += piece[:-2]
        *events, rest = rest.split(b"\n\n")
        for event in events:
            if not event.startswith(b"data: "):
                continue
            answer.events += 1
            if event == b"data: [DONE]":
                terminal = True
                continue
            finished = _event(msgspec.json.decode(event[6:]), answer) or finished
    if finished and terminal and answer.how != "broken":
        answer.how = "complete"
    return True


def _event(data: dict[str, Any], answer: Answer) -> bool:
    """One event; True if it carries the finish reason."""
    if "error" in data:
        answer.how, answer.code = "broken", str(data["error"]["code"])
        return False
    finished = False
    for choice in data["choices"]:
        answer.add(choice["delta"].get("content") or "")
        finished = finished or choice.get("finish_reason") is not None
    return finished


# --- as a library -------------------------------------------------------------------------------


def _request(client: Client) -> Request:
    tools = [Tool("look_up", parameters={"type": "object", "properties": {}})] if client.tools else []
    return Request(
        model=client.model,
        messages=[Message("user", prompt_of(client))],
        max_tokens=client.most,
        user=client.tenant,
        tools=tools,
        timeout=client.timeout,
    )


async def call(dispatcher: Dispatcher, client: Client, answer: Answer) -> None:
    """The same request as a caller of the library makes it."""
    try:
        if client.stream:
            await _stream(dispatcher, client, answer)
        else:
            answer.text = (await dispatcher.send(_request(client), request_id=f"r{client.number}")).text
            answer.how = "complete"
    except errors.DispatchError as error:
        answer.how = "broken" if answer.text else "error"
        answer.status, answer.code = error.status, error.code


async def _stream(dispatcher: Dispatcher, client: Client, answer: Answer) -> None:
    behaviour = client.behaviour
    async with dispatcher.stream(_request(client), request_id=f"r{client.number}") as events:
        async for event in events:
            if behaviour.kind == "leaves" and answer.events >= behaviour.after:
                raise Leaving
            if behaviour.kind == "slow":
                await trio.sleep(behaviour.after)
            if behaviour.kind == "stops" and answer.events == behaviour.after:
                await trio.sleep(_PATIENCE / 3)
            if isinstance(event, TextDelta):
                answer.add(event.text)
            answer.events += 1
    answer.how = "complete"


async def bounded(client: Client, answer: Answer, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` as patiently as the client is, and note when the client knew that it was over."""
    patience = client.behaviour.after if client.behaviour.kind == "gives up" else _PATIENCE
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
